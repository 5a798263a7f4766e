-- Sessions of browsers, and the addresses that begin one. Runs as runfold_owner, in one transaction. An older process knows
-- nothing of it and needs nothing of it.

CREATE TABLE runfold.browser_sessions (
    digest     bytea       PRIMARY KEY,
    tenant_id  text        NOT NULL COLLATE "C",
    key_id     text        NOT NULL COLLATE "C",
    is_once    boolean     NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX browser_sessions_used ON runfold.browser_sessions (used_at);
COMMENT ON TABLE runfold.browser_sessions IS 'Who is signed in with a browser: each is good for what its API key is good for';
COMMENT ON COLUMN runfold.browser_sessions.digest IS 'SHA-256 of the random text that the browser shows, which is kept nowhere';
COMMENT ON COLUMN runfold.browser_sessions.is_once IS 'Whether it is the token of a sign-in address, which begins one session';
COMMENT ON COLUMN runfold.browser_sessions.used_at IS 'When it was last shown, within a minute';

GRANT SELECT, INSERT, UPDATE, DELETE ON runfold.browser_sessions TO runfold_app;

DO $$
BEGIN
    PERFORM runfold.keep_tenants_apart('runfold.browser_sessions');
    CREATE POLICY written_by_app ON runfold.browser_sessions TO runfold_app USING (true) WITH CHECK (true);
END $$;
