-- Roles and the schema, made by whoever migrates, before the numbered files. Safe to run again, and by two at once.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['runfold_owner', 'runfold_app', 'runfold_projector', 'runfold_reader'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I', role_name);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL; -- it is there, or another migration made it just now
        END;
    END LOOP;
END $$;

-- A session that stalls inside a transaction would hold up everybody's appends; the server ends it.
ALTER ROLE runfold_app SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE runfold_app SET lock_timeout = '5s';
ALTER ROLE runfold_projector SET idle_in_transaction_session_timeout = '60s';

GRANT runfold_owner TO CURRENT_USER;
CREATE SCHEMA IF NOT EXISTS runfold AUTHORIZATION runfold_owner;
