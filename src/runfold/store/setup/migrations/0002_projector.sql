-- What the projector keeps beside the read models: which there are, how far each is and who folds it, and what was applied.
-- Runs as runfold_owner, in one transaction. The read models themselves are made by runfold_projector, in schemas of its own.

CREATE TABLE runfold.read_models (
    name        text        NOT NULL COLLATE "C",
    generation  int         NOT NULL CHECK (generation > 0),
    version     int         NOT NULL CHECK (version > 0),
    fingerprint text        NOT NULL,
    depends_on  text        NOT NULL,
    source      text        NOT NULL,
    types       text[]      NOT NULL,
    state       text        NOT NULL CHECK (state IN ('filling', 'building', 'live', 'previous')),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, generation)
);
CREATE UNIQUE INDEX read_models_live ON runfold.read_models (name) WHERE state = 'live';
CREATE UNIQUE INDEX read_models_building ON runfold.read_models (name) WHERE state IN ('filling', 'building');

COMMENT ON TABLE runfold.read_models IS 'The tables that projections fill: one generation is live, another may be in the making beside it';
COMMENT ON COLUMN runfold.read_models.fingerprint IS 'Digest of the columns, the key and the event types';
COMMENT ON COLUMN runfold.read_models.depends_on IS 'What else its rows depend on, such as the version of a price list';
COMMENT ON COLUMN runfold.read_models.source IS 'The class that folds it, as module:Class';
COMMENT ON COLUMN runfold.read_models.types IS 'The event types it looks at';

CREATE TABLE runfold.checkpoints (
    name       text        NOT NULL COLLATE "C",
    generation int         NOT NULL,
    position   bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    epoch      uuid        NOT NULL,
    token      bigint      NOT NULL DEFAULT 0,
    worker     text        COLLATE "C",
    moved_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, generation),
    FOREIGN KEY (name, generation) REFERENCES runfold.read_models ON DELETE CASCADE
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

COMMENT ON TABLE runfold.checkpoints IS 'How far each read model is, and who may move it on';
COMMENT ON COLUMN runfold.checkpoints.position IS 'The last position looked at, whether the projection cared for it or not';
COMMENT ON COLUMN runfold.checkpoints.epoch IS 'The log that the position is of';
COMMENT ON COLUMN runfold.checkpoints.token IS 'Grows with every claim: who holds an older one can no longer write';
COMMENT ON COLUMN runfold.checkpoints.worker IS 'Who has claimed it; null for nobody';

-- Adjacent receipts merge, so that a sound read model has one, from 1 to its checkpoint.
CREATE TABLE runfold.receipts (
    name           text    NOT NULL COLLATE "C",
    generation     int     NOT NULL,
    first_position bigint  NOT NULL,
    last_position  bigint  NOT NULL,
    events         bigint  NOT NULL,
    digest         numeric NOT NULL,
    FOREIGN KEY (name, generation) REFERENCES runfold.read_models ON DELETE CASCADE
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
CREATE INDEX receipts_of ON runfold.receipts (name, generation);

COMMENT ON TABLE runfold.receipts IS 'Which positions were applied to a read model';
COMMENT ON COLUMN runfold.receipts.events IS 'How many of them the projection looked at';
COMMENT ON COLUMN runfold.receipts.digest IS 'Sum over those events of the last eight bytes of their ids, modulo 2^64';

CREATE TABLE runfold.troubles (
    name        text        NOT NULL COLLATE "C",
    generation  int         NOT NULL,
    state       text        NOT NULL CHECK (state IN ('retrying', 'stopped')),
    position    bigint      NOT NULL,
    event_type  text,
    error       text        NOT NULL,
    message     text        NOT NULL,
    attempts    int         NOT NULL,
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, generation),
    FOREIGN KEY (name, generation) REFERENCES runfold.read_models ON DELETE CASCADE
);
COMMENT ON TABLE runfold.troubles IS 'Read models that cannot go on: at which event, and why';

CREATE TABLE runfold.workers (
    worker     text        PRIMARY KEY COLLATE "C",
    beat       bigint      NOT NULL,
    host       text        NOT NULL,
    pid        int         NOT NULL,
    names      text[]      NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    beaten_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
COMMENT ON TABLE runfold.workers IS 'Who folds: a worker whose beat stands still is taken for dead';
COMMENT ON COLUMN runfold.workers.beaten_at IS 'For people to look at; nothing is decided by it';
COMMENT ON COLUMN runfold.workers.names IS 'The projections it knows';

-- Tables that are being filled from the log at once, each lane a range of threads that one process takes in.
CREATE TABLE runfold.fillings (
    job        text        PRIMARY KEY COLLATE "C",
    up_to      bigint      NOT NULL,
    epoch      uuid        NOT NULL,
    targets    jsonb       NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE runfold.filling_lanes (
    job          text    NOT NULL COLLATE "C" REFERENCES runfold.fillings ON DELETE CASCADE,
    lane         int     NOT NULL,
    first_thread text    NOT NULL COLLATE "C",
    end_thread   text    COLLATE "C",
    attempt      int     NOT NULL DEFAULT 0,
    taken        boolean NOT NULL DEFAULT false,
    done         boolean NOT NULL DEFAULT false,
    events       bigint  NOT NULL DEFAULT 0,
    applied      jsonb,
    PRIMARY KEY (job, lane)
) WITH (fillfactor = 50);
COMMENT ON TABLE runfold.fillings IS 'Tables in the making: from which log, up to which position';
COMMENT ON TABLE runfold.filling_lanes IS 'Which threads are in: those of lanes that are done, and no others';
COMMENT ON COLUMN runfold.filling_lanes.attempt IS 'Grows each time a process takes the lane: only the last one may finish it';
COMMENT ON COLUMN runfold.filling_lanes.applied IS 'What the receipt of each table will say: how many events, and the digest over their ids';

-- Schemas that people asked for: read models as of a moment, or along a branch, to be queried and dropped.
CREATE TABLE runfold.past_schemas (
    schema     text        PRIMARY KEY COLLATE "C",
    position   bigint      NOT NULL,
    run_id     text        COLLATE "C",
    names      text[]      NOT NULL,
    versions   text[]      NOT NULL,
    epoch      uuid        NOT NULL,
    ready      boolean     NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE runfold.past_schemas IS 'Read models as of a position, or along the path of a run, each in a schema of its own';

-- How far each read model in use is.
CREATE VIEW runfold.read_positions AS
SELECT m.name, m.generation, m.version, c.position, c.worker, c.moved_at
  FROM runfold.read_models AS m
  JOIN runfold.checkpoints AS c USING (name, generation)
 WHERE m.state = 'live';

GRANT SELECT ON runfold.read_models, runfold.checkpoints, runfold.receipts, runfold.troubles, runfold.workers,
                runfold.fillings, runfold.filling_lanes, runfold.past_schemas, runfold.read_positions
   TO runfold_app, runfold_projector, runfold_reader;
GRANT INSERT, UPDATE, DELETE ON runfold.read_models, runfold.checkpoints, runfold.receipts, runfold.troubles, runfold.workers,
                                runfold.fillings, runfold.filling_lanes, runfold.past_schemas
   TO runfold_projector;
