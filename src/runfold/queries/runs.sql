-- name: percentile of durations
-- Nearest rank, in whole numbers: the duration that so many percent of the runs do not exceed, and that one of them took.
SELECT ranked.duration_ns
  FROM (SELECT t.duration_ns, row_number() OVER (ORDER BY t.duration_ns) AS place, count(*) OVER () AS runs
          FROM (SELECT *
                  FROM {run_summaries} AS t
                 WHERE t.tenant_id = %b AND t.duration_ns IS NOT NULL AND {conditions}
                OFFSET 0) AS t) AS ranked
 WHERE ranked.place = (%b * ranked.runs + 99) / 100
