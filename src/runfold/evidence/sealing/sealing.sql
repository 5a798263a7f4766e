-- name: begin
-- Lets one sealer at a time go on, and returns up to where all is sealed, and where the log ends; nothing while another is at it.
SELECT s.position, (SELECT h.position FROM runfold.head AS h) AS last_position
  FROM runfold.sealed_position AS s
   FOR UPDATE OF s SKIP LOCKED

-- name: events
-- What follows, in order; as many as one transaction should hold, and at least one.
SELECT e.notification_id, e.tenant_id, e.thread_id, e.originator_id, e.originator_version, e.topic, e.schema_version, e.state,
       e.key_id, e.event_id::text, e.recorded_at, e.context::text, e.metadata::text, e.salt
  FROM (SELECT n.*, sum(octet_length(n.state)) OVER (ORDER BY n.notification_id) - octet_length(n.state) AS bytes_before
          FROM (SELECT l.* FROM runfold.log AS l WHERE l.notification_id > %b ORDER BY l.notification_id LIMIT %b) AS n) AS e
 WHERE e.bytes_before < %b
 ORDER BY e.notification_id

-- name: logs
-- The present trees of some tenants.
SELECT DISTINCT ON (l.tenant_id) l.tenant_id, l.generation, l.origin, l.size
  FROM runfold.sealed_logs AS l
 WHERE l.tenant_id = ANY(%b::text[])
 ORDER BY l.tenant_id, l.generation DESC

-- name: tenants
-- Whose events there are, one look-up for each.
WITH RECURSIVE tenants AS (
    (SELECT e.tenant_id FROM runfold.log AS e ORDER BY e.tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT e.tenant_id FROM runfold.log AS e WHERE e.tenant_id > t.tenant_id ORDER BY e.tenant_id LIMIT 1)
      FROM tenants AS t
     WHERE t.tenant_id IS NOT NULL
)
SELECT t.tenant_id FROM tenants AS t WHERE t.tenant_id IS NOT NULL

-- name: new log
-- Begins the first tree of a tenant.
INSERT INTO runfold.sealed_logs (tenant_id, generation, origin) VALUES (%b, 1, %b)

-- name: losses accepted
-- What was said of losses that somebody accepted.
SELECT e.state
  FROM runfold.log AS e
 WHERE e.tenant_id = %b
   AND e.topic = 'security.loss_accepted'

-- name: log after a loss
-- Begins another tree of a tenant.
INSERT INTO runfold.sealed_logs (tenant_id, generation, origin, previous_note, reason) VALUES (%b, %b, %b, %b, %b)

-- name: go back to the last leaf
-- Takes for sealed what has a leaf in a present tree and is still there: after a loss it was further.
UPDATE runfold.sealed_position
   SET position = (SELECT coalesce(max(e.position), 0)
                     FROM runfold.sealed_events AS e
                    WHERE e.position <= (SELECT h.position FROM runfold.head AS h)
                      AND e.generation = (SELECT max(l.generation) FROM runfold.sealed_logs AS l WHERE l.tenant_id = e.tenant_id))

-- name: leaves after the end
-- How many events of a tree stood after the one that is now the ledger's last.
SELECT count(*), (SELECT h.position FROM runfold.head AS h) AS last_position
  FROM runfold.sealed_events AS e
 WHERE e.tenant_id = %b
   AND e.generation = %b
   AND e.position > (SELECT h.position FROM runfold.head AS h)

-- name: leaves of tree
-- The leaves of a tree at some positions.
SELECT s.position, s.tenant_id, s.generation, s.seq, s.thread_id, s.thread_seq, s.stream, s.version, s.type, s.schema_version,
       s.payload_sha256, s.envelope_sha256, s.salt
  FROM runfold.sealed_events AS s
 WHERE s.tenant_id = %b
   AND s.generation = %b
   AND s.position > %b
   AND s.position <= %b
 ORDER BY s.position

