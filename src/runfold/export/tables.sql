-- name: columns
-- The columns of a table with their types, in order.
SELECT a.attname, format_type(a.atttypid, a.atttypmod)
  FROM pg_attribute AS a
 WHERE a.attrelid = %b::regclass AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- name: key
-- The columns of a table's primary key, in order.
SELECT a.attname
  FROM pg_index AS i
 CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, ordinal)
  JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
 WHERE i.indrelid = %b::regclass AND i.indisprimary
 ORDER BY k.ordinal

-- name: generation in use
-- Which generation of a read model is in use, its version, and the history of the log.
SELECT m.generation, m.version, h.epoch
  FROM runfold.read_models AS m
 CROSS JOIN runfold.head AS h
 WHERE m.name = %b
   AND m.state = 'live'
