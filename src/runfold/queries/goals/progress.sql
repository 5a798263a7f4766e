-- name: decisions towards a goal
-- What of their rows matters to the goal's criteria, in the order in which they were made.
SELECT d.run_id, d.decision_id, d.outcome_success, d.made_position
  FROM {decision_log} AS d
 WHERE d.tenant_id = %b AND d.goal_id = %b
 ORDER BY d.made_position

-- name: reach of a goal
-- In how many threads and runs it was decided on. OFFSET 0 has the rows found by the goal, and counted then.
SELECT count(DISTINCT d.thread_id), count(DISTINCT d.run_id)
  FROM (SELECT *
          FROM {decision_log} AS d
         WHERE d.tenant_id = %b AND d.goal_id = %b
        OFFSET 0) AS d

-- name: last violations
-- Where the last constraints broken by a goal's runs are in the log. Each run that broke one is looked up by itself.
SELECT violated.position
  FROM {run_summaries} AS r
 CROSS JOIN LATERAL (SELECT e.notification_id AS position
                       FROM runfold.log AS e
                      WHERE e.tenant_id = r.tenant_id AND e.originator_id = r.run_id AND e.topic = 'constraint.violated'
                        AND (e.notification_id <= %b) IS TRUE
                      ORDER BY e.originator_version DESC
                      LIMIT least(r.violations, %b)) AS violated
 WHERE r.tenant_id = %b AND r.goal_id = %b AND r.violations > 0
 ORDER BY violated.position DESC
 LIMIT %b
