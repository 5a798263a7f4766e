-- name: strays
-- What lies in the schema runfold and belongs to another role than runfold_owner.
SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END,
       c.oid::regclass::text, r.rolname::text, r.rolsuper
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
 WHERE c.relnamespace = to_regnamespace('runfold') AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'c') AND r.rolname <> 'runfold_owner'
   AND (c.relkind = 'c' -- it belongs to its type, and not to a table
        OR NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')))
 UNION ALL
SELECT 'ROUTINE', p.oid::regprocedure::text, r.rolname::text, r.rolsuper
  FROM pg_catalog.pg_proc AS p
  JOIN pg_catalog.pg_roles AS r ON r.oid = p.proowner
 WHERE p.pronamespace = to_regnamespace('runfold') AND r.rolname <> 'runfold_owner'
 UNION ALL
SELECT 'SCHEMA', 'runfold', r.rolname::text, r.rolsuper
  FROM pg_catalog.pg_namespace AS n
  JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner
 WHERE n.nspname = 'runfold' AND r.rolname <> 'runfold_owner'
 ORDER BY 1, 2

-- name: lacking
-- Of the rights that migrations grant, those that a role does not have.
SELECT g.role, g.privilege, g.kind, g.name
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS g (role, privilege, kind, name)
 WHERE CASE g.kind
       WHEN 'SCHEMA' THEN NOT has_schema_privilege(g.role, g.name, g.privilege)
       WHEN 'FUNCTION' THEN EXISTS (SELECT
                                      FROM pg_catalog.pg_proc AS p
                                     WHERE p.pronamespace = to_regnamespace('runfold')
                                       AND 'runfold.' || p.proname = g.name
                                       AND NOT has_function_privilege(g.role, p.oid, g.privilege))
       ELSE to_regclass(g.name) IS NOT NULL AND NOT has_table_privilege(g.role, to_regclass(g.name), g.privilege)
       END
 ORDER BY 4, 1, 2

-- name: open
-- Of the functions that migrations close, those that everybody may call.
SELECT DISTINCT 'runfold.' || p.proname
  FROM pg_catalog.pg_proc AS p
 WHERE p.pronamespace = to_regnamespace('runfold')
   AND 'runfold.' || p.proname = ANY(%s)
   AND has_function_privilege('public', p.oid, 'EXECUTE')
 ORDER BY 1
