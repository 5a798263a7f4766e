-- name: rights
-- What this role may do with the log.
SELECT has_table_privilege('runfold.log', 'SELECT'),
       has_function_privilege((SELECT p.oid FROM pg_catalog.pg_proc AS p
                                 JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
                                WHERE n.nspname = 'runfold' AND p.proname = 'append_events'), 'EXECUTE'),
       ARRAY(SELECT wanted FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS wanted
              WHERE has_table_privilege('runfold.log', wanted)),
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)

-- name: schemas
-- Whether the roles may create schemas in this database.
SELECT has_database_privilege('runfold_projector', current_database(), 'CREATE'),
       has_database_privilege('runfold_owner', current_database(), 'CREATE')

-- name: tenants
-- Whether row-level security applies to this role, and which tables and views lack it.
SELECT row_security_active('runfold.log'), pg_has_role('runfold_app', 'USAGE'),
       ARRAY(SELECT u.schema || '.' || u.name FROM runfold.unwalled AS u ORDER BY 1)

-- name: server
-- The server, and who asks.
SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_user::text,
       current_database()::text, current_setting('server_encoding')

-- name: place
-- Whether the server tells its system identifier and timeline.
SELECT system_identifier IS NOT NULL, timeline IS NOT NULL OR pg_catalog.pg_is_in_recovery()
  FROM runfold.place()
