-- name: tree
-- The present tree of a tenant, its last checkpoint, whether that has a map, how many events of the ledger are not sealed, and
-- where the last event of the checkpoint stands.
SELECT l.generation, c.size, c.note, c.has_map AND l.map_size = l.size AND c.size = l.size AS has_map,
       (SELECT h.position FROM runfold.head AS h) - (SELECT s.position FROM runfold.sealed_position AS s) AS unsealed,
       (SELECT s.position
          FROM runfold.sealed_events AS s
         WHERE s.tenant_id = l.tenant_id AND s.generation = l.generation AND s.seq = c.size) AS position,
       (SELECT h.epoch::text FROM runfold.head AS h) AS epoch, coalesce(c.cosignatures, '')
  FROM runfold.sealed_logs AS l
  JOIN LATERAL (SELECT s.size, s.note, s.has_map, (SELECT string_agg(w.lines, '' ORDER BY w.witness)
                                       FROM runfold.seal_witnesses AS w
                                      WHERE w.tenant_id = s.tenant_id
                                        AND w.generation = s.generation
                                        AND w.size = s.size
                                        AND w.has_map = s.has_map) AS cosignatures
                  FROM runfold.sealed_checkpoints AS s
                 WHERE s.tenant_id = l.tenant_id
                   AND s.generation = l.generation
                 ORDER BY s.size DESC, s.has_map DESC
                 LIMIT 1) AS c ON true
 WHERE l.tenant_id = %b
 ORDER BY l.generation DESC
 LIMIT 1

-- name: thread of
-- The thread that something sealed belongs to, by the id of its stream.
SELECT s.thread_id
  FROM runfold.log AS e
  JOIN runfold.sealed_events AS s ON s.position = e.notification_id
 WHERE e.tenant_id = %(tenant_id)b
   AND e.originator_id = %(id)b
   AND s.tenant_id = e.tenant_id
   AND s.generation = %(generation)b
 ORDER BY e.originator_version
 LIMIT 1

-- name: threads of rows
-- The threads of some positions, and those that some streams belong to, as far as they are sealed.
SELECT DISTINCT s.thread_id
  FROM runfold.sealed_events AS s
  JOIN (SELECT e.notification_id AS position
          FROM runfold.log AS e
         WHERE e.tenant_id = %(tenant_id)b AND e.originator_id = ANY(%(streams)b::text[]) AND e.originator_version = 1
         UNION
        SELECT unnest(%(positions)b::bigint[])) AS asked USING (position)
 WHERE s.tenant_id = %(tenant_id)b
   AND s.generation = %(generation)b

-- name: in map
-- What the map holds of a thread.
SELECT t.key, t.events, t.last_leaf
  FROM runfold.sealed_threads AS t
 WHERE t.tenant_id = %(tenant_id)b
   AND t.generation = %(generation)b
   AND t.key = %(key)b

-- name: streams with
-- The streams that have an event of a type, as far as the checkpoint goes.
SELECT DISTINCT s.stream
  FROM runfold.sealed_events AS s
 WHERE s.tenant_id = %(tenant_id)b
   AND s.generation = %(generation)b
   AND s.seq <= %(size)b
   AND s.type = %(type)b

-- name: streams without call
-- The streams that have an event of a type beside which no call is named.
SELECT DISTINCT s.stream
  FROM runfold.sealed_events AS s
  JOIN runfold.log AS e ON e.notification_id = s.position
 WHERE s.tenant_id = %(tenant_id)b
   AND s.generation = %(generation)b
   AND s.seq <= %(size)b
   AND s.type = %(type)b
   AND e.context ->> 'call_id' IS NULL

-- name: names call
-- Whether an event names a call, beside it or in its payload, as far as the checkpoint goes: of some threads, or of all.
SELECT EXISTS (SELECT
                 FROM runfold.sealed_events AS s
                 JOIN runfold.log AS e ON e.notification_id = s.position
                WHERE s.tenant_id = %(tenant_id)b
                  AND s.generation = %(generation)b
                  AND s.seq <= %(size)b
                  AND (%(every)b OR s.thread_id = ANY(%(threads)b::text[]))
                  AND (   e.context ->> 'call_id' = %(call)b
                       OR position(convert_to('"call_id":' || to_json(%(call)b::text)::text, 'UTF8') IN e.state) > 0)) AS is_named

-- name: sealed events
-- Leaves with their events, in order: of some threads and at some positions, or all.
SELECT s.seq, s.thread_seq, s.stream, s.version, s.type, s.schema_version, s.position, encode(s.payload_sha256, 'hex') AS payload,
       encode(s.envelope_sha256, 'hex') AS envelope, e.notification_id, e.tenant_id, e.thread_id, e.originator_id,
       e.originator_version, e.topic, e.schema_version, e.state, e.key_id, e.event_id::text, e.recorded_at, e.context::text,
       e.metadata::text, coalesce(s.salt, e.salt) AS salt
  FROM runfold.sealed_events AS s
  LEFT JOIN runfold.log AS e ON e.notification_id = s.position
 WHERE s.tenant_id = %(tenant_id)s
   AND s.generation = %(generation)s
   AND (%(every)s OR s.thread_id = ANY(%(threads)s::text[]) OR s.position = ANY(%(positions)s::bigint[]))
   AND s.seq <= %(size)s
 ORDER BY s.seq
