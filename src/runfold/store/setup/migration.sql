-- name: how far
-- How far the index is that a session builds.
SELECT phase, greatest(blocks_done, tuples_done), greatest(blocks_total, tuples_total)
  FROM pg_catalog.pg_stat_progress_create_index
 WHERE pid = %s

-- name: holders
-- The sessions whose transactions hold a lock on the log, the oldest first.
SELECT DISTINCT a.pid, a.application_name, a.xact_start
  FROM pg_catalog.pg_locks AS l
  JOIN pg_catalog.pg_stat_activity AS a USING (pid)
 WHERE l.relation = to_regclass('runfold.log')
   AND l.granted
   AND a.pid <> pg_backend_pid()
   AND a.xact_start IS NOT NULL
 ORDER BY a.xact_start
 LIMIT 3
