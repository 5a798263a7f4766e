-- Named subscriptions: the server keeps how far each is, and which of its events are being handled. Runs as runfold_owner, in
-- one transaction.

CREATE TABLE runfold.subscriptions (
    tenant_id     text             NOT NULL COLLATE "C",
    name          text             NOT NULL COLLATE "C",
    owner         text             NOT NULL,
    audited       boolean          NOT NULL,
    wanted        jsonb            NOT NULL,
    in_order_of   text             NOT NULL CHECK (in_order_of IN ('stream', 'thread', 'nothing')),
    lease_seconds double precision NOT NULL,
    retry_seconds double precision NOT NULL,
    most_attempts int              NOT NULL,
    looked_up_to  bigint           NOT NULL,
    epoch         uuid             NOT NULL,
    created_at    timestamptz      NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, name)
) WITH (fillfactor = 50);
COMMENT ON TABLE runfold.subscriptions IS 'Subscriptions with a name, whose events several consumers share';
COMMENT ON COLUMN runfold.subscriptions.owner IS 'Who made it, as kind:id; keys of others need the scope admin';
COMMENT ON COLUMN runfold.subscriptions.audited IS 'Whether events of security are among it';
COMMENT ON COLUMN runfold.subscriptions.wanted IS 'What it is narrowed by';
COMMENT ON COLUMN runfold.subscriptions.in_order_of IS 'Of which no two events are given before the first is answered';
COMMENT ON COLUMN runfold.subscriptions.looked_up_to IS 'Up to there, what is wanted was given, waits or is parked';
COMMENT ON COLUMN runfold.subscriptions.epoch IS 'The history that this position is of';

-- One row a take, so that giving a thousand events and acknowledging them costs little more than one.
CREATE TABLE runfold.subscription_leases (
    tenant_id text        NOT NULL COLLATE "C",
    name      text        NOT NULL COLLATE "C",
    lease     uuid        NOT NULL,
    consumer  text,
    due       timestamptz NOT NULL,
    first     bigint      NOT NULL,
    events    int         NOT NULL,
    items     jsonb       NOT NULL,
    PRIMARY KEY (tenant_id, name, lease)
) WITH (fillfactor = 50);
COMMENT ON TABLE runfold.subscription_leases IS 'Events that a consumer has, and has not answered yet';
COMMENT ON COLUMN runfold.subscription_leases.due IS 'When they are given to another';
COMMENT ON COLUMN runfold.subscription_leases.first IS 'The lowest position';
COMMENT ON COLUMN runfold.subscription_leases.items IS 'Of each its position, the stream or thread within which order is kept, how often it was given, whether it was replayed';

CREATE TABLE runfold.subscription_waiting (
    tenant_id text        NOT NULL COLLATE "C",
    name      text        NOT NULL COLLATE "C",
    position  bigint      NOT NULL,
    key       text        COLLATE "C",
    attempts  int         NOT NULL,
    replayed  boolean     NOT NULL,
    due       timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, name, position)
) WITH (fillfactor = 70);
COMMENT ON TABLE runfold.subscription_waiting IS 'Events that were looked at and wait: for one before them, or for a retry';
COMMENT ON COLUMN runfold.subscription_waiting.due IS 'Before then they are not given';

CREATE TABLE runfold.subscription_parked (
    tenant_id text        NOT NULL COLLATE "C",
    name      text        NOT NULL COLLATE "C",
    position  bigint      NOT NULL,
    key       text        COLLATE "C",
    attempts  int         NOT NULL,
    reason    text,
    consumer  text,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, name, position)
);
COMMENT ON TABLE runfold.subscription_parked IS 'Events that failed too often, or were set aside, until somebody replays them';
COMMENT ON COLUMN runfold.subscription_parked.reason IS 'What was said of the last attempt';

GRANT SELECT, INSERT, UPDATE, DELETE
   ON runfold.subscriptions, runfold.subscription_leases, runfold.subscription_waiting, runfold.subscription_parked TO runfold_app;
GRANT SELECT
   ON runfold.subscriptions, runfold.subscription_leases, runfold.subscription_waiting, runfold.subscription_parked
   TO runfold_projector, runfold_reader;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['subscriptions', 'subscription_leases', 'subscription_waiting', 'subscription_parked'] LOOP
        PERFORM runfold.keep_tenants_apart(format('runfold.%I', name)::regclass);
        EXECUTE format('CREATE POLICY written_by_app ON runfold.%I TO runfold_app'
                       ' USING (tenant_id = current_setting(''runfold.tenant''))'
                       ' WITH CHECK (tenant_id = current_setting(''runfold.tenant''))', name);
    END LOOP;
END $$;
