-- name: put
-- Makes a subscription, or changes what its consumers are promised; where it is does not change.
INSERT INTO runfold.subscriptions AS s
       (tenant_id, name, owner, audited, wanted, in_order_of, lease_seconds, retry_seconds, most_attempts, looked_up_to, epoch)
VALUES (%(tenant)s, %(name)s, %(owner)s, %(audited)s, %(wanted)s, %(in_order_of)s, %(lease_seconds)s, %(retry_seconds)s,
        %(most_attempts)s, %(looked_up_to)s, %(epoch)s)
    ON CONFLICT (tenant_id, name) DO UPDATE
   SET lease_seconds = EXCLUDED.lease_seconds, retry_seconds = EXCLUDED.retry_seconds, most_attempts = EXCLUDED.most_attempts

-- name: one
-- A subscription.
SELECT s.name, s.owner, s.audited, s.wanted, s.in_order_of, s.lease_seconds, s.retry_seconds, s.most_attempts, s.looked_up_to,
       s.epoch, s.created_at
  FROM runfold.subscriptions AS s
 WHERE s.tenant_id = %(tenant)s AND s.name = %(name)s

-- name: locked
-- The same, until the transaction ends nobody else has it.
SELECT s.name, s.owner, s.audited, s.wanted, s.in_order_of, s.lease_seconds, s.retry_seconds, s.most_attempts, s.looked_up_to,
       s.epoch, s.created_at
  FROM runfold.subscriptions AS s
 WHERE s.tenant_id = %(tenant)s AND s.name = %(name)s
   FOR UPDATE

-- name: all
-- All of a tenant, or those of an owner, by name.
SELECT s.name, s.owner, s.audited, s.wanted, s.in_order_of, s.lease_seconds, s.retry_seconds, s.most_attempts, s.looked_up_to,
       s.epoch, s.created_at
  FROM runfold.subscriptions AS s
 WHERE s.tenant_id = %(tenant)s AND s.name > %(after)s
   AND (%(owner)s::text IS NULL OR (s.owner = %(owner)s AND (%(audited)s OR NOT s.audited)))
 ORDER BY s.tenant_id, s.name
 LIMIT %(limit)s

-- name: delete
-- Forgets a subscription.
DELETE FROM runfold.subscriptions AS s WHERE s.tenant_id = %(tenant)s AND s.name = %(name)s

-- name: looked
-- Notes how far was looked for events.
UPDATE runfold.subscriptions AS s
   SET looked_up_to = %(looked_up_to)s, epoch = %(epoch)s
 WHERE s.tenant_id = %(tenant)s AND s.name = %(name)s

-- name: held
-- Of what streams or threads consumers have events, and whose time is over; the events where an older Runfold gave them. A lease
-- that was noted in the future, or goes further into it than any could, is of a clock that was put back since, and is over; by a
-- few seconds clocks are corrected.
SELECT l.due NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 day'
       OR coalesce(l.noted_at > clock_timestamp() + interval '10 seconds', false), l.key_hashes, CASE WHEN l.key_hashes IS NULL THEN l.items END
  FROM runfold.subscription_leases AS l
 WHERE l.tenant_id = %(tenant)s AND l.name = %(name)s

-- name: over
-- What consumers had for too long. One that is being answered meanwhile is waited for.
SELECT l.lease, l.consumer, l.items
  FROM runfold.subscription_leases AS l
 WHERE l.tenant_id = %(tenant)s AND l.name = %(name)s
   AND (l.due NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 day'
        OR l.noted_at > clock_timestamp() + interval '10 seconds')
   FOR UPDATE

-- name: lease
-- What one take gave and is not answered.
SELECT l.lease, l.consumer, l.items
  FROM runfold.subscription_leases AS l
 WHERE l.tenant_id = %(tenant)s AND l.name = %(name)s AND l.lease = %(lease)s
   FOR UPDATE

-- name: add lease
-- Notes what a take gives.
INSERT INTO runfold.subscription_leases (tenant_id, name, lease, consumer, due, first, events, items, key_hashes, digest)
VALUES (%(tenant)s, %(name)s, %(lease)s, %(consumer)s, clock_timestamp() + %(lease_seconds)s * interval '1 second', %(first)s,
        %(events)s, %(items)s::jsonb, %(key_hashes)s::int[], %(digest)s)

-- name: keep of lease
-- Notes what of it is not answered yet.
UPDATE runfold.subscription_leases AS l
   SET first = %(first)s, events = %(events)s, items = %(items)s::jsonb, key_hashes = %(key_hashes)s::int[], digest = %(digest)s
 WHERE l.tenant_id = %(tenant)s AND l.name = %(name)s AND l.lease = %(lease)s

-- name: drop lease
-- All of it is answered, or given back.
DELETE FROM runfold.subscription_leases AS l WHERE l.tenant_id = %(tenant)s AND l.name = %(name)s AND l.lease = %(lease)s

