-- A stream is named within its tenant: two tenants may use the same id, and neither learns of the other's.
-- Each new event has a salt. Appends are put in order by the head's row alone, which only the owner's functions can lock.
--
-- Runs as runfold_owner, step by step (see migrate.py): appends go on meanwhile, and a run that was broken off is run again.
-- No stored event is rewritten.
--
-- The id comes before the tenant in the indexes: both are always asked for, so either order finds a stream. This one also
-- finds a key of which only the id is known, serves a rebuild, which goes thread by thread over all tenants, and never
-- tempts a plan made without statistics to sort all that one tenant has.

-- step: add the column for the salt
ALTER TABLE runfold.log ADD COLUMN IF NOT EXISTS salt bytea;

-- name: random_salt
-- For events of which nobody brings one: those of a process of the version before. A uuid holds 122 random bits, hence two.
CREATE OR REPLACE FUNCTION runfold.random_salt() RETURNS bytea
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
RETURN substr(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 1, 16);
REVOKE ALL ON FUNCTION runfold.random_salt FROM PUBLIC;

ALTER TABLE runfold.log ALTER COLUMN salt SET DEFAULT runfold.random_salt(); -- apart from its making: no row is rewritten

-- step: build the index that makes (tenant, stream, version) unique
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS log_tenant_stream_version
    ON runfold.log (originator_id, tenant_id, originator_version);

-- step: build the index of threads
CREATE INDEX CONCURRENTLY IF NOT EXISTS log_tenant_thread ON runfold.log (thread_id, tenant_id, notification_id);

-- step: build the index of trees
CREATE INDEX CONCURRENTLY IF NOT EXISTS log_tenant_tree ON runfold.log (thread_id, tenant_id, notification_id)
    WHERE topic IN ('run.created', 'thread.head_named', 'thread.head_moved');

-- step: switch over
ALTER TABLE runfold.log ADD CONSTRAINT log_tenant_stream_version UNIQUE USING INDEX log_tenant_stream_version;
ALTER TABLE runfold.log DROP CONSTRAINT log_stream_version;
DROP INDEX runfold.log_thread, runfold.log_tree;

COMMENT ON COLUMN runfold.log.originator_version IS 'Place in the tenant''s stream, contiguous, from 1';
COMMENT ON COLUMN runfold.log.salt IS
    '16 random bytes, so that a digest of the event does not let a short text be guessed; null where the event is older than salts';

