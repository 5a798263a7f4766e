-- The lineage of this ledger's histories. A database that is restored from an older copy, copied, or taken over by a standby
-- that was behind, goes on with other events at positions that were given out before: that is another history, an epoch
-- of its own, and a cursor says of which epoch its position is.
-- Runs as runfold_owner, in one transaction.

CREATE TABLE runfold.epochs (
    id                uuid        PRIMARY KEY,
    parent            uuid        REFERENCES runfold.epochs,
    from_position     bigint      NOT NULL CHECK (from_position >= 0),
    lost_position     bigint      CHECK (lost_position >= from_position),
    reason            text        NOT NULL CHECK (reason IN ('created', 'restored', 'copied', 'timeline changed', 'rolled back')),
    began_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    system_identifier bigint,
    timeline          bigint,
    database          oid
);
COMMENT ON TABLE runfold.epochs IS 'The histories of this ledger, each the child of the one before it. Rows are never changed or removed.';
COMMENT ON COLUMN runfold.epochs.from_position IS 'The last position that it shares with its parent';
COMMENT ON COLUMN runfold.epochs.lost_position IS 'How far its parent is known to have gone; null where that is not known';
COMMENT ON COLUMN runfold.epochs.system_identifier IS 'With timeline and database: where it began. Elsewhere another one begins. Null where the server does not tell';

CREATE TRIGGER epochs_are_immutable BEFORE UPDATE OR DELETE ON runfold.epochs
    FOR EACH ROW EXECUTE FUNCTION runfold.refuse_change();
CREATE TRIGGER epochs_are_not_truncated BEFORE TRUNCATE ON runfold.epochs
    FOR EACH STATEMENT EXECUTE FUNCTION runfold.refuse_change();
ALTER TABLE runfold.epochs ENABLE ALWAYS TRIGGER epochs_are_immutable;
ALTER TABLE runfold.epochs ENABLE ALWAYS TRIGGER epochs_are_not_truncated;

-- What `runfold restore` found in a dump, and from which file it was.
CREATE TABLE runfold.restores (
    epoch          uuid        PRIMARY KEY REFERENCES runfold.epochs,
    restored_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    file           text        NOT NULL,
    sha256         text        NOT NULL,
    bytes          bigint      NOT NULL,
    first_position bigint,
    last_position  bigint      NOT NULL,
    events         bigint      NOT NULL,
    digest         numeric     NOT NULL
);
COMMENT ON TABLE runfold.restores IS 'Receipts: which file was restored, and the events that it held';
COMMENT ON COLUMN runfold.restores.digest IS 'Sum over the events of the first eight bytes of the SHA-256 of id and payload, modulo 2^64';

-- name: place
-- Where this database is. Null for what the server does not tell; a standby is on no timeline of its own.
CREATE FUNCTION runfold.place(OUT system_identifier bigint, OUT timeline bigint, OUT database oid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    database := (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database());
    BEGIN
        system_identifier := (SELECT c.system_identifier FROM pg_catalog.pg_control_system() AS c);
    EXCEPTION WHEN insufficient_privilege OR undefined_function OR feature_not_supported THEN
        NULL;
    END;
    BEGIN
        IF NOT pg_catalog.pg_is_in_recovery() THEN -- the control file learns of a new timeline only at the next checkpoint
            timeline := ('x' || left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))::bit(32)::bigint;
        END IF;
    EXCEPTION WHEN insufficient_privilege OR undefined_function OR feature_not_supported THEN
        NULL;
    END;
END $$;

