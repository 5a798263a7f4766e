-- name: statuses
-- All reactors, and how long what each has to do has been due.
SELECT r.name,
       CASE WHEN r.error IS NOT NULL THEN 'failing'
            WHEN r.worker IS NOT NULL AND r.held_until BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 hour' THEN 'running'
            ELSE 'not running' END AS state,
       r.worker, r.position, r.done, r.looked_at, r.did_at, r.due_since,
       coalesce(greatest(0, extract(epoch FROM clock_timestamp() - coalesce(r.due_since, late.recorded_at))), 0)::float8 AS behind_seconds,
       r.error, r.failing_since,
       coalesce(greatest(0, extract(epoch FROM clock_timestamp() - r.failing_since)), 0)::float8 AS failing_seconds
  FROM runfold.reactors AS r
  LEFT JOIN LATERAL (SELECT e.recorded_at FROM runfold.log AS e WHERE e.notification_id = r.position + 1 LIMIT 1) AS late ON isfinite(late.recorded_at)
 ORDER BY r.name
