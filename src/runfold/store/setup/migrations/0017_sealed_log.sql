-- The sealed log: for each tenant a Merkle tree over its events, beside the log and off the way of who appends.
-- Runs as runfold_owner, in one transaction.
--
-- Nothing here is trusted: whoever can change the log can change these tables. What they say is held against checkpoints that
-- were signed with a key that is not in the database, and published where its administrators cannot change them.

CREATE TABLE runfold.sealed_position (
    only_row  boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    position  bigint      NOT NULL DEFAULT 0,
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
COMMENT ON TABLE runfold.sealed_position IS 'Up to which position all events are sealed; its lock lets one sealer at a time go on';

INSERT INTO runfold.sealed_position (position) VALUES (0);

CREATE TABLE runfold.sealed_logs (
    tenant_id     text        NOT NULL COLLATE "C",
    generation    int         NOT NULL,
    origin        text        NOT NULL,
    size          bigint      NOT NULL DEFAULT 0,
    map_size      bigint      NOT NULL DEFAULT 0,
    begun_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    previous_note text,
    reason        text,
    PRIMARY KEY (tenant_id, generation)
) WITH (fillfactor = 20);
COMMENT ON TABLE runfold.sealed_logs IS 'The trees, each under a name of its own (origin); the last generation of a tenant is the one that grows';
COMMENT ON COLUMN runfold.sealed_logs.map_size IS 'Up to which leaf the map of threads is made; where that is all, threads and map are as of it';
COMMENT ON COLUMN runfold.sealed_logs.previous_note IS 'The last checkpoint of the generation before, which ended as events of it were lost';

CREATE TABLE runfold.sealed_events (
    tenant_id       text     NOT NULL COLLATE "C",
    generation      int      NOT NULL,
    seq             bigint   NOT NULL CHECK (seq > 0),
    position        bigint   NOT NULL,
    thread_id       text     NOT NULL COLLATE "C",
    thread_seq      bigint   NOT NULL CHECK (thread_seq > 0),
    stream          text     NOT NULL COLLATE "C",
    version         bigint   NOT NULL,
    type            text     NOT NULL COLLATE "C",
    schema_version  smallint NOT NULL,
    payload_sha256  bytea    NOT NULL,
    envelope_sha256 bytea    NOT NULL,
    salt            bytea,
    PRIMARY KEY (tenant_id, generation, seq),
    UNIQUE (position, generation)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_analyze_scale_factor = 0.05);
COMMENT ON TABLE runfold.sealed_events IS 'The leaves of the trees, in their order';
COMMENT ON COLUMN runfold.sealed_events.seq IS 'Counts the events of the tenant: 1, 2, 3, …';
COMMENT ON COLUMN runfold.sealed_events.thread_seq IS 'Counts the events of the thread: 1, 2, 3, …';
COMMENT ON COLUMN runfold.sealed_events.salt IS 'The salt of an event that is older than salts; null where it has its own';
CREATE INDEX sealed_events_thread ON runfold.sealed_events (thread_id, tenant_id, generation, thread_seq);

CREATE TABLE runfold.sealed_tiles (
    tenant_id  text   NOT NULL COLLATE "C",
    generation int    NOT NULL,
    level      int    NOT NULL,
    number     bigint NOT NULL,
    hashes     bytea  NOT NULL,
    PRIMARY KEY (tenant_id, generation, level, number)
) WITH (fillfactor = 50);
COMMENT ON TABLE runfold.sealed_tiles IS 'The hashes of the trees, 256 to a tile: leaves at level 0, whole trees over 256 of the level below above that';
ALTER TABLE runfold.sealed_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL; -- hashes cannot be compressed

CREATE TABLE runfold.sealed_threads (
    tenant_id  text   NOT NULL COLLATE "C",
    generation int    NOT NULL,
    thread_id  text   NOT NULL COLLATE "C",
    key        bytea  NOT NULL,
    events     bigint NOT NULL,
    last_seq   bigint NOT NULL,
    last_leaf  bytea  NOT NULL,
    PRIMARY KEY (tenant_id, generation, key)
) WITH (fillfactor = 50);
COMMENT ON TABLE runfold.sealed_threads IS 'How many events each thread has, and the hash of the leaf of the last one: what the sealed map holds';
COMMENT ON COLUMN runfold.sealed_threads.key IS 'Its place in the map: the SHA-256 of its id';

CREATE TABLE runfold.sealed_map (
    tenant_id  text  NOT NULL COLLATE "C",
    generation int   NOT NULL,
    part       int   NOT NULL,
    hash       bytea NOT NULL,
    PRIMARY KEY (tenant_id, generation, part)
) WITH (fillfactor = 50);
COMMENT ON TABLE runfold.sealed_map IS 'The hashes of the parts of the map of threads, by number: 1 is all, and the halves of a part have twice its number';

CREATE TABLE runfold.sealed_checkpoints (
    tenant_id  text        NOT NULL COLLATE "C",
    generation int         NOT NULL,
    size       bigint      NOT NULL,
    position   bigint      NOT NULL,
    root       bytea       NOT NULL,
    map_root   bytea,
    note       text        NOT NULL,
    sealed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    has_map    boolean     NOT NULL GENERATED ALWAYS AS (map_root IS NOT NULL) STORED,
    PRIMARY KEY (tenant_id, generation, size, has_map)
);
COMMENT ON TABLE runfold.sealed_checkpoints IS 'Signed checkpoints: how many leaves a tree had, and its root';
COMMENT ON COLUMN runfold.sealed_checkpoints.position IS 'Up to which position of the ledger it covers the tenant';
COMMENT ON COLUMN runfold.sealed_checkpoints.note IS 'The signed note as it was published';

CREATE TABLE runfold.seal_alarms (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text        NOT NULL COLLATE "C",
    kind      text        NOT NULL,
    position  bigint,
    fact      text        NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant_id, kind, position)
);
COMMENT ON TABLE runfold.seal_alarms IS 'What a sealer met that cannot be unless somebody changed the log: an event that was lost, or came in behind it';

