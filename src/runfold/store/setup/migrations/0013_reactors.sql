-- What happens by itself: who carries each reactor out, how far it has read the log, and what it did.
-- Runs as runfold_owner, in one transaction.

CREATE TABLE runfold.reactors (
    name          text        PRIMARY KEY COLLATE "C",
    worker        text        COLLATE "C",
    token         bigint      NOT NULL DEFAULT 0,
    held_until    timestamptz NOT NULL DEFAULT '-infinity',
    position      bigint      CHECK (position >= 0),
    epoch         uuid,
    done          jsonb       NOT NULL DEFAULT '{}',
    looked_at     timestamptz,
    did_at        timestamptz,
    due_since     timestamptz,
    error         text,
    failing_since timestamptz
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

COMMENT ON TABLE runfold.reactors IS 'What happens by itself, such as the expiry of approvals: who carries it out, and what was done';
COMMENT ON COLUMN runfold.reactors.worker IS 'Who has claimed it; null for nobody';
COMMENT ON COLUMN runfold.reactors.token IS 'Grows with every claim: who holds an older one can no longer write here';
COMMENT ON COLUMN runfold.reactors.held_until IS 'When others may claim it, unless its worker renews the claim';
COMMENT ON COLUMN runfold.reactors.position IS 'The last position that it has taken in, where it follows the log';
COMMENT ON COLUMN runfold.reactors.epoch IS 'The log that the position is of';
COMMENT ON COLUMN runfold.reactors.done IS 'What it did, and how often';
COMMENT ON COLUMN runfold.reactors.looked_at IS 'When it last looked for something to do, to within seconds';
COMMENT ON COLUMN runfold.reactors.did_at IS 'When it last did something';
COMMENT ON COLUMN runfold.reactors.due_since IS 'Since when the oldest of what it has still to do has been due; null where nothing is';
COMMENT ON COLUMN runfold.reactors.error IS 'Why it cannot go on';

GRANT SELECT ON runfold.reactors TO runfold_app, runfold_projector, runfold_reader;
GRANT INSERT, UPDATE, DELETE ON runfold.reactors TO runfold_app;
