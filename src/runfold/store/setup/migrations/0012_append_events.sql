-- An append takes one value for each event, and says in one look-up a stream whether its versions follow on.
-- Runs as runfold_owner, in one transaction.

CREATE TYPE runfold.new_event AS (
    stream         text,
    version        bigint,
    type           text,
    schema_version smallint,
    state          bytea,
    key_id         text,
    tenant_id      text,
    thread_id      text,
    event_id       uuid,
    context        jsonb,
    metadata       jsonb
);
COMMENT ON TYPE runfold.new_event IS 'An event that is to be recorded, as runfold.append_events takes it';

-- name: append_conflicts
-- The streams that are not where an append expects them, and the version each is at; null where there are none.
CREATE FUNCTION runfold.append_conflicts(
    events runfold.new_event[], watched text[], watched_versions bigint[], watched_tenants text[],
    OUT streams text[], OUT versions bigint[], OUT tenants text[]
)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    SELECT array_agg(asked.stream), array_agg(coalesce(stored.version, 0)), array_agg(asked.tenant_id)
      FROM (SELECT given.tenant_id, given.stream, min(given.version) AS first,
                   bool_and(given.version = given.follows) AS in_order
              FROM (SELECT g.tenant_id, g.stream, g.version,
                           first_value(g.version) OVER stream + row_number() OVER stream - 1 AS follows
                      FROM unnest(events) WITH ORDINALITY AS g (stream, version, type, schema_version, state, key_id,
                                                                tenant_id, thread_id, event_id, context, metadata, ordinal)
                    WINDOW stream AS (PARTITION BY g.stream, g.tenant_id ORDER BY g.ordinal)) AS given
             GROUP BY given.stream, given.tenant_id
             UNION ALL
            SELECT w.tenant_id, w.stream, w.version + 1, true
              FROM unnest(watched, watched_versions, watched_tenants) AS w (stream, version, tenant_id)) AS asked
      LEFT JOIN LATERAL (SELECT e.originator_version AS version
                           FROM runfold.log AS e
                          WHERE e.originator_id = asked.stream
                            AND e.tenant_id = asked.tenant_id
                          ORDER BY e.originator_version DESC
                          LIMIT 1) AS stored ON true
     WHERE NOT asked.in_order
        OR asked.first <> coalesce(stored.version + 1, least(asked.first, 1))
$$;