-- name: acknowledge whole
-- All of a lease is acknowledged, by who may: nothing else of the subscription is locked for that.
WITH done AS (
    DELETE FROM runfold.subscription_leases AS l
     WHERE l.tenant_id = %(tenant)s AND l.name = %(name)s AND l.lease = %(lease)s
       AND l.events = %(events)s AND l.digest = %(digest)s
       AND EXISTS (SELECT FROM runfold.subscriptions AS s
                    WHERE s.tenant_id = %(tenant)s AND s.name = %(name)s
                      AND (%(owner)s::text IS NULL OR (s.owner = %(owner)s AND (%(audited)s OR NOT s.audited))))
    RETURNING l.lease
)
INSERT INTO runfold.subscription_answers AS a (tenant_id, name, lease, answer)
SELECT %(tenant)s, %(name)s, d.lease, %(answer)s::json FROM done AS d
RETURNING a.lease

-- name: add answer
-- Notes what a consumer is told.
INSERT INTO runfold.subscription_answers (tenant_id, name, lease, answer)
VALUES (%(tenant)s, %(name)s, %(lease)s, %(answer)s::json)

-- name: answers
-- What was told of a lease of late.
SELECT a.answer
  FROM runfold.subscription_answers AS a
 WHERE a.tenant_id = %(tenant)s AND a.name = %(name)s AND a.lease = %(lease)s
   AND a.answered_at > clock_timestamp() - %(kept_seconds)s * interval '1 second'

-- name: prune answers
-- Forgets those before the last ones, and of the first ones what is old.
DELETE FROM runfold.subscription_answers AS a
 WHERE a.tenant_id = %(tenant)s AND a.name = %(name)s
   AND a.number <= greatest(
       (SELECT b.number
          FROM runfold.subscription_answers AS b
         WHERE b.tenant_id = %(tenant)s AND b.name = %(name)s
         ORDER BY b.tenant_id DESC, b.name DESC, b.number DESC
        OFFSET %(most)s
         LIMIT 1),
       (SELECT max(old.number)
          FROM (SELECT b.number, b.answered_at
                  FROM runfold.subscription_answers AS b
                 WHERE b.tenant_id = %(tenant)s AND b.name = %(name)s
                 ORDER BY b.tenant_id, b.name, b.number
                 LIMIT 1000) AS old
         WHERE old.answered_at < clock_timestamp() - %(kept_seconds)s * interval '1 second'))

-- name: extend
-- The lease begins anew.
UPDATE runfold.subscription_leases AS l
   SET due = clock_timestamp() + %(lease_seconds)s * interval '1 second', noted_at = clock_timestamp()
 WHERE l.tenant_id = %(tenant)s AND l.name = %(name)s AND l.lease = %(lease)s

-- name: waiting
-- In order, and whether each is not to be given yet; without most of those that wait for what consumers have. No retry waits for
-- longer than a day, and none was noted in the future, so one that would or was is of a clock that was put back since.
SELECT w.position, w.key, w.attempts, w.replayed,
       w.due BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 day'
       AND coalesce(w.noted_at <= clock_timestamp() + interval '10 seconds', true)
  FROM runfold.subscription_waiting AS w
 WHERE w.tenant_id = %(tenant)s AND w.name = %(name)s
   AND (w.key_hash IS NULL OR w.key_hash NOT IN (SELECT unnest(l.key_hashes)
                                                   FROM runfold.subscription_leases AS l
                                                  WHERE l.tenant_id = %(tenant)s AND l.name = %(name)s))
 ORDER BY w.tenant_id, w.name, w.position

-- name: count waiting
-- All that wait.
SELECT count(*) FROM runfold.subscription_waiting AS w WHERE w.tenant_id = %(tenant)s AND w.name = %(name)s

-- name: add waiting
-- A retry waits at random half to all of its time, so that not all come at once.
INSERT INTO runfold.subscription_waiting (tenant_id, name, position, key, attempts, replayed, key_hash, due)
SELECT %(tenant)s, %(name)s, (n.item ->> 0)::bigint, n.item ->> 1, (n.item ->> 2)::int, (n.item ->> 3)::boolean,
       (%(hashes)s::jsonb ->> (n.place::int - 1))::int,
       clock_timestamp() + (%(seconds)s::jsonb ->> (n.place::int - 1))::double precision
       * CASE WHEN %(at_random)s THEN 0.5 + random() / 2 ELSE 1 END * interval '1 second'
  FROM jsonb_array_elements(%(items)s::jsonb) WITH ORDINALITY AS n (item, place)

-- name: drop waiting
-- They are given, or forgotten.
DELETE FROM runfold.subscription_waiting AS w
 WHERE w.tenant_id = %(tenant)s AND w.name = %(name)s AND w.position = ANY(%(positions)s)

