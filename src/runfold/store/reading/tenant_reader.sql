-- name: streams beginning with
-- The ids of a tenant's streams from one on and before another, in order, that were there at a position: one look into the
-- index for each.
WITH RECURSIVE found (stream) AS (
    (SELECT e.originator_id
       FROM runfold.log AS e
      WHERE e.originator_id >= %b
        AND e.originator_id < %b
        AND e.tenant_id = %b
        AND e.originator_version = 1
        AND e.notification_id <= %b
      ORDER BY e.originator_id
      LIMIT 1)
    UNION ALL
    SELECT (SELECT e.originator_id
              FROM runfold.log AS e
             WHERE e.originator_id > found.stream
               AND e.originator_id < %b
               AND e.tenant_id = %b
               AND e.originator_version = 1
               AND e.notification_id <= %b
             ORDER BY e.originator_id
             LIMIT 1)
      FROM found
     WHERE found.stream IS NOT NULL
)
SELECT stream
  FROM found
 WHERE stream IS NOT NULL
 LIMIT %b

-- name: ends
-- The last version of each stream, and its position.
SELECT asked.stream, last.originator_version, last.notification_id
  FROM unnest(%b::text[]) AS asked (stream)
 CROSS JOIN LATERAL (SELECT e.originator_version, e.notification_id
                       FROM runfold.log AS e
                      WHERE e.originator_id = asked.stream
                        AND e.tenant_id = %b
                      ORDER BY e.originator_version DESC
                      LIMIT 1) AS last