-- name: append_events
-- Writes events at the next positions, or nothing and the streams that stand in the way.
-- `salts` are 16 bytes an event. A stream's first version must follow on what its tenant has stored (an empty stream takes 1;
-- or 0, which the test cases of the eventsourcing library write), and within the call versions must follow each other.
-- Who appends under one tenant's setting appends only what is that tenant's.
-- Watched streams are those that a command only looked at: they must still be at the version it saw.
-- A version follows on where the one before it is there and it is not: of each stream at most these two are looked at. Which
-- versions stand in the way is looked up only where one does.
-- The settings of planning keep a plan that was made while the log was empty from reading all of it later.
CREATE FUNCTION runfold.append_events(
    events runfold.new_event[], salts bytea,
    watched text[] DEFAULT NULL, watched_versions bigint[] DEFAULT NULL, watched_tenants text[] DEFAULT NULL,
    OUT first_position bigint, OUT recorded_at timestamptz,
    OUT conflicts text[], OUT actual_versions bigint[], OUT conflicting_tenants text[]
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    n CONSTANT bigint := cardinality(events);
    tenant CONSTANT text := current_setting('runfold.tenant');
    last_position bigint;
    event runfold.new_event;
    is_stored boolean := false;
BEGIN
    IF tenant <> '*'
       AND EXISTS (SELECT FROM unnest(events) AS g WHERE g.tenant_id <> tenant
                    UNION ALL
                   SELECT FROM unnest(watched_tenants) AS w (tenant_id) WHERE w.tenant_id <> tenant) THEN
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
    RETURNING position - n, recorded_at INTO last_position, append_events.recorded_at;

    IF n = 1 AND coalesce(cardinality(watched), 0) = 0 THEN -- one caller, one event: statements for many take twice as long
        event := events[1];
        INSERT INTO runfold.log (
            notification_id, originator_id, originator_version, topic, schema_version, state, key_id,
            tenant_id, thread_id, event_id, recorded_at, context, metadata, salt)
        SELECT last_position + 1, event.stream, event.version, event.type, event.schema_version, event.state, event.key_id,
               event.tenant_id, event.thread_id, event.event_id, append_events.recorded_at, event.context, event.metadata, salts
         WHERE coalesce((SELECT e.originator_version
                           FROM runfold.log AS e
                          WHERE e.originator_id = event.stream
                            AND e.tenant_id = event.tenant_id
                            AND e.originator_version BETWEEN event.version - 1 AND greatest(event.version, 1)
                          ORDER BY e.originator_version DESC
                          LIMIT 1),
                        least(event.version, 1) - 1) = event.version - 1;
        is_stored := FOUND;
    ELSIF NOT EXISTS (
        SELECT
          FROM (SELECT g.tenant_id, g.stream, min(g.version) AS first,
                       CASE max(g.version) - min(g.version)
                       WHEN 0 THEN count(*) = 1
                       WHEN count(*) - 1 THEN array_agg(g.version) = ARRAY(SELECT generate_series(min(g.version), max(g.version)))
                       ELSE false
                       END AS in_order
                  FROM unnest(events) AS g
                 GROUP BY g.stream, g.tenant_id
                 UNION ALL
                SELECT w.tenant_id, w.stream, w.version + 1, true
                  FROM unnest(watched, watched_versions, watched_tenants) AS w (stream, version, tenant_id)) AS asked
          LEFT JOIN LATERAL (SELECT e.originator_version AS version
                               FROM runfold.log AS e
                              WHERE e.originator_id = asked.stream
                                AND e.tenant_id = asked.tenant_id
                                AND e.originator_version BETWEEN asked.first - 1 AND greatest(asked.first, 1)
                              ORDER BY e.originator_version DESC
                              LIMIT 1) AS stored ON true
         WHERE NOT asked.in_order
            OR coalesce(stored.version, least(asked.first, 1) - 1) <> asked.first - 1) THEN
        INSERT INTO runfold.log (
            notification_id, originator_id, originator_version, topic, schema_version, state, key_id,
            tenant_id, thread_id, event_id, recorded_at, context, metadata, salt)
        SELECT last_position + g.ordinal, g.stream, g.version, g.type, g.schema_version, g.state, g.key_id,
               g.tenant_id, g.thread_id, g.event_id, append_events.recorded_at, g.context, g.metadata,
               substr(salts, 16 * g.ordinal::int - 15, 16)
          FROM unnest(events) WITH ORDINALITY AS g (stream, version, type, schema_version, state, key_id,
                                                    tenant_id, thread_id, event_id, context, metadata, ordinal);
        is_stored := true;
    END IF;
    IF is_stored THEN
        first_position := last_position + 1;
        RETURN;
    END IF;

    SELECT c.streams, c.versions, c.tenants
      INTO STRICT conflicts, actual_versions, conflicting_tenants
      FROM runfold.append_conflicts(events, watched, watched_versions, watched_tenants) AS c;
    IF conflicts IS NULL THEN
        RAISE EXCEPTION 'an event has no stream, no version or no tenant' USING ERRCODE = 'not_null_violation';
    END IF;
    UPDATE runfold.head
       SET position = last_position,
           recorded_at = coalesce((SELECT e.recorded_at FROM runfold.log AS e WHERE e.notification_id = last_position), '-infinity');
    recorded_at := NULL;
END $$;

-- name: append
-- The same for processes that were started before the migration, until they are started anew. Those before 0005 bring no
-- salts, and no tenants of what they watched, which are those they write for.
CREATE OR REPLACE FUNCTION runfold.append(
    streams text[], versions bigint[], topics text[], schema_versions smallint[], states bytea[], key_ids text[],
    tenant_ids text[], thread_ids text[], event_ids uuid[], contexts text[], metadatas text[],
    watched text[], watched_versions bigint[], watched_tenants text[] DEFAULT NULL, salts bytea DEFAULT NULL,
    OUT first_position bigint, OUT recorded_at timestamptz,
    OUT conflicts text[], OUT actual_versions bigint[], OUT conflicting_tenants text[]
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
    IF salts IS NULL THEN
        salts := coalesce((SELECT string_agg(runfold.random_salt(), '') FROM unnest(event_ids)), '');
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
    SELECT a.first_position, a.recorded_at, a.conflicts, a.actual_versions, a.conflicting_tenants
      INTO first_position, append.recorded_at, conflicts, actual_versions, conflicting_tenants
      FROM runfold.append_events(
               ARRAY(SELECT ROW(g.stream, g.version, g.topic, g.schema_version, g.state, g.key_id,
                                g.tenant_id, g.thread_id, g.event_id, g.context::jsonb, g.metadata::jsonb)::runfold.new_event
                       FROM unnest(streams, versions, topics, schema_versions, states, key_ids,
                                   tenant_ids, thread_ids, event_ids, contexts, metadatas)
                            WITH ORDINALITY AS g (stream, version, topic, schema_version, state, key_id,
                                                  tenant_id, thread_id, event_id, context, metadata, ordinal)
                      ORDER BY g.ordinal),
               salts, watched, watched_versions, watched_tenants) AS a;
END $$;

REVOKE ALL ON FUNCTION runfold.append_conflicts, runfold.append_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION runfold.append_events TO runfold_app;
