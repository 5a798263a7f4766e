-- name: words
-- The words of a row and its labels, as they are looked for: each once, and as it stands there.
array_to_tsvector(string_to_array({words}, ' ') || {labels})

-- name: are wanted
-- What makes a row one that is looked for: `wanted` are words and labels; of the words in their order all `phrases` are in it,
-- each of `either` is, and none of `without`.
{index} @@ {wanted}
       AND ' ' || {words} || ' ' LIKE ALL ({phrases})
       AND ' ' || {words} || ' ' ~ ALL ({either})
       AND NOT ' ' || {words} || ' ' LIKE ANY ({without})
       AND t.thread_id <> ALL ({threads_left_out})
       AND ({time_from} IS NULL OR {time} >= {time_from})
       AND ({time_to} IS NULL OR {time} <= {time_to})
       AND {order} BETWEEN {first} AND {last}

-- name: index
-- What is added waits in a list that each search looks through, so that list is kept short.
CREATE INDEX ON {table} USING gin (({index})) WITH (fastupdate = on, gin_pending_list_limit = 512)

-- name: function
-- The rows of the caller's tenant that have what is looked for, the last first. Row-level security would keep PostgreSQL from
-- using the index, whose operator might tell in an error what it was given: so this asks as the table's owner, and itself
-- for the tenant. Which index is used is not for statistics to decide.
CREATE FUNCTION {function}(
    wanted tsquery, phrases text[], either text[], without text[], threads_left_out text[],
    time_from timestamptz, time_to timestamptz, first bigint, last bigint, most bigint
) RETURNS SETOF {table}
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_indexscan = off SET jit = off AS $$
BEGIN
    RETURN QUERY
    SELECT {columns}
      FROM {table} AS t
     WHERE {conditions}
       AND CASE current_setting('runfold.tenant') WHEN '*' THEN true WHEN t.tenant_id THEN true ELSE false END
     ORDER BY t.{order} DESC
     LIMIT most;
END $$;
REVOKE ALL ON FUNCTION {function} FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {function} TO runfold_app

-- name: rows that are given
-- The same of rows that stand in no table, and have no index.
SELECT {columns}
  FROM {rows} AS t
 CROSS JOIN (SELECT {given}) AS given
 WHERE {conditions}
   AND t.tenant_id = %b
 ORDER BY t.{order} DESC
 LIMIT %b