-- name: events of tenant
-- The events of a tenant that are said to be sealed, in order; as many as one page should hold, and at least one.
SELECT e.notification_id, e.tenant_id, e.thread_id, e.originator_id, e.originator_version, e.topic, e.schema_version, e.state,
       e.key_id, e.event_id::text, e.recorded_at, e.context::text, e.metadata::text, e.salt
  FROM (SELECT n.*, sum(octet_length(n.state)) OVER (ORDER BY n.notification_id) - octet_length(n.state) AS bytes_before
          FROM (SELECT l.*
                  FROM runfold.log AS l
                 WHERE l.tenant_id = %b
                   AND l.notification_id > %b
                   AND l.notification_id <= (SELECT s.position FROM runfold.sealed_position AS s)
                 ORDER BY l.notification_id
                 LIMIT %b) AS n) AS e
 WHERE e.bytes_before < %b
 ORDER BY e.notification_id

-- name: threads
-- How many events of some threads are sealed.
SELECT t.key, t.events
  FROM runfold.sealed_threads AS t
 WHERE t.tenant_id = %b
   AND t.generation = %b
   AND t.key = ANY(%b::bytea[])

-- name: store events
-- Stores leaves.
INSERT INTO runfold.sealed_events (
    tenant_id, generation, seq, position, thread_id, thread_seq, stream, version, type, schema_version,
    payload_sha256, envelope_sha256, salt)
SELECT %b, %b, g.*
  FROM unnest(%b::bigint[], %b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::smallint[],
              %b::bytea[], %b::bytea[], %b::bytea[]) AS g

-- name: tile
-- The hashes of a tile.
SELECT t.hashes
  FROM runfold.sealed_tiles AS t
 WHERE t.tenant_id = %b
   AND t.generation = %b
   AND t.level = %b
   AND t.number = %b

-- name: store tiles
-- Stores tiles that have grown.
INSERT INTO runfold.sealed_tiles (tenant_id, generation, level, number, hashes)
SELECT %b, %b, g.level, g.number, g.hashes
  FROM unnest(%b::int[], %b::bigint[], %b::bytea[]) AS g (level, number, hashes)
    ON CONFLICT (tenant_id, generation, level, number) DO UPDATE
   SET hashes = excluded.hashes

-- name: store threads
-- Notes how many events threads have by now.
INSERT INTO runfold.sealed_threads (tenant_id, generation, thread_id, key, events, last_seq, last_leaf)
SELECT %b, %b, g.thread_id, g.key, g.events, g.last_seq, g.last_leaf
  FROM unnest(%b::text[], %b::bytea[], %b::bigint[], %b::bigint[], %b::bytea[]) AS g (thread_id, key, events, last_seq, last_leaf)
    ON CONFLICT (tenant_id, generation, key) DO UPDATE
   SET events = excluded.events, last_seq = excluded.last_seq, last_leaf = excluded.last_leaf

-- name: was signed
-- Whether any checkpoint was signed before.
SELECT EXISTS (SELECT FROM runfold.sealed_checkpoints)

-- name: without map
-- Trees whose map of threads is not made up to their last leaf.
SELECT l.tenant_id, l.generation, l.origin, l.size, l.map_size
  FROM runfold.sealed_logs AS l
 WHERE l.map_size < l.size
   AND NOT EXISTS (SELECT FROM runfold.sealed_logs AS n WHERE n.tenant_id = l.tenant_id AND n.generation > l.generation)

-- name: changed threads
-- The keys of threads that have leaves after one.
SELECT DISTINCT sha256(convert_to(s.thread_id, 'UTF8'))
  FROM runfold.sealed_events AS s
 WHERE s.tenant_id = %b
   AND s.generation = %b
   AND s.seq > %b

-- name: entries
-- What the map holds of the threads in some parts, by their first and last keys.
SELECT t.key, t.events, t.last_leaf
  FROM unnest(%b::bytea[], %b::bytea[]) AS part (first, last)
 CROSS JOIN LATERAL (SELECT s.key, s.events, s.last_leaf
                       FROM runfold.sealed_threads AS s
                      WHERE s.tenant_id = %b
                        AND s.generation = %b
                        AND s.key BETWEEN part.first AND part.last) AS t