-- name: append
-- Writes events at the next positions, or nothing and the streams that stand in the way.
-- Arrays have one member an event, `salts` 16 bytes. A stream's first version must follow on what its tenant has stored (an
-- empty stream takes 1; or 0, which the test cases of the eventsourcing library write), and within the call versions must
-- follow each other. Who appends under one tenant's setting appends only what is that tenant's.
-- Watched streams are those that a command only looked at: they must still be at the version it saw.
-- The settings of planning keep a plan that was made while the log was empty from reading all of it later.
-- A process that was started before the migration goes on appending until it is started anew: it brings no salts, and no
-- tenants of what it watched, which are those it writes for. What it has prepared calls the old function, which now does the
-- same; it is not dropped, for whoever waits inside it would fail.
ALTER FUNCTION runfold.append RENAME TO append_before_0005;
CREATE FUNCTION runfold.append(
    streams text[], versions bigint[], topics text[], schema_versions smallint[], states bytea[], key_ids text[],
    tenant_ids text[], thread_ids text[], event_ids uuid[], contexts text[], metadatas text[],
    watched text[], watched_versions bigint[], watched_tenants text[] DEFAULT NULL, salts bytea DEFAULT NULL,
    OUT first_position bigint, OUT recorded_at timestamptz,
    OUT conflicts text[], OUT actual_versions bigint[], OUT conflicting_tenants text[]
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    n CONSTANT bigint := cardinality(streams);
    tenant CONSTANT text := current_setting('runfold.tenant');
    last_position bigint;
BEGIN
    IF salts IS NULL THEN
        salts := (SELECT string_agg(runfold.random_salt(), '') FROM unnest(event_ids));
    END IF;
    IF watched_tenants IS NULL THEN
        watched_tenants := ARRAY(
            SELECT coalesce((SELECT given.tenant
                               FROM unnest(tenant_ids) AS given (tenant)
                              WHERE EXISTS (SELECT
                                              FROM runfold.log AS e
                                             WHERE e.originator_id = w.stream
                                               AND e.tenant_id = given.tenant)
                              LIMIT 1),
                            tenant_ids[1])
              FROM unnest(watched) WITH ORDINALITY AS w (stream, ordinal)
             ORDER BY w.ordinal);
    END IF;
    IF tenant <> '*' AND NOT (tenant = ALL (tenant_ids) AND tenant = ALL (watched_tenants)) THEN
        RAISE EXCEPTION 'these events are not all of tenant %', tenant
            USING ERRCODE = 'insufficient_privilege', HINT = 'append for one tenant at a time, or as the service with runfold.tenant = *';
    END IF;
    IF octet_length(salts) IS DISTINCT FROM 16 * n THEN
        RAISE EXCEPTION '% events take % bytes of salt, not %', n, 16 * n, octet_length(salts)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Who appends in a transaction of their own keeps the head's row until its end: the server ends one that stalls.
    IF NOT current_setting('idle_in_transaction_session_timeout')::interval BETWEEN '1 ms' AND '10 s' THEN
        PERFORM set_config('idle_in_transaction_session_timeout', '10s', true);
    END IF;

    -- The lock that puts commits in order, and the positions. Whoever is refused below gives them back.
    UPDATE runfold.head
       SET position = position + n, recorded_at = greatest(clock_timestamp(), recorded_at)
    RETURNING position - n, recorded_at INTO last_position, append.recorded_at;

    IF n = 1 AND cardinality(watched) = 0 THEN -- one caller, one event: the plan for many would take twice as long
        SELECT tenant_ids, streams, ARRAY[coalesce(stored.version, 0)]
          INTO conflicting_tenants, conflicts, actual_versions
          FROM (SELECT max(e.originator_version) AS version
                  FROM runfold.log AS e
                 WHERE e.originator_id = streams[1]
                   AND e.tenant_id = tenant_ids[1]) AS stored
         WHERE versions[1] <> coalesce(stored.version + 1, least(versions[1], 1));
    ELSE
        SELECT array_agg(asked.tenant), array_agg(asked.stream), array_agg(coalesce(stored.version, 0))
          INTO conflicting_tenants, conflicts, actual_versions
          FROM (SELECT given.tenant, given.stream, min(given.version) AS first,
                       bool_and(given.version = given.follows) AS in_order
                  FROM (SELECT g.tenant, g.stream, g.version,
                               first_value(g.version) OVER stream + row_number() OVER stream - 1 AS follows
                          FROM unnest(tenant_ids, streams, versions) WITH ORDINALITY AS g (tenant, stream, version, ordinal)
                        WINDOW stream AS (PARTITION BY g.stream, g.tenant ORDER BY g.ordinal)) AS given
                 GROUP BY given.stream, given.tenant
                 UNION ALL
                SELECT w.tenant, w.stream, w.version + 1, true
                  FROM unnest(watched_tenants, watched, watched_versions) AS w (tenant, stream, version)) AS asked
          LEFT JOIN LATERAL (SELECT e.originator_version AS version
                               FROM runfold.log AS e
                              WHERE e.originator_id = asked.stream
                                AND e.tenant_id = asked.tenant
                              ORDER BY e.originator_version DESC
                              LIMIT 1) AS stored ON true
         WHERE NOT asked.in_order
            OR asked.first <> coalesce(stored.version + 1, least(asked.first, 1));
    END IF;
    IF conflicts IS NOT NULL THEN
        UPDATE runfold.head
           SET position = last_position,
               recorded_at = coalesce((SELECT e.recorded_at FROM runfold.log AS e WHERE e.notification_id = last_position), '-infinity');
        recorded_at := NULL;
        RETURN;
    END IF;

    IF n = 1 THEN
        INSERT INTO runfold.log (
            notification_id, originator_id, originator_version, topic, schema_version, state, key_id,
            tenant_id, thread_id, event_id, recorded_at, context, metadata, salt)
        VALUES (last_position + 1, streams[1], versions[1], topics[1], schema_versions[1], states[1], key_ids[1], tenant_ids[1],
                thread_ids[1], event_ids[1], append.recorded_at, contexts[1]::jsonb, metadatas[1]::jsonb, salts);
    ELSE
        INSERT INTO runfold.log (
            notification_id, originator_id, originator_version, topic, schema_version, state, key_id,
            tenant_id, thread_id, event_id, recorded_at, context, metadata, salt)
        SELECT last_position + g.ordinal, g.stream, g.version, g.topic, g.schema_version, g.state, g.key_id,
               g.tenant_id, g.thread_id, g.event_id, append.recorded_at, g.context::jsonb, g.metadata::jsonb,
               substr(salts, 16 * g.ordinal::int - 15, 16)
          FROM unnest(streams, versions, topics, schema_versions, states, key_ids,
                      tenant_ids, thread_ids, event_ids, contexts, metadatas)
               WITH ORDINALITY AS g (stream, version, topic, schema_version, state, key_id,
                                     tenant_id, thread_id, event_id, context, metadata, ordinal);
    END IF;
    first_position := last_position + 1;
END $$;

CREATE OR REPLACE FUNCTION runfold.append_before_0005(
    streams text[], versions bigint[], topics text[], schema_versions smallint[], states bytea[], key_ids text[],
    tenant_ids text[], thread_ids text[], event_ids uuid[], contexts text[], metadatas text[],
    watched text[], watched_versions bigint[],
    OUT first_position bigint, OUT recorded_at timestamptz, OUT conflicts text[], OUT actual_versions bigint[]
)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.first_position, a.recorded_at, a.conflicts, a.actual_versions
      FROM runfold.append(streams, versions, topics, schema_versions, states, key_ids, tenant_ids, thread_ids, event_ids, contexts,
                          metadatas, watched, watched_versions) AS a
$$;

-- name: hold_appends
-- Makes everybody else's appends wait until the caller's transaction ends, so that what is read meanwhile is all there is.
-- Only who may append may hold, for only this function and `append` lock the head's row. The server ends the session of a
-- holder that says nothing for longer than a moment, whatever its settings were: those who wait go on before they give up.
CREATE FUNCTION runfold.hold_appends() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '3s', true);
    PERFORM set_config('statement_timeout', '10s', true);
    PERFORM set_config('lock_timeout', '5s', true);
    IF current_setting('server_version_num')::int >= 170000 THEN
        PERFORM set_config('transaction_timeout', '30s', true);
    END IF;
    PERFORM FROM runfold.head FOR UPDATE;
END $$;

REVOKE ALL ON FUNCTION runfold.append, runfold.hold_appends FROM PUBLIC;
GRANT EXECUTE ON FUNCTION runfold.append, runfold.hold_appends TO runfold_app;
