-- name: percentile of durations
-- Nearest rank, in whole numbers: the duration that so many percent of the runs do not exceed, and that one of them took.
SELECT ranked.duration_ns
  FROM (SELECT t.duration_ns, row_number() OVER (ORDER BY t.duration_ns) AS place, count(*) OVER () AS runs
          FROM (SELECT *
                  FROM {run_summaries} AS t
                 WHERE t.tenant_id = %b AND t.duration_ns IS NOT NULL AND {conditions}
                OFFSET 0) AS t) AS ranked
 WHERE ranked.place = (%b * ranked.runs + 99) / 100

-- name: how many runs
-- How many runs some conditions hold for.
SELECT count(*)
  FROM {run_summaries} AS t
 WHERE t.tenant_id = %b AND {conditions}

-- name: lowest runs
-- The runs whose digests, of a seed and the run's id, are the lowest after one, of all for which some conditions hold. OFFSET 0
-- has the runs found first and put in order then; no more of them are kept than are asked for.
SELECT found.run_id, found.thread_id, encode(found.digest, 'hex')
  FROM (SELECT t.run_id, t.thread_id, sha256(%b || convert_to(t.run_id, 'UTF8')) AS digest
          FROM {run_summaries} AS t
         WHERE t.tenant_id = %b AND {conditions}
        OFFSET 0) AS found
 WHERE found.digest > %b
 ORDER BY found.digest, found.run_id
 LIMIT %b
