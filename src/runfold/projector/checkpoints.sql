-- name: read models
-- All generations, how far each is, who folds it, and what is wrong with it.
SELECT m.name, m.generation, m.version, m.fingerprint, m.depends_on, m.source, m.state, c.position, c.epoch, c.token,
       c.worker, c.moved_at, t.state AS trouble, t.position AS trouble_position, t.event_type, t.error, t.message,
       t.attempts, t.since
  FROM runfold.read_models AS m
  LEFT JOIN runfold.checkpoints AS c USING (name, generation)
  LEFT JOIN runfold.troubles AS t USING (name, generation)
 ORDER BY m.name, m.generation

-- name: add read model
-- Note a new generation of a read model.
INSERT INTO runfold.read_models (name, generation, version, fingerprint, depends_on, source, types, state)
VALUES (%(name)s, %(generation)s, %(version)s, %(fingerprint)s, %(depends_on)s, %(source)s, %(types)s, %(state)s)

-- name: add checkpoint
-- Begin the checkpoint of a generation.
INSERT INTO runfold.checkpoints (name, generation, epoch, position)
VALUES (%(name)s, %(generation)s, %(epoch)s, %(position)s)

-- name: add receipt
-- Note how many events up to the checkpoint a new generation has taken in, and their digest.
INSERT INTO runfold.receipts (name, generation, first_position, last_position, events, digest)
VALUES (%(name)s, %(generation)s, 1, %(position)s, %(events)s, %(digest)s)

-- name: set state
-- Set the state of a generation: filling, building, live or previous.
UPDATE runfold.read_models
   SET state = %(state)s
 WHERE name = %(name)s
   AND generation = %(generation)s

-- name: remove read model
-- Remove a generation; what is noted of it goes with it.
DELETE FROM runfold.read_models
 WHERE name = %(name)s
   AND generation = %(generation)s

-- name: unwalled
-- Tables and views of the projector's in which the database does not keep tenants apart.
SELECT u.schema, u.name, u.is_view
  FROM runfold.unwalled AS u
 WHERE u.owner = current_user
 ORDER BY u.schema, u.name

-- name: beat
-- Say that this worker lives.
INSERT INTO runfold.workers AS w (worker, beat, host, pid, names)
VALUES (%(worker)s, 1, %(host)s, %(pid)s, %(names)s)
    ON CONFLICT (worker) DO UPDATE SET beat = w.beat + 1, names = excluded.names, beaten_at = clock_timestamp()

-- name: workers
-- Every worker that is known, with its last beat.
SELECT worker, beat, host, pid, names, started_at
  FROM runfold.workers
 ORDER BY worker

-- name: remove worker
-- Only as it was seen: one that was taken for dead may just have woken.
DELETE FROM runfold.workers
 WHERE worker = %(worker)s
   AND beat = coalesce(%(beat)s, beat)

-- name: claim
-- Take a read model from nobody, or from who was seen to hold it. The token voids what the holder before may still write.
-- One that is just being moved on is not waited for: who asks has others to fold, and asks again.
WITH free AS (
    SELECT name, generation
      FROM runfold.checkpoints
     WHERE name = %(name)s
       AND generation = %(generation)s
       AND token = %(token)s
       AND worker IS NOT DISTINCT FROM %(holder)s
       FOR UPDATE SKIP LOCKED
)
UPDATE runfold.checkpoints AS c
   SET token = c.token + 1, worker = %(worker)s
  FROM free
 WHERE c.name = free.name
   AND c.generation = free.generation
RETURNING c.position, c.epoch, c.token,
          (SELECT count(*)
             FROM pg_index AS i
            WHERE i.indrelid = to_regclass(format('%%I.%%I', format('runfold_%%s_%%s', c.name, c.generation), c.name))
              AND NOT i.indisprimary) AS indexes

-- name: adopt
-- A checkpoint of the history before this one goes on in this one, where both are the same up to it.
UPDATE runfold.checkpoints
   SET epoch = %(epoch)s
 WHERE name = %(name)s
   AND generation = %(generation)s
   AND position = %(position)s
   AND epoch = %(before)s

-- name: lock read model
-- All its generations; nobody moves one on until the transaction ends.
SELECT m.generation, m.state, c.position, c.token
  FROM runfold.read_models AS m
  JOIN runfold.checkpoints AS c USING (name, generation)
 WHERE m.name = %(name)s
 ORDER BY m.generation
   FOR UPDATE OF c

