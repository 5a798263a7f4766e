-- name: positions of versions
-- Where some streams were at some versions of theirs.
SELECT asked.stream, e.notification_id
  FROM unnest(%b::text[], %b::bigint[]) AS asked (stream, version)
  JOIN LATERAL (SELECT log.notification_id
                  FROM runfold.log
                 WHERE log.originator_id = asked.stream
                   AND log.tenant_id = %b
                   AND log.originator_version = asked.version) AS e ON true

-- name: counted
-- How many events of some types there are along a path, and how many of them up to a position. Where there are no statistics, a
-- condition on types that an index could take would have all events of these types looked through.
SELECT count(*), count(*) FILTER (WHERE notification_id <= %b)
  FROM runfold.log
 WHERE {along} AND (topic = ANY(%b)) IS TRUE

-- name: places
-- The positions and types of events along a path, in order.
SELECT notification_id, topic
  FROM runfold.log
 WHERE {along} AND (topic {whether} (%b)) IS TRUE
 ORDER BY thread_id, tenant_id, notification_id
 LIMIT %b OFFSET %b

-- name: later
-- What happened later to things of a path. An event about a thing says which at the beginning of its payload; one that hides
-- a message counts wherever it was recorded, since what may not be shown is shown nowhere.
SELECT {columns}
  FROM runfold.log
 WHERE {within}
   AND (topic = ANY(%b)) IS TRUE
   AND (notification_id <= (%b::jsonb ->> (context ->> 'run_id'))::bigint OR topic = 'message.redacted') IS TRUE
   AND (originator_id = ANY(%b)
        OR substring(encode(substring(state FROM 1 FOR 300), 'escape') FROM '^\{"[a-z]+_id":"([^"]+)"') = ANY(%b)
        OR (topic LIKE 'approval.%%' AND context ->> 'call_id' = ANY(%b))
        OR topic IN ('run.failed', 'run.cancelled')) IS TRUE
 ORDER BY thread_id, tenant_id, notification_id
 LIMIT %b

-- name: stretches
-- A thread's events in so many stretches of equal number, by type: how many, from where to where, from when to when by the
-- clocks of those who told them, or the ledger's where nobody did, and how long at most nothing happened before one of them.
SELECT stretch, topic, count(*), min(position), max(position), min(at), max(at), max(idle)
  FROM (SELECT position, topic, at, at - lag(at) OVER in_order AS idle,
               (row_number() OVER in_order - 1) * %b / count(*) OVER () AS stretch
          FROM (SELECT thread_id, tenant_id, notification_id AS position, topic,
                       CASE WHEN count(metadata ->> 'occurred_at') OVER () > 0
                            THEN (metadata ->> 'occurred_at')::timestamptz ELSE recorded_at END AS at
                  FROM runfold.log
                 WHERE {within}) AS told
        WINDOW in_order AS (ORDER BY thread_id, tenant_id, position)) AS placed
 GROUP BY stretch, topic

-- name: runs
-- The runs of a thread: how many events each has, its last one, the last of some types, and the last of all but some others.
SELECT originator_id, count(*), max(notification_id),
       max(notification_id) FILTER (WHERE topic = ANY(%b)), max(notification_id) FILTER (WHERE topic <> ALL(%b))
  FROM runfold.log
 WHERE {within} AND (context ->> 'run_id' = originator_id) IS TRUE
 GROUP BY originator_id
