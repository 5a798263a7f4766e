-- name: told
-- Notes how a place does: whether it could be given what it lacked.
INSERT INTO runfold.seal_places AS p (place, published_at, error, failing_since)
SELECT t.place, CASE WHEN t.error IS NULL THEN clock_timestamp() END, t.error, CASE WHEN t.error IS NOT NULL THEN clock_timestamp() END
  FROM (SELECT %b::text AS place, %b::text AS error) AS t
    ON CONFLICT (place) DO UPDATE
   SET told_at = clock_timestamp(), published_at = coalesce(excluded.published_at, p.published_at), error = excluded.error,
       failing_since = CASE WHEN excluded.error IS NOT NULL THEN coalesce(p.failing_since, clock_timestamp()) END

-- name: forget
-- Forgets places of which no sealer has told for long: nobody publishes there any more.
DELETE FROM runfold.seal_places AS p
 WHERE p.told_at < clock_timestamp() - make_interval(secs => %b)
