-- name: types
-- The types of a tenant's events from one on and before another, in order: one look into the index for each.
WITH RECURSIVE found (type) AS (
    (SELECT e.topic
       FROM runfold.log AS e
      WHERE (e.tenant_id, e.topic) >= (%b, %b)
        AND (e.tenant_id, e.topic) < (%b, %b)
      ORDER BY e.tenant_id, e.topic
      LIMIT 1)
    UNION ALL
    SELECT (SELECT e.topic
              FROM runfold.log AS e
             WHERE (e.tenant_id, e.topic) > (%b, found.type)
               AND (e.tenant_id, e.topic) < (%b, %b)
             ORDER BY e.tenant_id, e.topic
             LIMIT 1)
      FROM found
     WHERE found.type IS NOT NULL
)
SELECT type
  FROM found
 WHERE type IS NOT NULL

-- name: positions
-- Where a tenant's next events of each of some types are, so many of each.
SELECT wanted.type, found.position
  FROM unnest(%b::text[]) AS wanted (type)
 CROSS JOIN LATERAL (SELECT e.notification_id AS position
                       FROM runfold.log AS e
                      WHERE (e.tenant_id, e.topic, e.notification_id) > (%b, wanted.type, %b)
                        AND (e.tenant_id, e.topic, e.notification_id) <= (%b, wanted.type, %b)
                      ORDER BY e.tenant_id {way}, e.topic {way}, e.notification_id {way}
                      LIMIT %b) AS found