-- name: park
-- Sets events aside.
INSERT INTO runfold.subscription_parked (tenant_id, name, position, key, attempts, reason, consumer)
SELECT %(tenant)s, %(name)s, (n.item ->> 0)::bigint, n.item ->> 1, (n.item ->> 2)::int, %(reason)s, %(consumer)s
  FROM jsonb_array_elements(%(items)s::jsonb) AS n (item)

-- name: parked
-- Those that are set aside, by position.
SELECT p.position, p.attempts, p.reason, p.consumer, p.parked_at
  FROM runfold.subscription_parked AS p
 WHERE p.tenant_id = %(tenant)s AND p.name = %(name)s AND p.position > %(after)s
 ORDER BY p.tenant_id, p.name, p.position
 LIMIT %(limit)s

-- name: replay
-- They wait again, to be given at once.
WITH again AS (
    DELETE FROM runfold.subscription_parked AS p
     WHERE p.tenant_id = %(tenant)s AND p.name = %(name)s
       AND (%(positions)s::bigint[] IS NULL OR p.position = ANY(%(positions)s))
    RETURNING p.position, p.key
)
INSERT INTO runfold.subscription_waiting AS w (tenant_id, name, position, key, attempts, replayed, due)
SELECT %(tenant)s, %(name)s, a.position, a.key, 0, true, clock_timestamp() FROM again AS a
RETURNING w.position

-- name: discard
-- They are never given again.
DELETE FROM runfold.subscription_parked AS p
 WHERE p.tenant_id = %(tenant)s AND p.name = %(name)s AND p.position = ANY(%(positions)s)
RETURNING p.position

-- name: forget leases
-- Nobody has anything of it any more.
DELETE FROM runfold.subscription_leases AS l WHERE l.tenant_id = %(tenant)s AND l.name = %(name)s

-- name: forget answers
-- Nobody was told anything.
DELETE FROM runfold.subscription_answers AS a WHERE a.tenant_id = %(tenant)s AND a.name = %(name)s

-- name: forget waiting
-- Nothing waits any more.
DELETE FROM runfold.subscription_waiting AS w WHERE w.tenant_id = %(tenant)s AND w.name = %(name)s

-- name: forget parked
-- Nothing is set aside any more.
DELETE FROM runfold.subscription_parked AS p WHERE p.tenant_id = %(tenant)s AND p.name = %(name)s

-- name: counts
-- Of each of some: events that are leased, waiting and parked, and the first of those that are leased or waiting.
SELECT n.name, l.events, w.events, p.events, least(l.first, w.first)
  FROM unnest(%(names)s::text[]) AS n (name)
 CROSS JOIN LATERAL (SELECT coalesce(sum(l.events), 0)::bigint AS events, min(l.first) AS first
                       FROM runfold.subscription_leases AS l
                      WHERE l.tenant_id = %(tenant)s AND l.name = n.name) AS l
 CROSS JOIN LATERAL (SELECT count(*) AS events, min(w.position) AS first
                       FROM runfold.subscription_waiting AS w
                      WHERE w.tenant_id = %(tenant)s AND w.name = n.name) AS w
 CROSS JOIN LATERAL (SELECT count(*) AS events
                       FROM runfold.subscription_parked AS p
                      WHERE p.tenant_id = %(tenant)s AND p.name = n.name) AS p

-- name: recorded at
-- When the events at some positions were recorded.
SELECT n.position, runfold.recorded_at(n.position) FROM unnest(%(positions)s::bigint[]) AS n (position)

-- name: lags
-- Of each name, whosever: positions behind the head, seconds since the first event behind which it is, and what is open and parked.
SELECT s.name,
       max(h.position - c.checkpoint),
       max(CASE WHEN c.checkpoint < h.position
                THEN coalesce((SELECT extract(epoch FROM clock_timestamp() - next.at)
                                 FROM (SELECT runfold.recorded_at(c.checkpoint + 1) AS at) AS next
                                WHERE isfinite(next.at)), 0)
                ELSE 0 END)::double precision,
       sum(l.events)::bigint, sum(w.events)::bigint, sum(p.events)::bigint
  FROM runfold.subscriptions AS s
 CROSS JOIN runfold.head AS h
 CROSS JOIN LATERAL (SELECT coalesce(sum(l.events), 0)::bigint AS events, min(l.first) AS first
                       FROM runfold.subscription_leases AS l
                      WHERE l.tenant_id = s.tenant_id AND l.name = s.name) AS l
 CROSS JOIN LATERAL (SELECT count(*) AS events, min(w.position) AS first
                       FROM runfold.subscription_waiting AS w
                      WHERE w.tenant_id = s.tenant_id AND w.name = s.name) AS w
 CROSS JOIN LATERAL (SELECT count(*) AS events
                       FROM runfold.subscription_parked AS p
                      WHERE p.tenant_id = s.tenant_id AND p.name = s.name) AS p
 CROSS JOIN LATERAL (SELECT least(least(l.first, w.first) - 1, s.looked_up_to, h.position) AS checkpoint) AS c
 GROUP BY s.name
 ORDER BY s.name
