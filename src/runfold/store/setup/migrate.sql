-- name: table of migrations
-- The table in which migrations are noted, which every role may read.
CREATE TABLE IF NOT EXISTS runfold.migrations (
    number     int         PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
GRANT USAGE ON SCHEMA runfold TO runfold_app, runfold_projector, runfold_reader;
GRANT SELECT ON runfold.migrations TO runfold_app, runfold_projector, runfold_reader
