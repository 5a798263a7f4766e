-- name: indexes
-- Whether a table has its key, and how many indexes beside it.
SELECT count(*) FILTER (WHERE indisprimary) AS keys, count(*) FILTER (WHERE NOT indisprimary) AS others
  FROM pg_index
 WHERE indrelid = to_regclass(%s)

-- name: torn row
-- The first row that two shards made parts of, and the positions of the last events of two parts.
SELECT {key}, min(position) AS first, max(position) AS last
  FROM {table}
 GROUP BY {key}
HAVING count(*) > 1
 ORDER BY {key}
 LIMIT 1

-- name: events at
-- The types and threads of some events.
SELECT notification_id AS position, topic AS type, thread_id
  FROM runfold.log
 WHERE notification_id = ANY(%(positions)s)
