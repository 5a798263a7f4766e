-- name: attempts
-- The last attempts to send something to a webhook of what is recorded up to a position, the last first.
SELECT a.attempted_at, a.event_id, a.position, a.attempt, a.replay, a.milliseconds, a.status_code, a.error
  FROM runfold.delivery_attempts AS a
 WHERE a.tenant_id = %b
   AND a.webhook_id = %b
   AND (NOT %b::boolean OR a.status_code IS NULL OR a.status_code NOT BETWEEN 200 AND 299)
   AND a.position <= %b
 ORDER BY a.attempted_at DESC, a.position DESC
 LIMIT %b

-- name: one waiting
-- How it stands with something that still waits.
SELECT d.attempts, d.due_at, d.error
  FROM runfold.deliveries AS d
 WHERE d.tenant_id = %b
   AND d.webhook_id = %b
   AND d.position = %b

-- name: figures
-- How far each webhook of a tenant is, and what waits for it.
SELECT f.webhook_id, f.position, d.waiting, d.oldest_waiting_at, d.next_attempt_at, d.last_error
  FROM runfold.webhook_feeds AS f
 CROSS JOIN LATERAL (SELECT count(*) AS waiting,
                            min(w.added_at) AS oldest_waiting_at,
                            min(w.due_at) AS next_attempt_at,
                            max(w.error) AS last_error
                       FROM runfold.deliveries AS w
                      WHERE w.tenant_id = f.tenant_id
                        AND w.webhook_id = f.webhook_id) AS d
 WHERE f.tenant_id = %b

-- name: in all
-- How delivery stands, over all tenants. What waits for a webhook that is disabled is not late.
SELECT f.webhooks, f.disabled, d.waiting, d.failing, d.oldest_seconds, coalesce(h.position - f.least, 0) AS behind
  FROM runfold.head AS h
 CROSS JOIN (SELECT count(*) FILTER (WHERE s.is_active AND s.tenant_id <> '*') AS webhooks,
                    count(*) FILTER (WHERE NOT s.is_active) AS disabled,
                    min(s.position) FILTER (WHERE s.is_active) AS least
               FROM runfold.webhook_feeds AS s) AS f
 CROSS JOIN (SELECT count(*) AS waiting,
                    count(*) FILTER (WHERE w.attempts > 0) AS failing,
                    coalesce(extract(epoch FROM clock_timestamp() - min(w.added_at)), 0)::float8 AS oldest_seconds
               FROM runfold.deliveries AS w
              WHERE NOT EXISTS (SELECT FROM runfold.webhook_feeds AS o
                                 WHERE o.tenant_id = w.tenant_id
                                   AND o.webhook_id = w.webhook_id
                                   AND NOT o.is_active)) AS d
