-- name: signed
-- Keeps the signatures of a witness.
INSERT INTO runfold.seal_witnesses AS w (tenant_id, generation, witness, size, has_map, lines, signed_at)
VALUES (%b, %b, %b, %b, %b, %b, clock_timestamp())
    ON CONFLICT (tenant_id, generation, witness) DO UPDATE
   SET size = excluded.size, has_map = excluded.has_map, lines = excluded.lines, signed_at = excluded.signed_at,
       asked_at = clock_timestamp(), error = NULL, failing_since = NULL

-- name: not signed
-- Notes that a witness has not signed, and since when.
INSERT INTO runfold.seal_witnesses AS w (tenant_id, generation, witness, error, failing_since)
VALUES (%b, %b, %b, %b, clock_timestamp())
    ON CONFLICT (tenant_id, generation, witness) DO UPDATE
   SET asked_at = clock_timestamp(), error = excluded.error, failing_since = coalesce(w.failing_since, clock_timestamp())

-- name: forget others
-- Forgets witnesses that are asked no more.
DELETE FROM runfold.seal_witnesses AS w
 WHERE w.witness <> ALL(%b::text[])
