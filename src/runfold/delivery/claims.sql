-- name: take
-- Claims a reactor, or renews the claim. A claim that goes further into the future than any could is of a clock that was put
-- back since, and is not believed.
INSERT INTO runfold.reactors AS r (name, worker, token, held_until)
VALUES (%(name)s, %(worker)s, 1, clock_timestamp() + %(hold)s)
    ON CONFLICT (name) DO UPDATE
   SET worker = excluded.worker, held_until = excluded.held_until,
       token = r.token + CASE WHEN r.worker IS NOT DISTINCT FROM excluded.worker THEN 0 ELSE 1 END
 WHERE r.worker IS NULL
    OR r.worker = excluded.worker
    OR r.held_until NOT BETWEEN clock_timestamp() AND excluded.held_until
RETURNING r.token, r.position, r.epoch

-- name: is free
-- Whether there is any use in claiming it: looking takes no lock.
SELECT NOT EXISTS (SELECT FROM runfold.reactors AS r
                    WHERE r.name = %(name)s
                      AND r.worker <> %(worker)s
                      AND r.held_until BETWEEN clock_timestamp() AND clock_timestamp() + %(hold)s) AS free

-- name: note
-- Notes what was done, and how far it is. Nothing comes back where another has claimed it since.
UPDATE runfold.reactors AS r
   SET position = coalesce(%(position)s, r.position),
       epoch = coalesce(%(epoch)s, r.epoch),
       done = r.done || (SELECT coalesce(jsonb_object_agg(d.key, d.value::bigint + coalesce((r.done ->> d.key)::bigint, 0)), jsonb_build_object())
                           FROM jsonb_each_text(%(done)s) AS d),
       held_until = clock_timestamp() + %(hold)s,
       looked_at = clock_timestamp(),
       did_at = CASE WHEN %(done)s::jsonb = jsonb_build_object() THEN r.did_at ELSE clock_timestamp() END,
       due_since = %(due_since)s,
       error = NULL, failing_since = NULL
 WHERE r.name = %(name)s
   AND r.token = %(token)s
RETURNING r.token

-- name: fail
-- Notes why it cannot go on.
UPDATE runfold.reactors AS r
   SET error = %(error)s, failing_since = coalesce(r.failing_since, clock_timestamp())
 WHERE r.name = %(name)s
   AND r.token = %(token)s

-- name: release
-- Gives a reactor back, so that others can go on at once.
UPDATE runfold.reactors
   SET worker = NULL
 WHERE name = %(name)s
   AND token = %(token)s
