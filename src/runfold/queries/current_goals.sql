-- name: events of superseded threads
-- What happened towards some goals in threads that others stand for; each thread a look-up of its own.
SELECT {columns}
  FROM (SELECT DISTINCT s.thread_id AS id
          FROM runfold.log AS s
         WHERE s.tenant_id = %b AND s.topic = 'thread.superseded' AND s.notification_id <= %b) AS superseded
 CROSS JOIN LATERAL (SELECT *
                       FROM runfold.log AS each
                      WHERE each.thread_id = superseded.id AND each.tenant_id = %b
                        AND each.notification_id <= %b
                     OFFSET 0) AS e
 WHERE e.topic = ANY(%b) AND e.context ->> 'goal_id' = ANY(%b)
 ORDER BY e.notification_id
