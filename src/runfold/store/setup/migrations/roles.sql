-- Roles and the schema, made by whoever migrates, before the numbered files. Safe to run again, and by two at once.
-- What is there already is not asked for again, so that a role without the right to make it can migrate from then on.

-- Whoever may make schemas here could otherwise have put functions in the way that are named as PostgreSQL's.
SET search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    role_name text;
    has_settings CONSTANT text := 'SELECT FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole '
                                  'WHERE r.rolname = %L AND s.setdatabase = 0 AND s.setconfig @> %L::text[]';
    holds_owner CONSTANT text := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END;
    found boolean;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['runfold_owner', 'runfold_app', 'runfold_projector', 'runfold_reader', 'runfold_sealer'] LOOP
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
    EXECUTE format('SELECT EXISTS (' || has_settings || ')', 'runfold_sealer',
                   '{idle_in_transaction_session_timeout=10s,lock_timeout=5s}') INTO found;
    IF NOT found THEN
        ALTER ROLE runfold_sealer SET idle_in_transaction_session_timeout = '10s';
        ALTER ROLE runfold_sealer SET lock_timeout = '5s';
    END IF;

    -- Read models live in schemas that the projector makes through runfold.create_schema, and in no others.
    IF NOT has_database_privilege('runfold_owner', current_database(), 'CREATE') THEN
        EXECUTE format('GRANT CREATE ON DATABASE %I TO runfold_owner', current_database());
    END IF;
    IF EXISTS (SELECT
                 FROM pg_database AS d
                CROSS JOIN aclexplode(d.datacl) AS granted
                WHERE d.datname = current_database()
                  AND granted.privilege_type = 'CREATE'
                  AND granted.grantee = 'runfold_projector'::regrole) THEN
        EXECUTE format('REVOKE CREATE ON DATABASE %I FROM runfold_projector', current_database());
    END IF;

    IF NOT pg_has_role(current_user, 'runfold_owner', holds_owner) THEN
        EXECUTE format('GRANT runfold_owner TO %I', current_user);
    END IF;
    IF to_regnamespace('runfold') IS NULL THEN
        CREATE SCHEMA runfold AUTHORIZATION runfold_owner;
    ELSIF (SELECT n.nspowner <> 'runfold_owner'::regrole AND NOT r.rolsuper -- a superuser's is a dump restored without roles
             FROM pg_namespace AS n JOIN pg_roles AS r ON r.oid = n.nspowner WHERE n.nspname = 'runfold') THEN
        RAISE EXCEPTION 'the schema runfold is not runfold_owner''s, and its owner may have put anything into it'
            USING ERRCODE = 'insufficient_privilege', HINT = 'rename or drop that schema, and migrate again';
    END IF;
END $$;
