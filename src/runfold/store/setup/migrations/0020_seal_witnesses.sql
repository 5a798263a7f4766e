-- What witnesses said of the last checkpoints. Runs as runfold_owner, in one transaction. An older sealer asks none and needs
-- nothing of it.

CREATE TABLE runfold.seal_witnesses (
    tenant_id     text        NOT NULL COLLATE "C",
    generation    int         NOT NULL,
    witness       text        NOT NULL COLLATE "C",
    size          bigint,
    has_map       boolean,
    lines         text,
    signed_at     timestamptz,
    asked_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    error         text,
    failing_since timestamptz,
    PRIMARY KEY (tenant_id, generation, witness)
) WITH (fillfactor = 50);
COMMENT ON TABLE runfold.seal_witnesses IS 'Of each tree and each witness that the sealer asks: which checkpoint it signed last, and since when it does not answer';
COMMENT ON COLUMN runfold.seal_witnesses.witness IS 'Its address, without a password that may stand in it';
COMMENT ON COLUMN runfold.seal_witnesses.lines IS 'Its signatures of the checkpoint of that size, with or without a map, as they stand under the note';
COMMENT ON COLUMN runfold.seal_witnesses.error IS 'Why it did not sign when it was asked last; null where it did';

GRANT SELECT ON runfold.seal_witnesses TO runfold_app, runfold_projector, runfold_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON runfold.seal_witnesses TO runfold_sealer;

DO $$
BEGIN
    PERFORM runfold.keep_tenants_apart('runfold.seal_witnesses');
    CREATE POLICY written_by_sealer ON runfold.seal_witnesses TO runfold_sealer USING (true) WITH CHECK (true);
END $$;
