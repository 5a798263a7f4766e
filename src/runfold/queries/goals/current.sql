-- name: events of superseded threads
-- What happened towards some goals in threads that others stand for; each thread a look-up of its own.
SELECT {columns}
  FROM (SELECT DISTINCT s.thread_id AS id
          FROM (SELECT l.thread_id
                  FROM runfold.log AS l
                 WHERE l.tenant_id = %b AND l.topic = 'thread.superseded' AND l.notification_id <= %b
                OFFSET 0) AS s) AS superseded
 CROSS JOIN LATERAL (SELECT *
                       FROM runfold.log AS each
                      WHERE each.thread_id = superseded.id AND each.tenant_id = %b
                        AND each.notification_id <= %b
                        AND (each.topic = ANY(%b)) IS TRUE AND (each.context ->> 'goal_id' = ANY(%b)) IS TRUE
                     OFFSET 0) AS e
 ORDER BY e.notification_id
