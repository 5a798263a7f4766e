-- name: superseded threads
-- The threads of a tenant that others stood for by a position. OFFSET 0 has them found by the index of the events that say so.
SELECT DISTINCT s.thread_id
  FROM (SELECT e.thread_id
          FROM runfold.log AS e
         WHERE e.tenant_id = %b AND e.topic = 'thread.superseded' AND e.notification_id <= %b
        OFFSET 0) AS s

-- name: how many are superseded
-- How many these are.
SELECT count(DISTINCT s.thread_id)
  FROM (SELECT e.thread_id
          FROM runfold.log AS e
         WHERE e.tenant_id = %b AND e.topic = 'thread.superseded' AND e.notification_id <= %b
        OFFSET 0) AS s
