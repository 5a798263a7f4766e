-- name: add feed
-- Begins to follow the log for a webhook.
INSERT INTO runfold.webhook_feeds (tenant_id, webhook_id, position, epoch)
VALUES (%(tenant)s, %(webhook)s, %(position)s, %(epoch)s)
    ON CONFLICT DO NOTHING

-- name: feeds
-- How far each webhook is.
SELECT f.tenant_id, f.webhook_id, f.position, f.epoch, f.own_position, f.replay, f.replay_after, f.replay_up_to, f.is_active
  FROM runfold.webhook_feeds AS f

-- name: waiting
-- How much waits to be sent to a webhook, as far as that is of interest.
SELECT count(*) AS waiting
  FROM (SELECT FROM runfold.deliveries AS d
         WHERE d.tenant_id = %(tenant)s
           AND d.webhook_id = %(webhook)s
         LIMIT %(most)s) AS found

-- name: set active
-- Whether what waits is sent. What waited meanwhile is due at once.
UPDATE runfold.webhook_feeds
   SET is_active = %(active)s
 WHERE tenant_id = %(tenant)s
   AND webhook_id = %(webhook)s

-- name: make due
-- Lets everything that waits for a webhook be tried at once. Whoever changes several rows takes them in the order of positions: so
-- no two wait for each other.
WITH mine AS MATERIALIZED (
    SELECT w.position
      FROM runfold.deliveries AS w
     WHERE w.tenant_id = %(tenant)s
       AND w.webhook_id = %(webhook)s
       AND w.due_at > clock_timestamp()
     ORDER BY w.tenant_id, w.webhook_id, w.position
       FOR UPDATE
)
UPDATE runfold.deliveries AS d
   SET due_at = clock_timestamp(), noted_at = clock_timestamp()
  FROM mine
 WHERE d.tenant_id = %(tenant)s
   AND d.webhook_id = %(webhook)s
   AND d.position = mine.position

-- name: add
-- Adds what is to be sent; what waits already stays as it is.
INSERT INTO runfold.deliveries (tenant_id, webhook_id, position, event_id, stream, replay)
SELECT a.tenant_id, %(webhook)s, a.position, a.event_id, a.stream, %(replay)s
  FROM unnest(%(tenants)s::text[], %(positions)s::bigint[], %(event_ids)s::uuid[], %(streams)s::text[])
       AS a (tenant_id, position, event_id, stream)
    ON CONFLICT DO NOTHING

-- name: move on
-- Notes how far a webhook is, unless another has moved it on meanwhile.
UPDATE runfold.webhook_feeds
   SET position = %(position)s, epoch = %(epoch)s, own_position = %(own_position)s,
       replay = %(replay)s, replay_after = %(replay_after)s, replay_up_to = %(replay_up_to)s
 WHERE tenant_id = %(tenant)s
   AND webhook_id = %(webhook)s
   AND (position, own_position, coalesce(replay_after, 0)) = (%(from_position)s, %(from_own)s, %(from_replay)s)
RETURNING position

-- name: claim
-- Claims what has been due for longest and may be sent: nothing before it in its stream waits for the same webhook, and so many
-- at most are on their way to one webhook at a time. Who claims sees rows that others are at work on as taken.
UPDATE runfold.deliveries AS d
   SET claim = %(claim)s, claimed_until = clock_timestamp() + %(hold)s
  FROM (SELECT w.tenant_id, w.webhook_id, w.position
          FROM runfold.deliveries AS w
         WHERE w.due_at <= clock_timestamp()
           AND (w.claimed_until IS NULL OR w.claimed_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + %(hold)s)
           AND NOT EXISTS (SELECT FROM runfold.webhook_feeds AS f
                            WHERE f.tenant_id = w.tenant_id
                              AND f.webhook_id = w.webhook_id
                              AND NOT f.is_active)
           AND NOT EXISTS (SELECT FROM runfold.deliveries AS b
                            WHERE b.tenant_id = w.tenant_id
                              AND b.webhook_id = w.webhook_id
                              AND b.stream = w.stream
                              AND b.position < w.position)
           AND (SELECT count(*) FROM runfold.deliveries AS c
                 WHERE c.tenant_id = w.tenant_id
                   AND c.webhook_id = w.webhook_id
                   AND c.claimed_until BETWEEN clock_timestamp() AND clock_timestamp() + %(hold)s)
               < CASE WHEN w.webhook_id IN ('callbacks', 'steps') THEN 4 ELSE 1 END * %(most)s
         ORDER BY w.due_at
         LIMIT 1
           FOR UPDATE SKIP LOCKED) AS free
 WHERE d.tenant_id = free.tenant_id
   AND d.webhook_id = free.webhook_id
   AND d.position = free.position
