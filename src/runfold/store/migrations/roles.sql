-- Roles and the schema, made by whoever migrates, before the numbered files. Safe to run again, and by two at once.
-- What is there already is not asked for again, so that a role without the right to make it can migrate from then on.

DO $$
DECLARE
    role_name text;
    has_settings CONSTANT text := 'SELECT FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole '
                                  'WHERE r.rolname = %L AND s.setdatabase = 0 AND s.setconfig @> %L::text[]';
    holds_owner CONSTANT text := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END;
    found boolean;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['runfold_owner', 'runfold_app', 'runfold_projector', 'runfold_reader'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role_name);
        BEGIN
            EXECUTE format('CREATE ROLE %I', role_name);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL; -- another migration made it just now
        END;
    END LOOP;

    -- A session that stalls inside a transaction would hold up everybody's appends; the server ends it.
    EXECUTE format('SELECT EXISTS (' || has_settings || ')', 'runfold_app',
                   '{idle_in_transaction_session_timeout=10s,lock_timeout=5s}') INTO found;
    IF NOT found THEN
        ALTER ROLE runfold_app SET idle_in_transaction_session_timeout = '10s';
        ALTER ROLE runfold_app SET lock_timeout = '5s';
    END IF;
    EXECUTE format('SELECT EXISTS (' || has_settings || ')', 'runfold_projector',
                   '{idle_in_transaction_session_timeout=10s,lock_timeout=5s}') INTO found;
    IF NOT found THEN
        ALTER ROLE runfold_projector SET idle_in_transaction_session_timeout = '10s';
        ALTER ROLE runfold_projector SET lock_timeout = '5s';
    END IF;

    -- Read models live in schemas that the projector makes and drops.
    IF NOT has_database_privilege('runfold_projector', current_database(), 'CREATE') THEN
        EXECUTE format('GRANT CREATE ON DATABASE %I TO runfold_projector', current_database());
    END IF;

    IF NOT pg_has_role(current_user, 'runfold_owner', holds_owner) THEN
        EXECUTE format('GRANT runfold_owner TO %I', current_user);
    END IF;
    IF to_regnamespace('runfold') IS NULL THEN
        CREATE SCHEMA runfold AUTHORIZATION runfold_owner;
    END IF;
END $$;
