-- name: both
-- The rows of the new table beside those in use. A row in use that is newer than the comparison says nothing of it. Nor does one
-- that is gone, where its thread has gone on.
  FROM {new} AS n
  FULL JOIN (SELECT * FROM {old}) AS l USING ({key})
 CROSS JOIN LATERAL (SELECT l.position > %(up_to)s
                         OR (l.position IS NULL AND EXISTS (
                                SELECT FROM runfold.log AS e
                                 WHERE e.tenant_id = n.tenant_id
                                   AND e.thread_id = (SELECT thread_id FROM runfold.log WHERE notification_id = n.position)
                                   AND e.notification_id > %(up_to)s
                                   AND e.topic = ANY(%(types)s))) AS newer) AS since

-- name: both, at one position
-- The rows of two tables that are filled up to one position: none of them is newer than the comparison.
  FROM {new} AS n
  FULL JOIN (SELECT * FROM {old}) AS l USING ({key})
 CROSS JOIN (SELECT false AS newer) AS since

-- name: count
-- How many rows were compared, how many are newer, and how many differ.
SELECT count(*) FILTER (WHERE newer IS NOT TRUE) AS rows, count(*) FILTER (WHERE newer) AS newer,
       count(*) FILTER (WHERE newer IS NOT TRUE AND (n.position IS NULL OR l.position IS NULL OR {differs})) AS different
{both}

-- name: examples
-- The first rows that differ.
SELECT {key}, {names}
{both}
 WHERE newer IS NOT TRUE
   AND (n.position IS NULL OR l.position IS NULL OR {differs})
 ORDER BY {key}
 LIMIT %(most)s

-- name: types
-- A table's columns, and the type of each.
SELECT attname, format_type(atttypid, atttypmod)
  FROM pg_attribute
 WHERE attrelid = to_regclass(format('%%I.%%I', %s::text, %s::text))
   AND attnum > 0
   AND NOT attisdropped