CREATE TRIGGER sealed_event_is_immutable BEFORE UPDATE OR DELETE ON runfold.sealed_events
    FOR EACH ROW EXECUTE FUNCTION runfold.refuse_change();
CREATE TRIGGER checkpoint_is_immutable BEFORE UPDATE OR DELETE ON runfold.sealed_checkpoints
    FOR EACH ROW EXECUTE FUNCTION runfold.refuse_change();
ALTER TABLE runfold.sealed_events ENABLE ALWAYS TRIGGER sealed_event_is_immutable;
ALTER TABLE runfold.sealed_checkpoints ENABLE ALWAYS TRIGGER checkpoint_is_immutable;

SELECT runfold.keep_tenants_apart('runfold.sealed_logs');
SELECT runfold.keep_tenants_apart('runfold.sealed_events');
SELECT runfold.keep_tenants_apart('runfold.sealed_tiles');
SELECT runfold.keep_tenants_apart('runfold.sealed_threads');
SELECT runfold.keep_tenants_apart('runfold.sealed_map');
SELECT runfold.keep_tenants_apart('runfold.sealed_checkpoints');
SELECT runfold.keep_tenants_apart('runfold.seal_alarms');
CREATE POLICY read_by_sealer ON runfold.log FOR SELECT TO runfold_sealer USING (true);
CREATE POLICY written_by_sealer ON runfold.sealed_logs TO runfold_sealer USING (true) WITH CHECK (true);
CREATE POLICY written_by_sealer ON runfold.sealed_events TO runfold_sealer USING (true) WITH CHECK (true);
CREATE POLICY written_by_sealer ON runfold.sealed_tiles TO runfold_sealer USING (true) WITH CHECK (true);
CREATE POLICY written_by_sealer ON runfold.sealed_threads TO runfold_sealer USING (true) WITH CHECK (true);
CREATE POLICY written_by_sealer ON runfold.sealed_map TO runfold_sealer USING (true) WITH CHECK (true);
CREATE POLICY written_by_sealer ON runfold.sealed_checkpoints TO runfold_sealer USING (true) WITH CHECK (true);
CREATE POLICY written_by_sealer ON runfold.seal_alarms TO runfold_sealer USING (true) WITH CHECK (true);

GRANT USAGE ON SCHEMA runfold TO runfold_sealer;
GRANT SELECT ON runfold.log, runfold.head, runfold.epochs, runfold.migrations TO runfold_sealer;
GRANT SELECT ON runfold.sealed_position, runfold.sealed_logs, runfold.sealed_events, runfold.sealed_tiles, runfold.sealed_threads,
    runfold.sealed_map, runfold.sealed_checkpoints, runfold.seal_alarms
    TO runfold_app, runfold_projector, runfold_reader, runfold_sealer;
GRANT UPDATE ON runfold.sealed_position TO runfold_sealer;
GRANT INSERT ON runfold.sealed_events, runfold.sealed_checkpoints, runfold.seal_alarms TO runfold_sealer;
GRANT INSERT, UPDATE ON runfold.sealed_logs, runfold.sealed_tiles, runfold.sealed_threads, runfold.sealed_map TO runfold_sealer;
