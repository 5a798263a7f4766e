-- name: page
-- Events after a position, in order, each beside the one before it in its stream. LATERAL … LIMIT keeps it one look-up in
-- the index for each event, however large the log.
SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.schema_version, e.state, e.key_id,
       e.tenant_id, e.thread_id, e.event_id, e.recorded_at, e.context, e.metadata, octet_length(e.salt),
       before.notification_id, before.tenant_id, before.thread_id
  FROM runfold.log AS e
  LEFT JOIN LATERAL (SELECT b.notification_id, b.tenant_id, b.thread_id
                       FROM runfold.log AS b
                      WHERE b.originator_id = e.originator_id
                        AND b.tenant_id = e.tenant_id
                        AND b.originator_version = e.originator_version - 1
                      LIMIT 1) AS before ON true
 WHERE e.notification_id > %b
   AND e.notification_id <= %b
 ORDER BY e.notification_id
 LIMIT %b

-- name: before of another tenant
-- Asked where a version lacks the one before it: whether that is stored for another tenant, whose stream then ends there.
SELECT b.notification_id, b.tenant_id, b.thread_id
  FROM runfold.log AS b
 WHERE b.originator_id = %b
   AND b.originator_version = %b - 1
   AND NOT EXISTS (SELECT
                     FROM runfold.log AS f
                    WHERE f.originator_id = b.originator_id
                      AND f.tenant_id = b.tenant_id
                      AND f.originator_version = b.originator_version + 1)
 LIMIT 1

-- name: approval before
-- What is stored of an approval before a version of it.
SELECT e.topic, e.schema_version, e.state
  FROM runfold.log AS e
 WHERE e.originator_id = %b
   AND e.tenant_id = %b
   AND e.originator_version < %b
   AND e.key_id IS NULL
 ORDER BY e.originator_version

-- name: heads named
-- What is stored of the naming of a thread's heads.
SELECT e.topic, e.schema_version, e.state
  FROM runfold.log AS e
 WHERE e.thread_id = %b
   AND e.tenant_id = %b
   AND e.topic = 'thread.head_named'
   AND e.key_id IS NULL

-- name: ends
-- The head and the ends of the log, in one statement and so at one moment.
SELECT h.position, nullif(h.recorded_at, '-infinity'), (SELECT min(notification_id) FROM runfold.log),
       (SELECT max(notification_id) FROM runfold.log)
  FROM runfold.head AS h

-- name: guards
-- What makes the database itself refuse a second event id, a second version, and a change: what of it is missing or off.
SELECT 'constraint', name
  FROM unnest(ARRAY['log_pkey', 'log_tenant_stream_version', 'log_event_id']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS c
                    WHERE c.conrelid = 'runfold.log'::regclass AND c.conname = name AND c.convalidated)
 UNION ALL
SELECT 'trigger', name
  FROM unnest(ARRAY['log_is_immutable', 'log_is_not_truncated']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
                    WHERE t.tgrelid = 'runfold.log'::regclass AND t.tgname = name AND t.tgenabled = 'A')

-- name: repeated event ids
-- Only asked where no constraint rules them out.
SELECT event_id::text, min(notification_id), max(notification_id)
  FROM runfold.log
 GROUP BY event_id
HAVING count(*) > 1
 ORDER BY 2
 LIMIT 1000

-- name: repeated versions
-- Only asked where no constraint rules them out.
SELECT originator_id, originator_version, min(notification_id), max(notification_id)
  FROM runfold.log
 GROUP BY tenant_id, originator_id, originator_version
HAVING count(*) > 1
 ORDER BY 3
 LIMIT 1000
