-- name: state
-- What the database holds of Runfold: none, bare, foreign or ledger; and its name.
SELECT CASE WHEN to_regnamespace('runfold') IS NULL THEN 'none'
            WHEN to_regclass('runfold.log') IS NULL AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_class AS c WHERE c.relnamespace = to_regnamespace('runfold')) THEN 'bare'
            WHEN to_regclass('runfold.log') IS NULL THEN 'foreign'
            ELSE 'ledger' END, current_database()::text

-- name: schemas
-- The schemas of Runfold and of its read models.
SELECT n.nspname
  FROM pg_catalog.pg_namespace AS n
 WHERE n.nspname = 'runfold'
    OR (pg_catalog.obj_description(n.oid, 'pg_namespace') = 'Read models of Runfold'
        AND pg_catalog.pg_get_userbyid(n.nspowner) IN ('runfold_owner', 'runfold_projector'))

-- name: receipt
-- Note that a backup was restored, and what it held.
INSERT INTO runfold.restores (epoch, file, sha256, bytes, first_position, last_position, events, digest)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
