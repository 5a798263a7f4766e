-- The second wall between tenants: row-level security. The first one is that every query asks for its tenant itself.
-- Runs as runfold_owner, in one transaction.
--
-- Whoever reads says for whom, in the setting runfold.tenant: the name of a tenant, or * for all of them, which is what the
-- service says for its own work. Who can run SQL of their own can change a setting: this wall is for the query that forgot
-- its condition, and not for people who write queries.

-- name: keep_tenants_apart
-- Builds the wall around a table that has a tenant_id, as its owner; or builds it again.
-- The application sees one tenant's rows, or all, and is refused where it has not said whose. People who read see all,
-- unless an administrator says whose for them: ALTER ROLE ada SET runfold.tenant = 'acme'. Who is of several roles sees what
-- all of them may see. The sub-select is worked out once a query; CASE, unlike OR, lets the planner expect many rows, so
-- that it goes on using the index for what a query itself asks for.
CREATE FUNCTION runfold.keep_tenants_apart(relation regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('DROP POLICY IF EXISTS known_roles ON %s', relation);
    EXECUTE format('DROP POLICY IF EXISTS tenant_of_app ON %s', relation);
    EXECUTE format('DROP POLICY IF EXISTS tenant_of_reader ON %s', relation);
    EXECUTE format('CREATE POLICY known_roles ON %s FOR SELECT TO runfold_app, runfold_projector, runfold_reader USING (true)', relation);
    EXECUTE format($policy$
        CREATE POLICY tenant_of_app ON %s AS RESTRICTIVE FOR SELECT TO runfold_app
         USING (CASE (SELECT current_setting('runfold.tenant')) WHEN '*' THEN true WHEN tenant_id THEN true ELSE false END)
        $policy$, relation);
    EXECUTE format($policy$
        CREATE POLICY tenant_of_reader ON %s AS RESTRICTIVE FOR SELECT TO runfold_reader
         USING (CASE (SELECT coalesce(nullif(current_setting('runfold.tenant', true), ''), '*'))
                     WHEN '*' THEN true WHEN tenant_id THEN true ELSE false END)
        $policy$, relation);
END $$;

SELECT runfold.keep_tenants_apart('runfold.log');
ALTER VIEW runfold.events SET (security_invoker = true);

-- What lacks the wall: read models that were made before there was one, until the next worker that starts builds it, and
-- what somebody took it away from.
CREATE VIEW runfold.unwalled AS
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind = 'v' AS is_view, pg_get_userbyid(c.relowner) AS owner
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE (c.oid IN ('runfold.log'::regclass, 'runfold.events'::regclass)
        OR (pg_get_userbyid(c.relowner) = 'runfold_projector'
            AND n.nspname IN (SELECT 'runfold_read'
                               UNION ALL
                              SELECT format('runfold_%s_%s', m.name, m.generation) FROM runfold.read_models AS m
                               UNION ALL
                              SELECT p.schema FROM runfold.past_schemas AS p)))
   AND ((c.relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false))
        OR (c.relkind = 'r'
            AND NOT (c.relrowsecurity
                     AND (SELECT count(*)
                            FROM pg_catalog.pg_policy AS p
                           WHERE p.polrelid = c.oid
                             AND NOT p.polpermissive
                             AND p.polname IN ('tenant_of_app', 'tenant_of_reader')) = 2)));

GRANT SELECT ON runfold.unwalled TO runfold_app, runfold_projector, runfold_reader;

-- Positions and the times they were given out at are nobody's: a tenant's reader needs those of other tenants too, to find
-- a moment of the past and to know how far behind a read model is. Nothing else is told by these two.
ALTER FUNCTION runfold.position_at(timestamptz) SECURITY DEFINER;

-- name: recorded_at
-- When the event at a position was recorded; null where there is none.
CREATE FUNCTION runfold.recorded_at(at_position bigint) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.recorded_at FROM runfold.log AS e WHERE e.notification_id = at_position
$$;

REVOKE ALL ON FUNCTION runfold.position_at, runfold.recorded_at FROM PUBLIC;
GRANT EXECUTE ON FUNCTION runfold.position_at, runfold.recorded_at TO runfold_app, runfold_projector, runfold_reader;

-- name: append
-- Writes events at the next positions, or nothing and the streams that stand in the way.
-- Arrays have one member an event. A stream's first version must follow on what is stored (an empty stream takes 1;
-- or 0, which the test cases of the eventsourcing library write), and within the call versions must follow each other.
-- Who appends under one tenant's setting appends only what is that tenant's.
-- Watched streams are those that a command only looked at: they must still be at the version it saw.
CREATE OR REPLACE FUNCTION runfold.append(
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
    IF current_setting('runfold.tenant') <> '*' AND NOT current_setting('runfold.tenant') = ALL (tenant_ids) THEN
        RAISE EXCEPTION 'these events are not all of tenant %', current_setting('runfold.tenant')
            USING ERRCODE = 'insufficient_privilege', HINT = 'append for one tenant at a time, or as the service with runfold.tenant = *';
    END IF;

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
