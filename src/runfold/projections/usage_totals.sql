-- name: parts
-- What each row of usage adds to the totals: one part for its cost in one currency, and one more for each further currency.
-- A part whose cost nobody knows has no currency. Of each count of tokens there is the sum, and how many calls it was told of.
SELECT u.sign, u.tenant_id, u.day, u.agent_id, u.provider, u.model, u.node_id, u.source, u.user_id, u.goal_id,
       CASE WHEN u.reported_cost IS NOT NULL THEN u.reported_currency WHEN u.computed_cost IS NOT NULL THEN '{currency}' END AS currency,
       CASE WHEN u.reported_cost IS NOT NULL THEN coalesce(u.reported_source, '{unstated}') END AS cost_source,
       CASE WHEN u.reported_cost IS NULL AND u.computed_cost IS NOT NULL THEN u.price_source END AS price_source,
       1 AS parts,
       (u.kind = 'call')::int AS calls,
       coalesce(u.reported_cost, u.computed_cost, 0) AS cost,
       {counts}
  FROM {rows} AS u
 UNION ALL
SELECT u.sign, u.tenant_id, u.day, u.agent_id, u.provider, u.model, u.node_id, u.source, u.user_id, u.goal_id,
       other.key, coalesce(u.reported_source, '{unstated}'), NULL,
       1, 0, other.value::numeric,
       {no_counts}
  FROM {rows} AS u
 CROSS JOIN LATERAL jsonb_each_text(u.other_costs) AS other
