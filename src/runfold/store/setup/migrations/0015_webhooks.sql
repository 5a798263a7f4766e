-- What is sent to others: what is still to be sent, how each attempt went, how far each webhook has read the log, and the secrets
-- that what is sent is signed with, encrypted with a key that is not in the database. How each ended is an event.
--
-- Runs as runfold_owner, step by step (see migrate.py): appends go on meanwhile, and a run that was broken off is run again.

-- step: build the index of webhooks
CREATE INDEX CONCURRENTLY IF NOT EXISTS log_webhooks ON runfold.log (notification_id)
    WHERE topic LIKE 'webhook.%';

-- step: make the tables of delivery
CREATE TABLE runfold.webhook_feeds (
    tenant_id    text        NOT NULL COLLATE "C",
    webhook_id   text        NOT NULL COLLATE "C",
    position     bigint      NOT NULL CHECK (position >= 0),
    epoch        uuid        NOT NULL,
    own_position bigint      NOT NULL DEFAULT 0,
    replay       bigint,
    replay_after bigint,
    replay_up_to bigint,
    is_active    boolean     NOT NULL DEFAULT true,
    PRIMARY KEY (tenant_id, webhook_id)
);
COMMENT ON TABLE runfold.webhook_feeds IS 'How far each webhook has taken the log in';
COMMENT ON COLUMN runfold.webhook_feeds.position IS 'The last position of which it is known whether it is to be sent';
COMMENT ON COLUMN runfold.webhook_feeds.epoch IS 'The log that the position is of';
COMMENT ON COLUMN runfold.webhook_feeds.own_position IS 'The last event of its own stream that was carried out: a test, or sending again';
COMMENT ON COLUMN runfold.webhook_feeds.replay IS 'The position of the command to send again that is being carried out';
COMMENT ON COLUMN runfold.webhook_feeds.replay_after IS 'How far that is carried out';
COMMENT ON COLUMN runfold.webhook_feeds.replay_up_to IS 'Where that ends';
COMMENT ON COLUMN runfold.webhook_feeds.is_active IS 'Whether what waits is sent';

CREATE TABLE runfold.deliveries (
    tenant_id     text        NOT NULL COLLATE "C",
    webhook_id    text        NOT NULL COLLATE "C",
    position      bigint      NOT NULL,
    event_id      uuid        NOT NULL,
    stream        text        NOT NULL COLLATE "C",
    replay        bigint,
    added_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts      integer     NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    claim         uuid,
    error         text,
    PRIMARY KEY (tenant_id, webhook_id, position)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX deliveries_due ON runfold.deliveries (due_at);
CREATE INDEX deliveries_order ON runfold.deliveries (tenant_id, webhook_id, stream, position);
CREATE INDEX deliveries_claimed ON runfold.deliveries (tenant_id, webhook_id, claimed_until) WHERE claimed_until IS NOT NULL;
COMMENT ON TABLE runfold.deliveries IS 'What is still to be sent: an event to a webhook, or the end of a run to the address that it named';
COMMENT ON COLUMN runfold.deliveries.webhook_id IS 'The webhook; or callbacks, for addresses that runs named; or steps, for the address of all steps';
COMMENT ON COLUMN runfold.deliveries.replay IS 'The position of the command to send it again, if it is sent again';
COMMENT ON COLUMN runfold.deliveries.claimed_until IS 'When another may send it, if whoever has claimed it has said nothing by then';
COMMENT ON COLUMN runfold.deliveries.error IS 'How the last attempt failed';

CREATE TABLE runfold.delivery_attempts (
    tenant_id   text        NOT NULL COLLATE "C",
    webhook_id  text        NOT NULL COLLATE "C",
    position    bigint      NOT NULL,
    event_id    uuid        NOT NULL,
    attempted_at timestamptz NOT NULL,
    attempt     integer     NOT NULL,
    replay      bigint,
    milliseconds integer    NOT NULL,
    status_code integer,
    error       text,
    PRIMARY KEY (tenant_id, webhook_id, attempted_at, position)
);
CREATE INDEX delivery_attempts_time ON runfold.delivery_attempts (attempted_at);
COMMENT ON TABLE runfold.delivery_attempts IS 'How each attempt to send something went, of the last thirty days';

CREATE TABLE runfold.webhook_secrets (
    tenant_id  text        NOT NULL COLLATE "C",
    webhook_id text        NOT NULL COLLATE "C",
    generation integer     NOT NULL,
    sealed     bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, webhook_id, generation)
);
COMMENT ON TABLE runfold.webhook_secrets IS 'The secrets that what is sent is signed with, encrypted with a key that is in a file outside of the database';

SELECT runfold.keep_tenants_apart('runfold.webhook_feeds');
SELECT runfold.keep_tenants_apart('runfold.deliveries');
SELECT runfold.keep_tenants_apart('runfold.delivery_attempts');
SELECT runfold.keep_tenants_apart('runfold.webhook_secrets');
CREATE POLICY written_by_app ON runfold.webhook_feeds TO runfold_app USING (true) WITH CHECK (true);
CREATE POLICY written_by_app ON runfold.deliveries TO runfold_app USING (true) WITH CHECK (true);
CREATE POLICY written_by_app ON runfold.delivery_attempts TO runfold_app USING (true) WITH CHECK (true);
CREATE POLICY written_by_app ON runfold.webhook_secrets TO runfold_app USING (true) WITH CHECK (true);
GRANT SELECT ON runfold.webhook_feeds, runfold.deliveries, runfold.delivery_attempts
    TO runfold_app, runfold_projector, runfold_reader;
GRANT INSERT, UPDATE, DELETE ON runfold.webhook_feeds, runfold.deliveries, runfold.delivery_attempts TO runfold_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON runfold.webhook_secrets TO runfold_app;

-- Of runs that have ended so far, nobody is told.
INSERT INTO runfold.webhook_feeds (tenant_id, webhook_id, position, epoch)
SELECT '*', 'callbacks', h.position, h.epoch
  FROM runfold.head AS h;
