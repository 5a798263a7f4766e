-- name: stored rows
-- All rows that there are.
SELECT 1 AS sign, t.*
  FROM {source} AS t

-- name: rows that change
-- Rows that are stored under some keys, to be taken off, and the rows that take their place, as JSON, to be added.
SELECT -1 AS sign, {columns}
  FROM unnest({arrays}) AS k ({key})
  JOIN {source} AS t USING ({key})
 UNION ALL
SELECT 1, t.*
  FROM json_to_recordset(%b::json) AS t ({shape})

-- name: add
-- Add to totals what rows are in them, each by its sign.
INSERT INTO {table} AS t ({names})
  WITH rows AS MATERIALIZED ({rows}),
       parts AS ({parts})
SELECT {added}
  FROM parts
 GROUP BY {by}
    ON CONFLICT ({group}) DO UPDATE SET {changes}
