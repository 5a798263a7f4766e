-- name: past schemas
-- The schemas of the past that were asked for and not dropped yet.
SELECT schema, position, run_id, names, versions, epoch, ready, kept, done, total, error, created_at
  FROM runfold.past_schemas
 ORDER BY schema

-- name: add past schema
-- Note that a schema is being made, or made again.
INSERT INTO runfold.past_schemas AS p (schema, position, run_id, names, versions, epoch)
VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (schema) DO UPDATE
   SET names = excluded.names, versions = excluded.versions, epoch = excluded.epoch, error = NULL
