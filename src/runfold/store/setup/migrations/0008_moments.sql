-- Moments: read models of the whole ledger as of a position, prepared for who asked, and dropped when nobody asks any more.
-- Runs as runfold_owner, in one transaction.

ALTER TABLE runfold.past_schemas
    ADD COLUMN kept  boolean NOT NULL DEFAULT true,
    ADD COLUMN done  bigint  NOT NULL DEFAULT 0,
    ADD COLUMN total bigint  NOT NULL DEFAULT 0,
    ADD COLUMN error text;
COMMENT ON COLUMN runfold.past_schemas.kept IS 'Whether somebody gave it a name, and drops it; else it is there for moments alone';
COMMENT ON COLUMN runfold.past_schemas.done IS 'Events folded so far, of total';
COMMENT ON COLUMN runfold.past_schemas.error IS 'Why it could not be made';

-- Those that questions about the past made by themselves until now are nobody's: the next sweep drops them.
UPDATE runfold.past_schemas
   SET kept = false
 WHERE run_id IS NULL
   AND schema ~ ('^past_' || position || '_[0-9a-f]{6}$');

CREATE TABLE runfold.moments (
    tenant_id  text        NOT NULL COLLATE "C",
    schema     text        NOT NULL COLLATE "C" REFERENCES runfold.past_schemas ON DELETE CASCADE,
    asked_by   text        NOT NULL,
    asked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_in interval    NOT NULL,
    automatic  boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, schema)
);
CREATE INDEX moments_schema ON runfold.moments (schema);
COMMENT ON TABLE runfold.moments IS 'Which tenant asked for which schema of the past: one schema serves all that asked for the same';
COMMENT ON COLUMN runfold.moments.expires_in IS 'After its last use; then it is dropped';
COMMENT ON COLUMN runfold.moments.automatic IS 'Made for a question of the owner, who had not asked for it by itself';

GRANT SELECT ON runfold.moments TO runfold_app, runfold_projector, runfold_reader;
GRANT INSERT, UPDATE, DELETE ON runfold.moments TO runfold_projector;
GRANT UPDATE (used_at) ON runfold.moments TO runfold_app;

SELECT runfold.keep_tenants_apart('runfold.moments');
CREATE POLICY written_by_projector ON runfold.moments TO runfold_projector USING (true) WITH CHECK (true);
CREATE POLICY used_by_app ON runfold.moments FOR UPDATE TO runfold_app
 USING (tenant_id = current_setting('runfold.tenant'));
