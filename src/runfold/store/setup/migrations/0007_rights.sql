-- Who may make schemas makes only those of read models. Runs as runfold_owner, in one transaction.
--
-- Whoever may make any schema of a database may make one that is on somebody's search path (one that is named as a role is on
-- that role's), and in it functions, operators and tables that are named as PostgreSQL's or ours, which the other then runs.
-- So runfold_projector may not make schemas: these functions do it, and every session of ours looks into pg_catalog alone.

-- name: create_schema
-- Makes a schema for read models, and lets runfold_projector make tables in it and the others read them; one that these
-- functions made before stays as it is. It may be runfold_read, runfold_NAME_GENERATION, or have a free name of somebody's
-- choice that no role has.
CREATE FUNCTION runfold.create_schema(schema text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    made_before CONSTANT boolean := EXISTS (
        SELECT FROM pg_catalog.pg_namespace AS n
         WHERE n.nspname = schema
           AND (pg_catalog.pg_get_userbyid(n.nspowner) = 'runfold_projector' -- as they were made before this function was there
                OR (pg_catalog.pg_get_userbyid(n.nspowner) = 'runfold_owner'
                    AND pg_catalog.obj_description(n.oid, 'pg_namespace') = 'Read models of Runfold')));
BEGIN
    IF schema IS NULL
       OR schema !~ '^[a-z][a-z0-9_]{0,62}$'
       OR schema ~ '^(pg_|public$|information_schema$)'
       OR (schema ~ '^runfold' AND schema <> 'runfold_read' AND schema !~ '^runfold_[a-z][a-z0-9_]{0,38}_[1-9][0-9]*$')
       OR EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = schema) THEN
        RAISE EXCEPTION 'no schema of read models can be called %', quote_nullable(schema)
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'choose up to 63 small letters, digits and _, a letter first, and neither pg_…, public nor the name of a role';
    END IF;
    IF made_before THEN
        RETURN;
    END IF;
    IF to_regnamespace(quote_ident(schema)) IS NOT NULL THEN
        RAISE EXCEPTION 'the schema % is somebody else''s', schema
            USING ERRCODE = 'duplicate_schema', HINT = 'choose another name, or drop it if nobody needs it';
    END IF;
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('COMMENT ON SCHEMA %I IS %L', schema, 'Read models of Runfold');
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO runfold_projector', schema);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO runfold_app, runfold_reader', schema);
END $$;

-- name: drop_schema
-- Drops a schema that create_schema made, with all that is in it. Any other is left as it is: those that runfold_projector
-- made by itself, before it had this function, it owns and drops by itself.
CREATE FUNCTION runfold.drop_schema(schema text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
    IF schema <> 'runfold_read'
       AND EXISTS (SELECT FROM pg_catalog.pg_namespace AS n
                    WHERE n.nspname = schema
                      AND pg_catalog.pg_get_userbyid(n.nspowner) = 'runfold_owner'
                      AND pg_catalog.obj_description(n.oid, 'pg_namespace') = 'Read models of Runfold') THEN
        EXECUTE format('DROP SCHEMA %I CASCADE', schema);
    END IF;
END $$;

REVOKE ALL ON FUNCTION runfold.create_schema, runfold.drop_schema FROM PUBLIC;
GRANT EXECUTE ON FUNCTION runfold.create_schema, runfold.drop_schema TO runfold_projector;

ALTER FUNCTION runfold.refuse_change() SET search_path = pg_catalog, pg_temp;