-- name: parted
-- Whether this database has parted from the history that it says it has: why, the last position that is common to both, and
-- how far the other one is known to have gone. All null where it has not, and on a standby, which only follows.
-- The arguments are the last event that somebody outside saw of this history, null where nobody did.
-- Times of the store never go back: what was recorded after that event was recorded is not of that history.
CREATE FUNCTION runfold.parted(
    known_epoch uuid, known_position bigint, known_event_id uuid, known_recorded_at timestamptz,
    OUT reason text, OUT common_position bigint, OUT lost_position bigint
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head record;
    began record;
    here record;
    stored uuid;
BEGIN
    IF pg_catalog.pg_is_in_recovery() THEN
        RETURN;
    END IF;
    SELECT h.position, h.epoch INTO head FROM runfold.head AS h;
    SELECT e.system_identifier, e.timeline, e.database INTO began FROM runfold.epochs AS e WHERE e.id = head.epoch;
    SELECT p.system_identifier, p.timeline, p.database INTO here FROM runfold.place() AS p;
    common_position := head.position;
    IF here.system_identifier <> began.system_identifier OR here.database <> began.database THEN
        reason := 'copied';
    ELSIF here.timeline <> began.timeline THEN
        reason := 'timeline changed';
    END IF;
    IF known_epoch = head.epoch AND known_position > 0 THEN
        stored := (SELECT e.event_id FROM runfold.log AS e WHERE e.notification_id = known_position);
        IF stored IS DISTINCT FROM known_event_id THEN
            reason := coalesce(reason, 'rolled back');
            lost_position := known_position;
            common_position := least(head.position, known_position - 1, runfold.position_at(known_recorded_at));
        END IF;
    END IF;
    IF reason IS NULL THEN
        common_position := NULL;
    END IF;
END $$;

-- name: begin_epoch
-- Begins a history in which everything up to a position is as it was. For who holds the head's lock.
CREATE FUNCTION runfold.begin_epoch(why text, common_position bigint, lost bigint) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made uuid;
BEGIN
    LOOP -- eight digits of it stand for it in a cursor
        made := gen_random_uuid();
        EXIT WHEN NOT EXISTS (SELECT FROM runfold.epochs AS e WHERE left(e.id::text, 8) = left(made::text, 8));
    END LOOP;
    INSERT INTO runfold.epochs (id, parent, from_position, lost_position, reason, system_identifier, timeline, database)
    SELECT made, h.epoch, least(common_position, h.position), lost, why, p.system_identifier, p.timeline, p.database
      FROM runfold.head AS h
     CROSS JOIN runfold.place() AS p;
    UPDATE runfold.head SET epoch = made;
    RETURN made;
END $$;

-- name: follow_history
-- Begins a new history where this database has parted from the one that it says it has; whoever comes second finds it begun.
-- It makes appends wait as everybody does who makes them wait: within bounds, and with the right to append. Who only folds
-- tells of it and begins nothing.
CREATE FUNCTION runfold.follow_history(
    known_epoch uuid, known_position bigint, known_event_id uuid, known_recorded_at timestamptz,
    OUT epoch uuid, OUT began text, OUT common_position bigint, OUT lost_position bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    found record;
BEGIN
    SELECT p.reason, p.common_position, p.lost_position INTO found
      FROM runfold.parted(known_epoch, known_position, known_event_id, known_recorded_at) AS p;
    IF found.reason IS NOT NULL THEN
        PERFORM runfold.hold_appends(); -- and whoever else came to the same conclusion
        SELECT p.reason, p.common_position, p.lost_position INTO found
          FROM runfold.parted(known_epoch, known_position, known_event_id, known_recorded_at) AS p;
        IF found.reason IS NOT NULL THEN
            PERFORM runfold.begin_epoch(found.reason, found.common_position, found.lost_position);
            began := found.reason;
            follow_history.common_position := found.common_position;
            follow_history.lost_position := found.lost_position;
        END IF;
    END IF;
    epoch := (SELECT h.epoch FROM runfold.head AS h);
END $$;

INSERT INTO runfold.epochs (id, from_position, reason, system_identifier, timeline, database)
SELECT h.epoch, 0, 'created', p.system_identifier, p.timeline, p.database
  FROM runfold.head AS h
 CROSS JOIN runfold.place() AS p;

REVOKE ALL ON FUNCTION runfold.place, runfold.parted, runfold.begin_epoch, runfold.follow_history FROM PUBLIC;
GRANT EXECUTE ON FUNCTION runfold.place, runfold.parted TO runfold_app, runfold_projector, runfold_reader;
GRANT EXECUTE ON FUNCTION runfold.follow_history TO runfold_app;
GRANT SELECT ON runfold.epochs, runfold.restores TO runfold_app, runfold_projector, runfold_reader;
