-- name: stored map
-- The last checkpoint that has a map: the stored map is as of it.
SELECT s.size, s.note
  FROM runfold.sealed_checkpoints AS s
 WHERE s.tenant_id = %b
   AND s.generation = %b
   AND s.has_map
 ORDER BY s.size DESC
 LIMIT 1

-- name: parts
-- The hashes of all parts of a map, of which there are no more than a fixed number.
SELECT m.part, m.hash
  FROM runfold.sealed_map AS m
 WHERE m.tenant_id = %b
   AND m.generation = %b

-- name: threads
-- What is stored of threads, by their places in the map, and what their leaves are: how many, how many of different numbers.
SELECT t.thread_id, t.key, t.events, t.last_seq, t.last_leaf, c.leaves, c.numbers
  FROM (SELECT s.thread_id, s.key, s.events, s.last_seq, s.last_leaf
          FROM runfold.sealed_threads AS s
         WHERE s.tenant_id = %(tenant)b
           AND s.generation = %(generation)b
           AND s.key > %(after)b
         ORDER BY s.key
         LIMIT %(limit)b) AS t
 CROSS JOIN LATERAL (SELECT count(*) AS leaves, count(DISTINCT e.thread_seq) AS numbers
                       FROM runfold.sealed_events AS e
                      WHERE e.thread_id = t.thread_id
                        AND e.tenant_id = %(tenant)b
                        AND e.generation = %(generation)b) AS c
 ORDER BY t.key

-- name: last leaves
-- The last leaves of some threads, as of some sizes of the tree.
SELECT a.size, t.thread_id, l.seq, l.thread_seq, l.stream, l.version, l.type, l.schema_version, l.position,
       l.payload_sha256, l.envelope_sha256
  FROM unnest(%(threads)b::text[]) AS t (thread_id)
 CROSS JOIN unnest(%(sizes)b::bigint[]) AS a (size)
 CROSS JOIN LATERAL (SELECT e.*
                       FROM runfold.sealed_events AS e
                      WHERE e.thread_id = t.thread_id
                        AND e.tenant_id = %(tenant)b
                        AND e.generation = %(generation)b
                        AND e.seq <= a.size
                      ORDER BY e.thread_seq DESC
                      LIMIT 1) AS l

-- name: threads without a place
-- Threads that have leaves and no place in the map.
SELECT DISTINCT e.thread_id
  FROM runfold.sealed_events AS e
 WHERE e.tenant_id = %b
   AND e.generation = %b
   AND NOT EXISTS (SELECT FROM runfold.sealed_threads AS t
                    WHERE t.tenant_id = e.tenant_id
                      AND t.generation = e.generation
                      AND t.key = sha256(convert_to(e.thread_id, 'UTF8')))
 ORDER BY e.thread_id
 LIMIT 100
