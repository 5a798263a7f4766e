-- name: sums
-- What groups of calls add up to: their currency and the sources of their cost, the cost, how many there are, their tokens.
SELECT {dimensions}
       CASE WHEN u.reported_cost IS NOT NULL THEN u.reported_currency WHEN u.computed_cost IS NOT NULL THEN '{currency}' END,
       CASE WHEN u.reported_cost IS NOT NULL THEN coalesce(u.reported_source, '{unstated}') END,
       CASE WHEN u.reported_cost IS NULL AND u.computed_cost IS NOT NULL THEN u.price_source END,
       sum(coalesce(u.reported_cost, u.computed_cost)),
       count(u.other_costs),
       count(*) FILTER (WHERE u.kind = 'call'),
       count(*) FILTER (WHERE u.kind = 'call' AND u.reported_cost IS NULL AND u.computed_cost IS NULL),
       {tokens}
  FROM {source}
 WHERE u.tenant_id = %b {conditions}
 GROUP BY {groups}

-- name: other costs
-- What was reported for the same calls in other currencies, in the same groups.
SELECT {dimensions} other.key, coalesce(u.reported_source, '{unstated}'), NULL, sum(other.value::numeric)
  FROM {source}
 CROSS JOIN LATERAL jsonb_each_text(u.other_costs) AS other
 WHERE u.tenant_id = %b AND u.other_costs IS NOT NULL {conditions}
 GROUP BY {groups}

-- name: calls
-- The calls one by one, and costs of none, for pricing them anew.
SELECT {dimensions} {columns}
  FROM {source}
 WHERE u.tenant_id = %b {conditions}

-- name: of a path
-- The calls recorded on a path: those of each run up to where its child left it. OFFSET 0 and LIMIT keep each run a look-up of
-- its own, however many rows the database expects.
unnest(%b::text[], %b::bigint[]) AS s (run_id, version)
  LEFT JOIN LATERAL (SELECT e.notification_id AS position
                       FROM runfold.log AS e
                      WHERE e.tenant_id = %b AND e.originator_id = s.run_id AND e.originator_version = s.version
                      LIMIT 1) AS last ON true
 CROSS JOIN LATERAL (SELECT *
                       FROM {usage} AS w
                      WHERE w.tenant_id = %b AND w.run_id = s.run_id
                        AND coalesce(w.recorded_position, w.cost_position) <= coalesce(last.position, %b)
                     OFFSET 0) AS u

-- name: of a tree
-- The calls of a run and of all runs under it, sub-agents included; each run a look-up of its own.
(WITH RECURSIVE tree (run_id) AS (
   SELECT %b::text COLLATE "C"
    UNION
   SELECT child.run_id
     FROM tree
    CROSS JOIN LATERAL (SELECT n.run_id
                          FROM {thread_tree} AS n
                         WHERE n.tenant_id = %b AND n.parent_run_id = tree.run_id
                        OFFSET 0) AS child)
 SELECT run_id FROM tree) AS member
 CROSS JOIN LATERAL (SELECT *
                       FROM {usage} AS w
                      WHERE w.tenant_id = %b AND w.run_id = member.run_id
                     OFFSET 0) AS u

-- name: sums of totals
-- What groups of totals add up to, as `sums` says it of rows. A total in which nothing is left is no group.
SELECT {dimensions} u.currency, u.cost_source, u.price_source, sum(u.cost), 0, sum(u.calls),
       coalesce(sum(u.calls) FILTER (WHERE u.currency IS NULL), 0),
       {tokens}
  FROM {source} AS u
 WHERE u.tenant_id = %b {conditions}
 GROUP BY {groups}
HAVING sum(u.parts) > 0

-- name: totals without superseded
-- Totals, and with the other sign what the calls in superseded threads are in them; each thread a look-up of its own.
(WITH superseded AS MATERIALIZED ({superseded}),
      rows AS MATERIALIZED (
       SELECT -1 AS sign, w.*
         FROM superseded AS s
        CROSS JOIN LATERAL (SELECT *
                              FROM {usage} AS c
                             WHERE c.tenant_id = %b AND c.thread_id = s.thread_id
                            OFFSET 0) AS w),
      parts AS ({parts})
 SELECT {columns}
   FROM {totals}
  WHERE tenant_id = %b
  UNION ALL
 SELECT {taken_off}
   FROM parts)
