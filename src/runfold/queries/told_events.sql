-- name: stored
-- Events of some ids, with all that their digests are taken from.
SELECT e.notification_id AS position, e.tenant_id, e.thread_id, e.originator_id AS stream, e.originator_version AS version,
       e.topic AS type, e.schema_version, e.state, e.key_id, e.event_id::text, e.recorded_at, e.context::text, e.metadata::text,
       e.salt
  FROM runfold.log AS e
 WHERE e.event_id = ANY(%b::uuid[])
   AND e.tenant_id = %b

-- name: tree
-- The present tree of a tenant, with its last checkpoint.
SELECT l.generation, l.origin, c.size, c.position, c.root, c.map_root, c.sealed_at, c.note
  FROM (SELECT g.origin, g.generation
          FROM runfold.sealed_logs AS g
         WHERE g.tenant_id = %b
         ORDER BY g.generation DESC
         LIMIT 1) AS l
 CROSS JOIN LATERAL (SELECT s.size, s.position, s.root, s.map_root, s.sealed_at, s.note || coalesce((SELECT string_agg(w.lines, '' ORDER BY w.witness)
                                       FROM runfold.seal_witnesses AS w
                                      WHERE w.tenant_id = s.tenant_id
                                        AND w.generation = s.generation
                                        AND w.size = s.size
                                        AND w.has_map = s.has_map), '') AS note
                       FROM runfold.sealed_checkpoints AS s
                      WHERE s.tenant_id = %b
                        AND s.generation = l.generation
                      ORDER BY s.size DESC, s.has_map DESC
                      LIMIT 1) AS c

-- name: leaves
-- What was sealed at some positions.
SELECT s.seq, s.thread_seq, s.stream, s.version, s.type, s.schema_version, s.position, encode(s.payload_sha256, 'hex'),
       encode(s.envelope_sha256, 'hex')
  FROM runfold.sealed_events AS s
 WHERE s.position = ANY(%b::bigint[])
   AND s.tenant_id = %b
   AND s.generation = %b
   AND s.seq <= %b

-- name: tile
-- The hashes of a tile.
SELECT t.hashes
  FROM runfold.sealed_tiles AS t
 WHERE t.tenant_id = %b
   AND t.generation = %b
   AND t.level = %b
   AND t.number = %b
