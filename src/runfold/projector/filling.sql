-- name: threads
-- The ids of all threads that had begun by a position, in the order in which the log's index has them. Two tenants' threads of
-- one id are one here: they are folded beside each other, into rows of their own.
SELECT DISTINCT created.thread_id
  FROM (SELECT e.thread_id
          FROM runfold.log AS e
         WHERE e.topic = 'thread.created'
           AND (e.notification_id <= %(up_to)s) IS TRUE
        OFFSET 0) AS created
 ORDER BY created.thread_id

-- name: add job
-- Begin a rebuild.
INSERT INTO runfold.fillings (job, up_to, epoch, targets)
VALUES (%(job)s, %(up_to)s, %(epoch)s, %(targets)s)

-- name: add shard
-- Add a range of threads to a rebuild, for one process at a time.
INSERT INTO runfold.filling_lanes (job, lane, first_thread, end_thread)
VALUES (%(job)s, %(shard)s, %(first_thread)s, %(end_thread)s)

-- name: job
-- What a rebuild fills, and up to where.
SELECT job, up_to, epoch, targets
  FROM runfold.fillings
 WHERE job = %(job)s

-- name: remove job
-- Remove a rebuild with its shards.
DELETE FROM runfold.fillings
 WHERE job = %(job)s

-- name: remove jobs of schema
-- Remove the rebuilds that fill a schema of the past.
DELETE FROM runfold.fillings AS f
 WHERE EXISTS (SELECT FROM jsonb_array_elements(f.targets) AS t WHERE t ->> 1 = %(schema)s)

-- name: forget abandoned
-- Jobs none of whose tables is in the making any more.
DELETE FROM runfold.fillings AS f
 WHERE NOT EXISTS (SELECT
                     FROM jsonb_array_elements(f.targets) AS t
                    WHERE EXISTS (SELECT FROM runfold.read_models AS m
                                   WHERE m.state IN ('filling', 'building')
                                     AND t ->> 1 = format('runfold_%%s_%%s', m.name, m.generation))
                       OR EXISTS (SELECT FROM runfold.past_schemas AS p WHERE p.schema = t ->> 1))

-- name: free shards
-- Those whose process is gone are taken again.
UPDATE runfold.filling_lanes
   SET taken = false
 WHERE job = %(job)s
   AND NOT done

-- name: take shard
-- Looked for once, whatever the plan: a shard that is taken and not handed out would never be filled.
WITH free AS MATERIALIZED (
    SELECT job, lane
      FROM runfold.filling_lanes
     WHERE job = %(job)s
       AND NOT taken
     ORDER BY lane
     LIMIT 1
       FOR UPDATE SKIP LOCKED
)
UPDATE runfold.filling_lanes AS l
   SET taken = true, attempt = l.attempt + 1
  FROM free
 WHERE l.job = free.job
   AND l.lane = free.lane
RETURNING l.lane AS shard, l.first_thread, l.end_thread, l.attempt

-- name: finish shard
-- By who took it last. First in its transaction, so that who was too slow adds no rows.
UPDATE runfold.filling_lanes
   SET done = true, events = %(events)s, applied = %(applied)s
 WHERE job = %(job)s
   AND lane = %(shard)s
   AND attempt = %(attempt)s
   AND NOT done

-- name: progress
-- How many shards of a rebuild are done, of how many, and how many events they took in.
SELECT count(*) FILTER (WHERE done) AS done, count(*) AS shards, coalesce(sum(events), 0)::bigint AS events
  FROM runfold.filling_lanes
 WHERE job = %(job)s

-- name: applied
-- What all shards together applied, for each table.
SELECT a.key AS name, sum((a.value ->> 'events')::bigint)::bigint AS events,
       mod(sum((a.value ->> 'digest')::numeric), 18446744073709551616) AS digest
  FROM runfold.filling_lanes AS l
 CROSS JOIN LATERAL jsonb_each(l.applied) AS a
 WHERE l.job = %(job)s
 GROUP BY a.key