RETURNING d.tenant_id, d.webhook_id, d.position, d.event_id, d.stream, d.replay, d.attempts, d.claim

-- name: note attempt
-- Notes how an attempt went.
INSERT INTO runfold.delivery_attempts
       (tenant_id, webhook_id, position, event_id, attempted_at, attempt, replay, milliseconds, status_code, error)
VALUES (%(tenant)s, %(webhook)s, %(position)s, %(event_id)s, clock_timestamp(), %(attempt)s, %(replay)s, %(milliseconds)s,
        %(status_code)s, %(error)s)
    ON CONFLICT DO NOTHING

-- name: remove
-- It has ended one way or the other; whoever claimed it since may send it once more.
DELETE FROM runfold.deliveries
 WHERE tenant_id = %(tenant)s
   AND webhook_id = %(webhook)s
   AND position = %(position)s
   AND claim = %(claim)s

-- name: put off
-- It is tried again later, and what follows it in its stream waits for it.
WITH mine AS MATERIALIZED (
    SELECT w.position
      FROM runfold.deliveries AS w
     WHERE w.tenant_id = %(tenant)s
       AND w.webhook_id = %(webhook)s
       AND w.stream = %(stream)s
       AND w.position >= %(position)s
     ORDER BY w.tenant_id, w.webhook_id, w.position
       FOR UPDATE
)
UPDATE runfold.deliveries AS d
   SET due_at = greatest(d.due_at, clock_timestamp() + %(pause)s), noted_at = clock_timestamp(),
       attempts = CASE WHEN d.position = %(position)s THEN %(attempts)s ELSE d.attempts END,
       error = CASE WHEN d.position = %(position)s THEN %(error)s ELSE d.error END,
       claimed_until = CASE WHEN d.claim = %(claim)s THEN NULL ELSE d.claimed_until END,
       claim = CASE WHEN d.claim = %(claim)s THEN NULL ELSE d.claim END
  FROM mine
 WHERE d.tenant_id = %(tenant)s
   AND d.webhook_id = %(webhook)s
   AND d.position = mine.position

-- name: make due what is due too late
-- Nothing is put off for so long, and nothing was in the future: where it was, that was by a clock that was put back since.
WITH mine AS MATERIALIZED (
    SELECT w.tenant_id, w.webhook_id, w.position
      FROM runfold.deliveries AS w
     WHERE w.due_at > clock_timestamp()
       AND (w.due_at > clock_timestamp() + %(longest)s OR w.noted_at > clock_timestamp() + interval '10 seconds')
     ORDER BY w.tenant_id, w.webhook_id, w.position
       FOR UPDATE
)
UPDATE runfold.deliveries AS d
   SET due_at = clock_timestamp(), noted_at = clock_timestamp()
  FROM mine
 WHERE d.tenant_id = mine.tenant_id
   AND d.webhook_id = mine.webhook_id
   AND d.position = mine.position

-- name: forget webhook
-- Nothing more is sent to a webhook that was deleted, and its secrets are erased.
WITH mine AS MATERIALIZED (
    SELECT w.position
      FROM runfold.deliveries AS w
     WHERE w.tenant_id = %(tenant)s
       AND w.webhook_id = %(webhook)s
     ORDER BY w.tenant_id, w.webhook_id, w.position
       FOR UPDATE
),
     waiting AS (DELETE FROM runfold.deliveries AS d
                  USING mine
                  WHERE d.tenant_id = %(tenant)s AND d.webhook_id = %(webhook)s AND d.position = mine.position),
     feeds AS (DELETE FROM runfold.webhook_feeds WHERE tenant_id = %(tenant)s AND webhook_id = %(webhook)s)
DELETE FROM runfold.webhook_secrets
 WHERE tenant_id = %(tenant)s
   AND webhook_id = %(webhook)s

-- name: forget attempts
-- Forgets how attempts went that are long over.
DELETE FROM runfold.delivery_attempts
 WHERE attempted_at < clock_timestamp() - %(age)s
