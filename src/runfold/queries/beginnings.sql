-- name: ids beginning with
-- The ids in a column of a read model from one on and before another, in order: one look into the index for each.
WITH RECURSIVE found (id) AS (
    (SELECT t.{column}
       FROM {read_model} AS t
      WHERE (t.tenant_id, t.{column}) >= (%b, %b)
        AND (t.tenant_id, t.{column}) < (%b, %b)
      ORDER BY t.tenant_id, t.{column}
      LIMIT 1)
    UNION ALL
    SELECT (SELECT t.{column}
              FROM {read_model} AS t
             WHERE (t.tenant_id, t.{column}) > (%b, found.id)
               AND (t.tenant_id, t.{column}) < (%b, %b)
             ORDER BY t.tenant_id, t.{column}
             LIMIT 1)
      FROM found
     WHERE found.id IS NOT NULL
)
SELECT id
  FROM found
 WHERE id IS NOT NULL
 LIMIT %b
