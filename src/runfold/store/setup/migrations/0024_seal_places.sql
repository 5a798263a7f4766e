-- How publishing stands. Runs as runfold_owner, in one transaction. An older sealer tells nothing of it and needs nothing of it.

CREATE TABLE runfold.seal_places (
    place         text        PRIMARY KEY COLLATE "C",
    told_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at  timestamptz,
    error         text,
    failing_since timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE runfold.seal_places IS 'Of each place to which a sealer publishes checkpoints: when it had all of them last, and since when it could not be given one';
COMMENT ON COLUMN runfold.seal_places.place IS 'A folder, a repository or an address, without a password that may stand in it';
COMMENT ON COLUMN runfold.seal_places.told_at IS 'When a sealer told of it last; where none does for some minutes, nothing is published there any more';
COMMENT ON COLUMN runfold.seal_places.error IS 'Why it could not be given a checkpoint; null where it has the last one';

GRANT SELECT ON runfold.seal_places TO runfold_app, runfold_projector, runfold_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON runfold.seal_places TO runfold_sealer;
