-- name: views
-- The view under a read model's plain name, and those of it that were put aside.
SELECT c.oid, c.relname::text AS name
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = %(schema)s
   AND c.relkind = 'v'
   AND (c.relname = %(name)s OR c.relname ~ %(aside)s)
 ORDER BY c.relname

-- name: tables
-- The tables of a schema.
SELECT c.relname::text AS name
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = %(schema)s
   AND c.relkind = 'r'

-- name: columns
-- The columns of a view, with their types as a table is made with them.
SELECT a.attname::text AS name,
       replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz') || CASE l.collname WHEN 'C' THEN ' COLLATE "C"' ELSE '' END AS type
  FROM pg_attribute AS a
  LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
 WHERE a.attrelid = %(view)s
   AND a.attnum > 0
   AND NOT a.attisdropped
 ORDER BY a.attnum

-- name: dependents
-- What depends on a view or on its type of row, but for what it is made of itself; and which columns it takes. A reference to
-- whole rows is noted nowhere but in the tree of the query.
SELECT found.what, bool_or(found.takes_all) AS takes_all,
       coalesce(array_agg(DISTINCT found.name) FILTER (WHERE found.name IS NOT NULL), '{}') AS columns
  FROM (SELECT replace(CASE WHEN r.oid IS NULL THEN pg_describe_object(d.classid, d.objid, 0)
                            ELSE pg_describe_object('pg_class'::regclass, r.ev_class, 0) END, ' public.', ' ') AS what,
               a.attname::text AS name,
               coalesce(d.refclassid = 'pg_type'::regclass OR r.ev_action::text ~ ':varattno 0 '
                        OR p.prosqlbody::text ~ ':varattno 0 ', false)
                   OR (r.oid IS NULL AND p.prosqlbody IS NULL AND a.attname IS NULL) AS takes_all
          FROM pg_depend AS d
          JOIN pg_class AS v ON v.oid = %(view)s
          LEFT JOIN pg_type AS t ON t.oid = v.reltype
          LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
          LEFT JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
          LEFT JOIN pg_attribute AS a ON d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
                                     AND a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
         WHERE d.deptype = 'n'
           AND ((d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid)
                OR (d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray)))
           AND r.ev_class IS DISTINCT FROM v.oid) AS found
 GROUP BY found.what
 ORDER BY found.what

-- name: grants
-- What is granted on a view, whole or by column, to others than its owner.
SELECT g.privilege_type AS privilege, g.is_grantable, CASE WHEN g.grantee <> 0 THEN pg_get_userbyid(g.grantee)::text END AS grantee, g.column
  FROM (SELECT x.*, c.relowner, NULL AS column
          FROM pg_class AS c
         CROSS JOIN aclexplode(c.relacl) AS x
         WHERE c.oid = %(view)s
         UNION ALL
        SELECT x.*, c.relowner, a.attname::text
          FROM pg_class AS c
          JOIN pg_attribute AS a ON a.attrelid = c.oid
         CROSS JOIN aclexplode(a.attacl) AS x
         WHERE c.oid = %(view)s) AS g
 WHERE g.grantee <> g.relowner

-- name: made over schema
-- A view of somebody's that is made over a table of a schema.
SELECT pg_describe_object('pg_class'::regclass, r.ev_class, 0) AS what, c.relname::text AS over
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.classid = 'pg_rewrite'::regclass
  JOIN pg_rewrite AS r ON r.oid = d.objid
  JOIN pg_class AS v ON v.oid = r.ev_class
 WHERE n.nspname = %(schema)s
   AND v.relnamespace <> n.oid
   AND v.relnamespace <> coalesce(to_regnamespace('runfold_read')::oid, 0)
 ORDER BY 1
 LIMIT 1

-- name: comments that lack
-- Columns of the views in use whose table has a comment for them, and which have none.
SELECT v.relname::text AS view, a.attname::text AS name, col_description(t.oid, b.attnum) AS comment
  FROM pg_class AS v
  JOIN pg_namespace AS n ON n.oid = v.relnamespace AND n.nspname = %(schema)s
  JOIN pg_attribute AS a ON a.attrelid = v.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN runfold.read_models AS m ON m.name = v.relname AND m.state = 'live'
  JOIN pg_class AS t ON t.oid = to_regclass(format('runfold_%%s_%%s.%%I', m.name, m.generation, m.name))
  JOIN pg_attribute AS b ON b.attrelid = t.oid AND b.attname = a.attname AND NOT b.attisdropped
 WHERE v.relkind = 'v'
   AND pg_get_userbyid(v.relowner) = current_user
   AND col_description(v.oid, a.attnum) IS NULL
   AND col_description(t.oid, b.attnum) IS NOT NULL
 ORDER BY v.relname, a.attnum
