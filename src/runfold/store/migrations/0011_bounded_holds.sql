-- Whoever finds that the history has parted makes appends wait as everybody does who makes them wait: within the bounds that
-- hold_appends sets, and with the right to append. Who only folds, tells of it and begins nothing.
-- Runs as runfold_owner, in one transaction.

REVOKE EXECUTE ON FUNCTION runfold.follow_history FROM runfold_projector;

-- name: follow_history
-- Begins a new history where this database has parted from the one that it says it has; whoever comes second finds it begun.
CREATE OR REPLACE FUNCTION runfold.follow_history(
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
