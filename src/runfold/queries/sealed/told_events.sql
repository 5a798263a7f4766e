-- name: stored
-- Events of some ids, with all that their digests are taken from.
SELECT e.notification_id AS position, e.tenant_id, e.thread_id, e.originator_id AS stream, e.originator_version AS version,
       e.topic AS type, e.schema_version, e.state, e.key_id, e.event_id::text, e.recorded_at, e.context::text, e.metadata::text,
       e.salt
  FROM runfold.log AS e
 WHERE e.event_id = ANY(%b::uuid[])
   AND e.tenant_id = %b

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
