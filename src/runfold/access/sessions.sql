-- name: begin
-- Keeps a session, or the token of a sign-in address.
INSERT INTO runfold.browser_sessions (digest, tenant_id, key_id, is_once)
VALUES (%(digest)s, %(tenant)s, %(key)s, %(once)s)

-- name: redeem
-- Takes the token of a sign-in address away, and tells what it is good for. One that is of the future was made by a clock that was
-- put back since, and nobody knows how old it is; by less than a minute clocks are corrected.
DELETE FROM runfold.browser_sessions AS s
 WHERE s.digest = %(digest)s
   AND s.is_once
   AND s.created_at BETWEEN clock_timestamp() - %(lasting)s::interval AND clock_timestamp() + interval '1 minute'
RETURNING s.tenant_id, s.key_id

-- name: find
-- A session that was used of late, and whether that has to be noted again; none that was used in the future, as above.
SELECT s.tenant_id, s.key_id, s.used_at < clock_timestamp() - %(noted)s::interval AS is_to_note
  FROM runfold.browser_sessions AS s
 WHERE s.digest = %(digest)s
   AND NOT s.is_once
   AND s.used_at BETWEEN clock_timestamp() - %(idle)s::interval AND clock_timestamp() + interval '1 minute'

-- name: note
-- Notes that a session is in use.
UPDATE runfold.browser_sessions
   SET used_at = clock_timestamp()
 WHERE digest = %(digest)s

-- name: end
-- Ends a session.
DELETE FROM runfold.browser_sessions
 WHERE digest = %(digest)s

-- name: sweep
-- Forgets what nobody used for too long.
DELETE FROM runfold.browser_sessions
 WHERE used_at NOT BETWEEN clock_timestamp() - %(idle)s::interval AND clock_timestamp() + interval '1 minute'
    OR (is_once AND created_at <= clock_timestamp() - %(lasting)s::interval)
