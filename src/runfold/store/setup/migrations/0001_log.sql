-- The log: one append-only table, the head that gives out positions, the one function that writes, and who may what.
-- Runs as runfold_owner, in the schema runfold, in one transaction.

CREATE TABLE runfold.log (
    notification_id    bigint      PRIMARY KEY CHECK (notification_id > 0),
    originator_id      text        NOT NULL COLLATE "C",
    originator_version bigint      NOT NULL CHECK (originator_version >= 0),
    topic              text        NOT NULL COLLATE "C",
    schema_version     smallint    NOT NULL,
    state              bytea       NOT NULL,
    key_id             text        COLLATE "C",
    tenant_id          text        NOT NULL COLLATE "C",
    thread_id          text        NOT NULL COLLATE "C",
    event_id           uuid        NOT NULL,
    recorded_at        timestamptz NOT NULL,
    context            jsonb       NOT NULL,
    metadata           jsonb       NOT NULL,
    CONSTRAINT log_stream_version UNIQUE (originator_id, originator_version),
    CONSTRAINT log_event_id UNIQUE (event_id)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_analyze_scale_factor = 0.05);

COMMENT ON TABLE runfold.log IS 'Every event, in the order it was recorded. Rows are never changed or removed.';
COMMENT ON COLUMN runfold.log.notification_id IS 'Position in the ledger: 1, 2, 3, … without a hole, in commit order';
COMMENT ON COLUMN runfold.log.originator_id IS 'Stream: thread_…, run_… or approval_…';
COMMENT ON COLUMN runfold.log.originator_version IS 'Place in the stream, contiguous, from 1';
COMMENT ON COLUMN runfold.log.topic IS 'Event type, permanent, such as run.started';
COMMENT ON COLUMN runfold.log.schema_version IS 'Version of the shape of the payload for this type';
COMMENT ON COLUMN runfold.log.state IS 'Payload: JSON bytes, exactly as stored they are what digests cover';
COMMENT ON COLUMN runfold.log.key_id IS 'Key that the payload is sealed under; null for plain';
COMMENT ON COLUMN runfold.log.recorded_at IS 'The clock of the store, never earlier than at a lower position';
COMMENT ON COLUMN runfold.log.context IS 'Keys that readers need: run, parent run, agent, user, goal';
COMMENT ON COLUMN runfold.log.metadata IS 'Actor, occurred_at, causation_id, correlation_id, traceparent';

CREATE INDEX log_thread ON runfold.log (thread_id, notification_id);
-- A thread's tree of runs without its content, and the list of threads: few rows among many.
CREATE INDEX log_tree ON runfold.log (thread_id, notification_id)
    WHERE topic IN ('run.created', 'thread.head_named', 'thread.head_moved');
CREATE INDEX log_threads_created ON runfold.log (tenant_id, notification_id) WHERE topic = 'thread.created';

-- One row: the last position given out. Its lock puts commits in the order of their positions, so that a reader
-- never sees 7 before 6; a rollback gives positions back, so that a hole is proof of loss.
CREATE TABLE runfold.head (
    only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    epoch       uuid        NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);

INSERT INTO runfold.head (position, recorded_at, epoch) VALUES (0, '-infinity', gen_random_uuid());

COMMENT ON TABLE runfold.head IS 'The last position, when it was given out, and the random id (epoch) of this log';

CREATE FUNCTION runfold.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed or removed (% on %)', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege', HINT = 'record a correction as a new event';
END $$;

CREATE TRIGGER log_is_immutable BEFORE UPDATE OR DELETE ON runfold.log
    FOR EACH ROW EXECUTE FUNCTION runfold.refuse_change();
CREATE TRIGGER log_is_not_truncated BEFORE TRUNCATE ON runfold.log
    FOR EACH STATEMENT EXECUTE FUNCTION runfold.refuse_change();
ALTER TABLE runfold.log ENABLE ALWAYS TRIGGER log_is_immutable;
ALTER TABLE runfold.log ENABLE ALWAYS TRIGGER log_is_not_truncated;

-- name: append_lock
-- The advisory lock that appends share. Who lost race after race takes it alone, reads, decides and appends.
CREATE FUNCTION runfold.append_lock() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 8241990171134159716;

