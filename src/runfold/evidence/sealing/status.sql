-- name: status
-- How far sealing is, and since when the oldest event that is not sealed waits.
SELECT s.position, s.sealed_at, (SELECT count(*) FROM runfold.sealed_logs), greatest(0, h.position - s.position),
       coalesce(greatest(0, extract(epoch FROM clock_timestamp() - (SELECT CASE WHEN isfinite(e.recorded_at) THEN e.recorded_at END
                                                                      FROM runfold.log AS e
                                                                     WHERE e.notification_id > s.position
                                                                     ORDER BY e.notification_id
                                                                     LIMIT 1))), 0)::float8,
       (SELECT count(*) FROM runfold.seal_alarms), (SELECT a.fact FROM runfold.seal_alarms AS a ORDER BY a.id LIMIT 1)
  FROM runfold.sealed_position AS s
 CROSS JOIN runfold.head AS h

-- name: witnesses
-- Of each witness when it signed last, and since when it does not answer, over all trees.
SELECT w.witness, max(w.signed_at), coalesce(max(extract(epoch FROM clock_timestamp() - w.failing_since)), 0)::float8, max(w.error)
  FROM runfold.seal_witnesses AS w
 GROUP BY w.witness
 ORDER BY w.witness

-- name: places
-- Of each place when it had the last checkpoint, and since when it could not be given one.
SELECT p.place, p.published_at, coalesce(extract(epoch FROM clock_timestamp() - p.failing_since), 0)::float8, p.error
  FROM runfold.seal_places AS p
 ORDER BY p.place