-- name: release
-- Give a read model back, if it is still claimed under this token.
UPDATE runfold.checkpoints
   SET worker = NULL
 WHERE name = %(name)s
   AND generation = %(generation)s
   AND token = %(token)s

-- name: advance
-- Move read models on together; whose row does not come back has lost its claim. First in its transaction, so that who
-- has lost it does nothing.
UPDATE runfold.checkpoints AS c
   SET position = %(up_to)s, moved_at = clock_timestamp()
  FROM unnest(%(names)s::text[], %(generations)s::int[], %(tokens)s::bigint[]) AS held (name, generation, token)
 WHERE c.name = held.name
   AND c.generation = held.generation
   AND c.token = held.token
   AND c.position = %(after)s
   AND c.epoch = %(epoch)s
RETURNING c.name, c.generation

-- name: acknowledge
-- Note what was applied: the receipt that ends just before grows, or a new one begins.
WITH applied AS (
    SELECT * FROM unnest(%(names)s::text[], %(generations)s::int[], %(counts)s::bigint[], %(digests)s::numeric[])
               AS a (name, generation, events, digest)
), grown AS (
    UPDATE runfold.receipts AS r
       SET last_position = %(up_to)s, events = r.events + a.events,
           digest = mod(r.digest + a.digest, 18446744073709551616)
      FROM applied AS a
     WHERE r.name = a.name
       AND r.generation = a.generation
       AND r.last_position = %(after)s
    RETURNING r.name, r.generation
)
INSERT INTO runfold.receipts (name, generation, first_position, last_position, events, digest)
SELECT a.name, a.generation, %(after)s + 1, %(up_to)s, a.events, a.digest
  FROM applied AS a
 WHERE (a.name, a.generation) NOT IN (SELECT name, generation FROM grown)

-- name: receipts
-- Which positions were applied to a generation, in order.
SELECT first_position, last_position, events, digest
  FROM runfold.receipts
 WHERE name = %(name)s
   AND generation = %(generation)s
 ORDER BY first_position, last_position

-- name: trouble
-- Only by who may still move it on, or came to know of it last: others have nothing to say of it any more.
INSERT INTO runfold.troubles AS t (name, generation, state, position, event_type, error, message, attempts)
SELECT m.name, m.generation, %(state)s, %(position)s, %(event_type)s, %(error)s, %(message)s, %(attempts)s
  FROM runfold.read_models AS m
 WHERE m.name = %(name)s
   AND m.generation = %(generation)s
   AND NOT EXISTS (SELECT FROM runfold.checkpoints AS c
                    WHERE c.name = m.name
                      AND c.generation = m.generation
                      AND c.token > %(token)s)
    ON CONFLICT (name, generation) DO UPDATE
   SET state = excluded.state, position = excluded.position, event_type = excluded.event_type, error = excluded.error,
       message = excluded.message, attempts = excluded.attempts

-- name: end trouble
-- Note that a generation has no trouble any more.
DELETE FROM runfold.troubles
 WHERE name = %(name)s
   AND generation = %(generation)s

-- name: ages
-- For how long the first event that a read model has not looked at has been in the ledger; 0 where its time is none.
-- LATERAL … LIMIT keeps it one look-up for each, where a join could read the whole log in its order.
SELECT c.name, c.generation,
       CASE WHEN isfinite(next.recorded_at) THEN extract(epoch FROM clock_timestamp() - next.recorded_at)::float8 ELSE 0 END AS seconds
  FROM runfold.checkpoints AS c
 CROSS JOIN LATERAL (SELECT e.recorded_at FROM runfold.log AS e WHERE e.notification_id = c.position + 1 LIMIT 1) AS next

-- name: types
-- The types of events that a generation was made for.
SELECT types
  FROM runfold.read_models
 WHERE name = %(name)s
   AND generation = %(generation)s

-- name: sums by type
-- What the receipts of read models at this position must come to.
SELECT e.topic, count(*) AS events,
       mod(sum(mod(('x' || encode(substring(uuid_send(e.event_id) FROM 9), 'hex'))::bit(64)::bigint::numeric
                   + 18446744073709551616, 18446744073709551616)), 18446744073709551616) AS digest
  FROM runfold.log AS e
 WHERE e.notification_id <= %(up_to)s
 GROUP BY e.topic
