-- Locks that only the projector can take: for one transaction, and for a session. Runs as runfold_owner, in one transaction.
--
-- PostgreSQL's advisory locks are anybody's who can connect, a reader's too, and whoever takes one keeps it for as long as
-- they like. So nothing here depends on an advisory lock of a known number.

-- One row for each lock. Nobody is granted UPDATE, which locking a row takes: only runfold.take_lock locks them.
CREATE TABLE runfold.locks (
    name text PRIMARY KEY COLLATE "C"
);
INSERT INTO runfold.locks (name) VALUES ('generations'), ('moments'), ('session locks');
COMMENT ON TABLE runfold.locks IS 'What one transaction at a time may do; runfold.take_lock takes one until the transaction ends';

-- Who does something that takes longer than a transaction. A session shows that it lives by an advisory lock on a number that
-- it drew and noted here. The lock of any other session on that number says nothing.
CREATE TABLE runfold.session_locks (
    name text   PRIMARY KEY COLLATE "C",
    key  bigint NOT NULL,
    pid  int    NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE runfold.session_locks IS 'What one session at a time may do, such as rebuilding a read model; runfold.held_session_locks shows who still lives';
COMMENT ON COLUMN runfold.session_locks.key IS 'The random number on which the session holds an advisory lock for as long as it lives';

-- A process id is used again by and by, so the session must also be of a role that may fold.
CREATE VIEW runfold.held_session_locks AS
SELECT s.name, s.pid
  FROM runfold.session_locks AS s
  JOIN pg_catalog.pg_locks AS l ON l.pid = s.pid AND (l.classid::bigint << 32 | l.objid::bigint) = s.key
  JOIN pg_catalog.pg_stat_activity AS a ON a.pid = s.pid
 WHERE l.locktype = 'advisory'
   AND l.objsubid = 1
   AND l.granted
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
   AND pg_has_role(a.usesysid, 'runfold_projector', 'MEMBER');

-- name: take_lock
-- Waits until no other transaction holds the lock, and keeps it until the caller's ends. The server ends the session of a
-- holder that says nothing for longer than a moment, whatever its settings were.
CREATE FUNCTION runfold.take_lock(lock text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT current_setting('idle_in_transaction_session_timeout')::interval BETWEEN '1 ms' AND '10 s' THEN
        PERFORM set_config('idle_in_transaction_session_timeout', '10s', true);
    END IF;
    PERFORM FROM runfold.locks AS l WHERE l.name = lock FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no lock %', lock USING ERRCODE = 'invalid_parameter_value';
    END IF;
END $$;

-- name: take_session_lock
-- Whether the caller's session has the lock from now on, until it ends. Call it in a transaction of its own: others go by
-- what is committed.
CREATE FUNCTION runfold.take_session_lock(lock text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    holder int;
    key CONSTANT bigint := ('x' || encode(substr(uuid_send(gen_random_uuid()), 9), 'hex'))::bit(64)::bigint;
BEGIN
    PERFORM runfold.take_lock('session locks');
    holder := (SELECT h.pid FROM runfold.held_session_locks AS h WHERE h.name = lock);
    IF holder IS NOT NULL THEN
        RETURN holder = pg_backend_pid();
    END IF;
    IF NOT pg_try_advisory_lock(key) THEN
        RETURN false; -- somebody drew the same number
    END IF;
    DELETE FROM runfold.session_locks AS s
     WHERE NOT EXISTS (SELECT FROM runfold.held_session_locks AS h WHERE h.name = s.name);
    INSERT INTO runfold.session_locks (name, key, pid) VALUES (lock, key, pg_backend_pid());
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION runfold.take_lock, runfold.take_session_lock FROM PUBLIC;
GRANT EXECUTE ON FUNCTION runfold.take_lock, runfold.take_session_lock TO runfold_projector;
GRANT SELECT ON runfold.held_session_locks TO runfold_app, runfold_projector, runfold_reader;
