-- name: stretch
-- How many events of a tenant there are between two positions, at most as many as are wanted, and where the last of them is.
SELECT count(*), max(found.position)
  FROM (SELECT notification_id AS position
          FROM runfold.log
         WHERE notification_id > %b
           AND notification_id <= %b
           AND tenant_id = %b
         ORDER BY 1
         LIMIT %b) AS found
