-- name: moments
-- Those of one tenant, and whether somebody is at work on each just now.
SELECT m.tenant_id, m.schema, p.position, p.names, p.ready, p.done, p.total, p.error, m.asked_by, m.asked_at, m.used_at,
       m.expires_in,
       EXISTS (SELECT FROM runfold.held_session_locks AS h WHERE h.name = 'schema ' || m.schema) AS being_made
  FROM runfold.moments AS m
  JOIN runfold.past_schemas AS p USING (schema)
 WHERE m.tenant_id = %(tenant)s
 ORDER BY p.position, m.schema

-- name: serving
-- Schemas of whole ledgers as of a position that a tenant may be answered from: its own moments, and what was made on
-- purpose. That another tenant asked for the same is told to nobody. The owner may use all.
SELECT p.schema, p.position, p.run_id, p.names, p.versions, p.epoch, p.ready, p.kept, p.done, p.total, p.error, p.created_at
  FROM runfold.past_schemas AS p
 WHERE p.position = %(position)s
   AND p.run_id IS NULL
   AND p.ready
   AND (p.kept
        OR %(every)s
        OR EXISTS (SELECT FROM runfold.moments AS m WHERE m.schema = p.schema AND m.tenant_id = %(tenant)s))
 ORDER BY p.kept DESC, p.schema

-- name: use
-- Noted now and then, and not with every question.
UPDATE runfold.moments
   SET used_at = clock_timestamp()
 WHERE schema = %(schema)s
   AND tenant_id = %(tenant)s
   AND used_at < clock_timestamp() - least(expires_in / 10, interval '1 minute')

-- name: ask again
-- Use a moment that was asked for before; by name it stays.
UPDATE runfold.moments
   SET used_at = clock_timestamp(), expires_in = %(expires_in)s, automatic = automatic AND %(automatic)s
 WHERE schema = %(schema)s
   AND tenant_id = %(tenant)s
RETURNING schema

-- name: try again
-- Let a schema of the past that failed be made again.
UPDATE runfold.past_schemas
   SET error = NULL, done = 0
 WHERE schema = %(schema)s
   AND NOT ready
   AND error IS NOT NULL

-- name: count
-- How many this tenant asked for, how many there are in all, and whether this schema is there.
SELECT (SELECT count(*) FROM runfold.moments AS m WHERE m.tenant_id = %(tenant)s AND NOT m.automatic) AS own,
       (SELECT count(*) FROM runfold.past_schemas AS p WHERE NOT p.kept AND p.schema <> %(schema)s) AS others,
       EXISTS (SELECT FROM runfold.past_schemas AS p WHERE p.schema = %(schema)s) AS exists

-- name: add schema
-- Ask for a schema of the past, which is dropped when no moment uses it.
INSERT INTO runfold.past_schemas (schema, position, names, versions, epoch, kept)
VALUES (%(schema)s, %(position)s, %(names)s, %(versions)s, %(epoch)s, false)

-- name: add moment
-- Note that a tenant asked for a moment.
INSERT INTO runfold.moments (tenant_id, schema, asked_by, expires_in, automatic)
VALUES (%(tenant)s, %(schema)s, %(asked_by)s, %(expires_in)s, %(automatic)s)

-- name: forget moment
-- Forget a moment of a tenant.
DELETE FROM runfold.moments
 WHERE tenant_id = %(tenant)s
   AND schema = %(schema)s
RETURNING schema

-- name: forget automatic
-- All but the newest few, by when they were used last.
DELETE FROM runfold.moments AS m
 WHERE m.automatic
   AND (m.tenant_id, m.schema) IN (SELECT a.tenant_id, a.schema
                                     FROM runfold.moments AS a
                                    WHERE a.automatic
                                    ORDER BY a.used_at DESC
                                   OFFSET %(most)s)

-- name: forget expired
-- Forget the moments that nobody used for as long as they were to be kept.
DELETE FROM runfold.moments
 WHERE used_at + expires_in < clock_timestamp()

-- name: unused
-- The schemas of the past that no moment uses.
SELECT p.schema
  FROM runfold.past_schemas AS p
 WHERE NOT p.kept
   AND NOT EXISTS (SELECT FROM runfold.moments AS m WHERE m.schema = p.schema)
 ORDER BY p.schema

-- name: forget unused
-- Forget a schema of the past, if no moment uses it.
DELETE FROM runfold.past_schemas AS p
 WHERE p.schema = %(schema)s
   AND NOT p.kept
   AND NOT EXISTS (SELECT FROM runfold.moments AS m WHERE m.schema = p.schema)
RETURNING p.schema

-- name: waiting
-- What was asked for and is not made yet, the first that was asked for first, and whether somebody is at work on it.
SELECT p.schema,
       EXISTS (SELECT FROM runfold.held_session_locks AS h WHERE h.name = 'schema ' || p.schema) AS being_made
  FROM runfold.past_schemas AS p
 WHERE NOT p.kept
   AND NOT p.ready
   AND p.error IS NULL
   AND EXISTS (SELECT FROM runfold.moments AS m WHERE m.schema = p.schema)
 ORDER BY p.created_at, p.schema

-- name: fail
-- Note why a schema of the past could not be made.
UPDATE runfold.past_schemas
   SET error = %(error)s
 WHERE schema = %(schema)s
   AND NOT ready
