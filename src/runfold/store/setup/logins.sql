-- name: roles
-- Which of some roles there are.
SELECT rolname
  FROM pg_catalog.pg_roles
 WHERE rolname = ANY(%b)

-- name: rights
-- Whether who asks may act as the owner of the log and make schemas; whether its schema is there, and the owner may make some.
SELECT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = %b AND pg_has_role(current_user, r.oid, 'MEMBER')),
       has_database_privilege(current_user, current_database(), 'CREATE'),
       EXISTS (SELECT FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'runfold'),
       EXISTS (SELECT
                 FROM pg_catalog.pg_roles AS r
                WHERE r.rolname = %b
                  AND has_database_privilege(r.oid, current_database(), 'CREATE'))

-- name: roles with logins
-- Those of some roles as which somebody may log in who may not do everything anyway.
SELECT role.rolname
  FROM pg_catalog.pg_roles AS role
 WHERE role.rolname = ANY(%b)
   AND (role.rolcanlogin
        OR EXISTS (SELECT
                     FROM pg_catalog.pg_auth_members AS m
                     JOIN pg_catalog.pg_roles AS login ON login.oid = m.member
                    WHERE m.roleid = role.oid
                      AND login.rolcanlogin
                      AND NOT login.rolsuper
                      AND NOT pg_has_role(login.oid, %b, 'MEMBER')))

-- name: roles with limits
-- Those of some roles whose sessions give up waiting and standing still as ours must.
SELECT r.rolname
  FROM pg_catalog.pg_roles AS r
  JOIN pg_catalog.pg_db_role_setting AS s ON s.setrole = r.oid AND s.setdatabase = 0
 WHERE r.rolname = ANY(%b)
   AND s.setconfig @> %b::text[]
