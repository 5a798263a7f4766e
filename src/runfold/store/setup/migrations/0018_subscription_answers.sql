-- What consumers hold is known without reading it, and what they were answered is kept for a while. Runs as runfold_owner, in one
-- transaction. The new columns are empty in rows that an older process writes: then what they say is read from the events.

ALTER TABLE runfold.subscription_leases ADD COLUMN key_hashes int[], ADD COLUMN digest bytea;
COMMENT ON COLUMN runfold.subscription_leases.key_hashes IS 'Of the streams or threads of which nothing else is given meanwhile; two may have the same';
COMMENT ON COLUMN runfold.subscription_leases.digest IS 'SHA-256 of its positions, by which an answer to all of it is known';
ALTER TABLE runfold.subscription_waiting ADD COLUMN key_hash int;
COMMENT ON COLUMN runfold.subscription_waiting.key_hash IS 'Of its stream or thread, as in the leases';

CREATE TABLE runfold.subscription_answers (
    tenant_id   text        NOT NULL COLLATE "C",
    name        text        NOT NULL COLLATE "C",
    number      bigint      GENERATED ALWAYS AS IDENTITY,
    lease       uuid        NOT NULL,
    answer      json        NOT NULL,
    answered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, name, number)
);
CREATE INDEX subscription_answers_lease ON runfold.subscription_answers (tenant_id, name, lease);
COMMENT ON TABLE runfold.subscription_answers IS 'What consumers were told of late, to be told again to one that asks again because the answer was lost';
COMMENT ON COLUMN runfold.subscription_answers.answer IS 'Positions, by what became of them';

GRANT SELECT, INSERT, DELETE ON runfold.subscription_answers TO runfold_app;
GRANT SELECT ON runfold.subscription_answers TO runfold_projector, runfold_reader;

DO $$
BEGIN
    PERFORM runfold.keep_tenants_apart('runfold.subscription_answers');
    CREATE POLICY written_by_app ON runfold.subscription_answers TO runfold_app
        USING (tenant_id = current_setting('runfold.tenant')) WITH CHECK (tenant_id = current_setting('runfold.tenant'));
END $$;
