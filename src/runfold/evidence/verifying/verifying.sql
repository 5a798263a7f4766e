-- name: ends
-- Up to where all is sealed, where the log ends, and where it begins, at one moment.
SELECT s.position, (SELECT max(e.notification_id) FROM runfold.log AS e), (SELECT min(e.notification_id) FROM runfold.log AS e),
       (SELECT greatest(least(min(e.recorded_at), '9999-12-30Z'), '0001-01-02Z')
          FROM runfold.log AS e
         WHERE e.notification_id = s.position + 1) AS unsealed_since
  FROM runfold.sealed_position AS s

-- name: events
-- What the log holds at some positions. A time that no event was recorded at, as infinity, is read as the nearest that can be read.
SELECT e.notification_id, e.tenant_id, e.thread_id, e.originator_id, e.originator_version, e.topic, e.schema_version, e.state,
       e.key_id, e.event_id::text, greatest(least(e.recorded_at, '9999-12-30Z'), '0001-01-02Z') AS recorded_at,
       e.context::text, e.metadata::text, e.salt
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

-- name: page
-- What the log holds at some positions, up to so many bytes, beside what was sealed at them in the present trees, and whether
-- that is of the same event; without order.
SELECT coalesce(e.notification_id, s.position) AS position, coalesce(e.tenant_id, s.tenant_id) AS tenant_id, e.thread_id,
       e.originator_id, e.originator_version, e.topic, e.schema_version, e.state, e.key_id, uuid_send(e.event_id) AS event_id,
       timestamptz_send(e.recorded_at) AS recorded_at, e.context::text, e.metadata::text, coalesce(e.salt, s.salt) AS salt,
       s.seq, s.thread_seq, s.payload_sha256, s.envelope_sha256,
       s.tenant_id = e.tenant_id AND s.thread_id = e.thread_id AND s.stream = e.originator_id AND s.version = e.originator_version
       AND s.type = e.topic AND s.schema_version = e.schema_version AS is_same, e.bytes_before
  FROM (SELECT *
          FROM (SELECT n.*, sum(octet_length(n.state)) OVER (ORDER BY n.notification_id) - octet_length(n.state) AS bytes_before
                  FROM runfold.log AS n
                 WHERE n.notification_id > %(after)b
                   AND n.notification_id <= %(until)b) AS w
         WHERE w.bytes_before < %(bytes)b) AS e
  FULL JOIN (SELECT l.*
               FROM runfold.sealed_events AS l
              WHERE l.position > %(after)b
                AND l.position <= %(until)b
                AND NOT EXISTS (SELECT
                                  FROM runfold.sealed_logs AS later
                                 WHERE later.tenant_id = l.tenant_id
                                   AND later.generation > l.generation)) AS s ON s.position = e.notification_id

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

-- name: stored checkpoints
-- Checkpoints of a tree as they are stored, beside where their last leaf stands; after one of them, a page.
SELECT c.size, c.has_map, c.position, c.root, c.map_root, c.note,
       (SELECT s.position
          FROM runfold.sealed_events AS s
         WHERE s.tenant_id = c.tenant_id
           AND s.generation = c.generation
           AND s.seq = c.size) AS leaf_position
  FROM runfold.sealed_checkpoints AS c
 WHERE c.tenant_id = %b
   AND c.generation = %b
   AND (c.size, c.has_map) > (%b::bigint, %b::boolean)
 ORDER BY c.size, c.has_map
 LIMIT 1000

-- name: all trees
-- Every tree that there is or was.
SELECT l.tenant_id, l.generation, l.origin
  FROM runfold.sealed_logs AS l
 ORDER BY l.tenant_id, l.generation

-- name: checkpoints of no tree
-- Checkpoints that are stored of trees that there are not.
SELECT c.tenant_id, c.generation, c.size
  FROM runfold.sealed_checkpoints AS c
 WHERE NOT EXISTS (SELECT FROM runfold.sealed_logs AS l WHERE l.tenant_id = c.tenant_id AND l.generation = c.generation)
 ORDER BY c.tenant_id, c.generation, c.size
 LIMIT 100

-- name: said to be sealed
-- Up to where all is said to be sealed, though neither the ledger nor any leaf goes as far.
SELECT s.position, greatest(h.position, l.position) AS last_position
  FROM runfold.sealed_position AS s
 CROSS JOIN runfold.head AS h
 CROSS JOIN (SELECT coalesce(max(e.position), 0) AS position FROM runfold.sealed_events AS e) AS l
 WHERE s.position > greatest(h.position, l.position)

-- name: database
-- Which database this is, whatever ledger is in it; null where the server does not tell.
SELECT p.system_identifier::text || '/' || p.database::text FROM runfold.place() AS p

-- name: sealed of nobody
-- Up to where all is said to be sealed, though all present trees together have fewer events.
SELECT s.position, t.size
  FROM runfold.sealed_position AS s
 CROSS JOIN (SELECT coalesce(sum(l.size), 0)::bigint AS size
               FROM runfold.sealed_logs AS l
              WHERE NOT EXISTS (SELECT
                                  FROM runfold.sealed_logs AS later
                                 WHERE later.tenant_id = l.tenant_id
                                   AND later.generation > l.generation)) AS t
 WHERE s.position > t.size

-- name: said to be mapped
-- Trees whose map of threads is said to be made of more leaves than they have.
SELECT l.tenant_id, l.origin, l.map_size, l.size
  FROM runfold.sealed_logs AS l
 WHERE l.map_size > l.size
