-- name: ends
-- Up to where all is sealed, where the log ends, and where it begins, at one moment.
SELECT s.position, (SELECT max(e.notification_id) FROM runfold.log AS e), (SELECT min(e.notification_id) FROM runfold.log AS e),
       (SELECT min(e.recorded_at) FROM runfold.log AS e WHERE e.notification_id = s.position + 1)
  FROM runfold.sealed_position AS s

-- name: events
-- What the log holds at some positions.
SELECT e.notification_id, e.tenant_id, e.thread_id, e.originator_id, e.originator_version, e.topic, e.schema_version, e.state,
       e.key_id, e.event_id::text, e.recorded_at, e.context::text, e.metadata::text, e.salt
  FROM runfold.log AS e
 WHERE e.notification_id > %b
   AND e.notification_id <= %b
 ORDER BY e.notification_id

-- name: leaves
-- What was sealed at some positions.
SELECT s.position, s.tenant_id, s.generation, s.seq, s.thread_id, s.thread_seq, s.stream, s.version, s.type, s.schema_version,
       s.payload_sha256, s.envelope_sha256, s.salt
  FROM runfold.sealed_events AS s
 WHERE s.position > %b
   AND s.position <= %b
 ORDER BY s.position, s.generation

-- name: sealed elsewhere
-- Where a payload of a stream was sealed.
SELECT s.position
  FROM runfold.sealed_events AS s
 WHERE s.tenant_id = %b
   AND s.stream = %b
   AND s.version = %b
 LIMIT 1

-- name: before the first
-- Events at positions that are never given out.
SELECT e.notification_id, e.originator_id, e.originator_version, e.topic
  FROM runfold.log AS e
 WHERE e.notification_id < 1
 ORDER BY e.notification_id
 LIMIT 100

-- name: alarms
-- What sealers met that cannot be.
SELECT a.kind, a.position, a.fact
  FROM runfold.seal_alarms AS a
 ORDER BY a.id
 LIMIT 1000

-- name: position of size
-- The position of the last event that a checkpoint covers.
SELECT s.position
  FROM runfold.sealed_events AS s
 WHERE s.tenant_id = %b
   AND s.generation = %b
   AND s.seq = %b

-- name: map roots
-- The roots of the stored maps of threads.
SELECT m.tenant_id, m.generation, m.hash
  FROM runfold.sealed_map AS m
 WHERE m.part = 1

-- name: tiles
-- The hashes of leaves, in tiles.
SELECT t.number, t.hashes
  FROM runfold.sealed_tiles AS t
 WHERE t.tenant_id = %b
   AND t.generation = %b
   AND t.level = 0
   AND t.number BETWEEN %b AND %b