-- name: append
-- Writes events at the next positions, or nothing and the streams that stand in the way.
-- Arrays have one member an event. A stream's first version must follow on what is stored (an empty stream takes 1;
-- or 0, which the test cases of the eventsourcing library write), and within the call versions must follow each other.
-- Watched streams are those that a command only looked at: they must still be at the version it saw.
CREATE FUNCTION runfold.append(
    streams text[], versions bigint[], topics text[], schema_versions smallint[], states bytea[], key_ids text[],
    tenant_ids text[], thread_ids text[], event_ids uuid[], contexts text[], metadatas text[],
    watched text[], watched_versions bigint[],
    OUT first_position bigint, OUT recorded_at timestamptz, OUT conflicts text[], OUT actual_versions bigint[]
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    n CONSTANT bigint := cardinality(streams);
    last_position bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(8241990171134159716); -- append_lock

    -- The lock that puts commits in order, and the positions. Whoever is refused below gives them back.
    UPDATE runfold.head
       SET position = position + n, recorded_at = greatest(clock_timestamp(), recorded_at)
    RETURNING position - n, recorded_at INTO last_position, append.recorded_at;

    IF n = 1 AND cardinality(watched) = 0 THEN -- one caller, one event: the plan for many would take twice as long
        SELECT streams, ARRAY[coalesce(stored.version, 0)]
          INTO conflicts, actual_versions
          FROM (SELECT max(e.originator_version) AS version
                  FROM runfold.log AS e
                 WHERE e.originator_id = streams[1]) AS stored
         WHERE versions[1] <> coalesce(stored.version + 1, least(versions[1], 1));
    ELSE
        SELECT array_agg(asked.stream), array_agg(coalesce(stored.version, 0))
          INTO conflicts, actual_versions
          FROM (SELECT given.stream, min(given.version) AS first, bool_and(given.version = given.follows) AS in_order
                  FROM (SELECT g.stream, g.version,
                               first_value(g.version) OVER (PARTITION BY g.stream ORDER BY g.ordinal)
                               + row_number() OVER (PARTITION BY g.stream ORDER BY g.ordinal) - 1 AS follows
                          FROM unnest(streams, versions) WITH ORDINALITY AS g (stream, version, ordinal)) AS given
                 GROUP BY given.stream
                 UNION ALL
                SELECT w.stream, w.version + 1, true
                  FROM unnest(watched, watched_versions) AS w (stream, version)) AS asked
          LEFT JOIN LATERAL (SELECT e.originator_version AS version
                               FROM runfold.log AS e
                              WHERE e.originator_id = asked.stream
                              ORDER BY e.originator_version DESC
                              LIMIT 1) AS stored ON true
         WHERE NOT asked.in_order
            OR asked.first <> coalesce(stored.version + 1, least(asked.first, 1));
    END IF;
    IF conflicts IS NOT NULL THEN
        UPDATE runfold.head SET position = last_position;
        recorded_at := NULL;
        RETURN;
    END IF;

    IF n = 1 THEN
        INSERT INTO runfold.log (
            notification_id, originator_id, originator_version, topic, schema_version, state, key_id,
            tenant_id, thread_id, event_id, recorded_at, context, metadata)
        VALUES (last_position + 1, streams[1], versions[1], topics[1], schema_versions[1], states[1], key_ids[1],
                tenant_ids[1], thread_ids[1], event_ids[1], append.recorded_at, contexts[1]::jsonb, metadatas[1]::jsonb);
    ELSE
        INSERT INTO runfold.log (
            notification_id, originator_id, originator_version, topic, schema_version, state, key_id,
            tenant_id, thread_id, event_id, recorded_at, context, metadata)
        SELECT last_position + g.ordinal, g.stream, g.version, g.topic, g.schema_version, g.state, g.key_id,
               g.tenant_id, g.thread_id, g.event_id, append.recorded_at, g.context::jsonb, g.metadata::jsonb
          FROM unnest(streams, versions, topics, schema_versions, states, key_ids,
                      tenant_ids, thread_ids, event_ids, contexts, metadatas)
               WITH ORDINALITY AS g (stream, version, topic, schema_version, state, key_id,
                                     tenant_id, thread_id, event_id, context, metadata, ordinal);
    END IF;
    first_position := last_position + 1;
END $$;

REVOKE ALL ON FUNCTION runfold.append FROM PUBLIC;

-- name: position_at
-- The last position recorded not after a moment; 0 before the first. Positions are dense and times never go back, so
-- halving finds it through the primary key, and appending pays for no index on time.
CREATE FUNCTION runfold.position_at(moment timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    low bigint := 0;
    high bigint := coalesce((SELECT max(e.notification_id) FROM runfold.log AS e), 0);
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF (SELECT e.recorded_at FROM runfold.log AS e WHERE e.notification_id = middle) <= moment THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END $$;

-- The log in our own words, for people with psql.
CREATE VIEW runfold.events AS
SELECT notification_id AS position, originator_id AS stream, originator_version AS version, topic AS type,
       schema_version, event_id, tenant_id, thread_id, recorded_at,
       (metadata ->> 'occurred_at')::timestamptz AS occurred_at, context, metadata, key_id,
       CASE WHEN key_id IS NULL THEN convert_from(state, 'UTF8')::jsonb END AS data
  FROM runfold.log;

GRANT USAGE ON SCHEMA runfold TO runfold_app, runfold_projector, runfold_reader;
GRANT SELECT ON runfold.log, runfold.head, runfold.events TO runfold_app, runfold_projector, runfold_reader;
GRANT EXECUTE ON FUNCTION runfold.append TO runfold_app;
