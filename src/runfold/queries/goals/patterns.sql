-- name: common_failures
-- The commonest errors of decisions towards a goal, each with the first outcome that tells it; no error is one of them.
SELECT count(*), min(d.outcome_position)
  FROM {decision_log} AS d
 WHERE d.tenant_id = %b AND d.goal_id = %b AND NOT d.outcome_success
 GROUP BY nullif(d.error_digest, %b)
 ORDER BY count(*) DESC, min(d.made_position)
 LIMIT %b

-- name: problematic_nodes
-- Nodes at which more than a tenth of the decisions towards a goal are not known to have come out well, the worst first.
SELECT n.node_id, n.decisions, n.failed
  FROM (SELECT d.node_id, count(*) AS decisions, count(*) FILTER (WHERE d.outcome_success IS NOT TRUE) AS failed,
               min(d.made_position) AS first
          FROM {decision_log} AS d
         WHERE d.tenant_id = %b AND d.goal_id = %b AND d.node_id IS NOT NULL
         GROUP BY d.node_id) AS n
 WHERE n.failed * 10 > n.decisions
 ORDER BY n.failed::numeric / n.decisions DESC, n.first

-- name: decision_types
-- How many decisions towards a goal are of which type.
SELECT d.decision_type, count(*)
  FROM {decision_log} AS d
 WHERE d.tenant_id = %b AND d.goal_id = %b
 GROUP BY d.decision_type
 ORDER BY count(*) DESC, d.decision_type

-- name: common_choices
-- For each intent of decisions towards a goal the commonest choice, of equally common ones the first; and how many intents.
  WITH choices AS (
        SELECT d.intent_digest, d.choice_digest, count(*) AS made, min(d.made_position) AS first
          FROM {decision_log} AS d
         WHERE d.tenant_id = %b AND d.goal_id = %b
         GROUP BY d.intent_digest, d.choice_digest),
       ranked AS (
        SELECT c.first, c.made, row_number() OVER (PARTITION BY c.intent_digest ORDER BY c.made DESC, c.first) AS rank,
               count(*) OVER intent AS choices, sum(c.made) OVER intent AS decisions, min(c.first) OVER intent AS begun
          FROM choices AS c
        WINDOW intent AS (PARTITION BY c.intent_digest))
SELECT r.first, r.made, r.choices - 1, r.decisions, count(*) OVER ()
  FROM ranked AS r
 WHERE r.rank = 1
 ORDER BY r.decisions DESC, r.begun
 LIMIT %b

-- name: node_performance
-- A node's decisions, counted, and what their outcomes say of time and tokens.
SELECT count(*), count(*) FILTER (WHERE d.outcome_success), count(d.outcome_success), sum(d.latency_ms), count(d.latency_ms),
       sum(d.tokens_used)
  FROM {decision_log} AS d
 WHERE d.tenant_id = %b AND d.node_id = %b

-- name: node_decision_types
-- How many of a node's decisions are of which type.
SELECT d.decision_type, count(*)
  FROM {decision_log} AS d
 WHERE d.tenant_id = %b AND d.node_id = %b
 GROUP BY d.decision_type
 ORDER BY count(*) DESC, d.decision_type
