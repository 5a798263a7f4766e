-- name: now
-- What time it is to the store: it never goes back behind what was recorded.
SELECT greatest(clock_timestamp(), nullif(h.recorded_at, '-infinity')) FROM runfold.head AS h

-- name: missing
-- Which of the read models that sweepers go by nobody has folded yet.
SELECT count(*) FROM unnest(ARRAY['runfold_read.run_progress', 'runfold_read.approval_queue']) AS n (name) WHERE to_regclass(n.name) IS NULL

-- name: tenants
-- Whose runs there are, one look-up for each.
WITH RECURSIVE tenants AS (
    (SELECT p.tenant_id FROM runfold_read.run_progress AS p ORDER BY p.tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.tenant_id FROM runfold_read.run_progress AS p WHERE p.tenant_id > t.tenant_id ORDER BY p.tenant_id LIMIT 1)
      FROM tenants AS t
     WHERE t.tenant_id IS NOT NULL
)

-- name: late approvals
-- Open approvals past their time, the oldest first; those of imported runs where asked for. A run that is not folded yet waits.
{tenants}
SELECT t.tenant_id, due.approval_id, due.expires_at
  FROM tenants AS t
 CROSS JOIN LATERAL (SELECT a.approval_id, a.expires_at
                       FROM runfold_read.approval_queue AS a
                      WHERE a.tenant_id = t.tenant_id
                        AND a.status = 'open'
                        AND a.expires_at <= %(now)s
                        AND EXISTS (SELECT FROM runfold_read.run_progress AS p
                                     WHERE p.tenant_id = a.tenant_id
                                       AND p.run_id = a.run_id
                                       AND p.kind = ANY(%(kinds)s))
                      ORDER BY a.expires_at
                      LIMIT %(limit)s) AS due

-- name: lost leases
-- Runs whose worker did not renew its lease in time, the longest lost first.
{tenants}
SELECT t.tenant_id, due.run_id, due.execution_id, due.lease_expires_at
  FROM tenants AS t
 CROSS JOIN LATERAL (SELECT p.run_id, p.execution_id, p.lease_expires_at
                       FROM runfold_read.run_progress AS p
                      WHERE p.tenant_id = t.tenant_id
                        AND p.lease_expires_at <= %(now)s
                        AND p.kind = ANY(%(kinds)s)
                      ORDER BY p.lease_expires_at
                      LIMIT %(limit)s) AS due

-- name: silent runs
-- Runs of a status that were last heard of by some time, the longest silent first.
{tenants}
SELECT t.tenant_id, due.run_id, due.last_heard_at, due.last_heard_position, due.stuck_at, due.stuck_position, due.stuck_rule,
       due.version
  FROM tenants AS t
 CROSS JOIN unnest(%(kinds)s::text[]) AS k (kind)
 CROSS JOIN LATERAL (SELECT p.run_id, p.last_heard_at, p.last_heard_position, p.stuck_at, p.stuck_position, p.stuck_rule, p.version
                       FROM runfold_read.run_progress AS p
                      WHERE p.tenant_id = t.tenant_id
                        AND p.kind = k.kind
                        AND p.status = %(status)s
                        AND p.last_heard_at <= %(heard_by)s
                        AND (p.stuck_at IS NULL OR p.stuck_at <= %(heard_by)s)
                      ORDER BY p.last_heard_at
                      LIMIT %(limit)s) AS due

-- name: repeating runs
-- Running runs that say or do the same again and again.
{tenants}
SELECT t.tenant_id, due.run_id, due.last_heard_at, due.identical_responses, due.responses_since, due.identical_tool_calls,
       due.tool_calls_since, due.version
  FROM tenants AS t
 CROSS JOIN unnest(%(kinds)s::text[]) AS k (kind)
 CROSS JOIN LATERAL (SELECT p.run_id, p.last_heard_at, p.identical_responses, p.responses_since, p.identical_tool_calls,
                            p.tool_calls_since, p.version
                       FROM runfold_read.run_progress AS p
                      WHERE p.tenant_id = t.tenant_id
                        AND p.kind = k.kind
                        AND p.repeats >= %(times)s
                      ORDER BY p.repeats, p.run_id
                      LIMIT %(limit)s) AS due