-- name: parts
-- The hashes of some parts of the map.
SELECT m.part, m.hash
  FROM runfold.sealed_map AS m
 WHERE m.tenant_id = %b
   AND m.generation = %b
   AND m.part = ANY(%b::int[])

-- name: store parts
-- Stores parts of the map.
INSERT INTO runfold.sealed_map (tenant_id, generation, part, hash)
SELECT %b, %b, g.part, g.hash
  FROM unnest(%b::int[], %b::bytea[]) AS g (part, hash)
    ON CONFLICT (tenant_id, generation, part) DO UPDATE
   SET hash = excluded.hash

-- name: mapped
-- Notes up to which leaf the map is made.
UPDATE runfold.sealed_logs
   SET map_size = size
 WHERE tenant_id = %b
   AND generation = %b

-- name: last position
-- The position of the last leaf of a tree.
SELECT s.position
  FROM runfold.sealed_events AS s
 WHERE s.tenant_id = %b
   AND s.generation = %b
   AND s.seq = %b

-- name: grown
-- Notes the size of a tree.
UPDATE runfold.sealed_logs
   SET size = %b
 WHERE tenant_id = %b
   AND generation = %b

-- name: store checkpoint
-- Keeps a signed checkpoint.
INSERT INTO runfold.sealed_checkpoints (tenant_id, generation, size, position, root, map_root, note)
VALUES (%b, %b, %b, %b, %b, %b, %b)

-- name: sealed up to
-- Notes up to where all is sealed, and that it was looked.
UPDATE runfold.sealed_position
   SET position = %b, sealed_at = clock_timestamp()

-- name: alarm
-- Says once what cannot be unless somebody changed the log.
INSERT INTO runfold.seal_alarms (tenant_id, kind, position, fact)
VALUES (%b, %b, %b, %b)
    ON CONFLICT DO NOTHING

-- name: ledger
-- What this ledger is told from others by: its first history, which every copy of it has. A copy of an empty one is another.
SELECT e.id::text
  FROM runfold.epochs AS e
 WHERE e.parent IS NULL
    OR (e.reason = 'copied' AND e.from_position = 0 AND e.lost_position IS NULL)
 ORDER BY e.began_at DESC
 LIMIT 1

-- name: last event
-- The last position of the log.
SELECT coalesce((SELECT max(e.notification_id) FROM runfold.log AS e), 0)

-- name: sealed position
-- Up to where all is sealed.
SELECT s.position FROM runfold.sealed_position AS s

-- name: waiting
-- When the oldest event that is not sealed was recorded, and which one it is.
SELECT e.recorded_at, e.notification_id, e.originator_id, e.originator_version
  FROM runfold.log AS e
 WHERE e.notification_id > (SELECT s.position FROM runfold.sealed_position AS s)
 ORDER BY e.notification_id
 LIMIT 1

-- name: behind
-- Events where there was a hole when it was sealed, or before the first position: whoever wrote them did not append them.
SELECT e.notification_id, e.tenant_id, e.originator_id, e.originator_version, e.topic
  FROM runfold.log AS e
 WHERE e.notification_id < 1
 UNION ALL
SELECT e.notification_id, e.tenant_id, e.originator_id, e.originator_version, e.topic
  FROM runfold.seal_alarms AS a
  JOIN runfold.log AS e ON e.notification_id = a.position
 WHERE a.kind = 'missing'
 ORDER BY 1
 LIMIT 100

-- name: present logs
-- All present trees, with the last checkpoint of each.
SELECT DISTINCT ON (l.tenant_id) l.tenant_id, l.generation, l.origin, l.size, c.note, coalesce(c.cosignatures, '')
  FROM runfold.sealed_logs AS l
  LEFT JOIN LATERAL (SELECT s.note, (SELECT string_agg(w.lines, '' ORDER BY w.witness)
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
 ORDER BY l.tenant_id, l.generation DESC
