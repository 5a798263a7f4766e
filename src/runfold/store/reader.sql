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
