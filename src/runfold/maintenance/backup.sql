-- name: sums
-- How many events there are, the first and last position, and a digest over ids and payloads.
SELECT count(*), min(e.notification_id), coalesce(max(e.notification_id), 0),
       coalesce(mod(sum(mod(('x' || encode(substring(sha256(uuid_send(e.event_id) || e.state) FOR 8), 'hex'))
                            ::bit(64)::bigint::numeric + 18446744073709551616, 18446744073709551616)), 18446744073709551616), 0)
  FROM runfold.log AS e

-- name: may dump
-- Whether this role sees every row, and is of the owner; its name, and the server's version.
SELECT r.rolsuper OR r.rolbypassrls,
       EXISTS (SELECT FROM pg_catalog.pg_roles AS o
                WHERE o.rolname = 'runfold_owner' AND pg_has_role(current_user, o.oid, 'MEMBER')),
       current_user::text, current_setting('server_version_num')::int / 10000
  FROM pg_catalog.pg_roles AS r
 WHERE r.rolname = current_user
