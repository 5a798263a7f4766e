-- name: ids beginning with
-- The ids in a column of a read model that begin with a text, each once.
SELECT DISTINCT t.{column}
  FROM {read_model} AS t
 WHERE t.tenant_id = %b
   AND starts_with(t.{column}, %b)
 ORDER BY 1
 LIMIT %b
