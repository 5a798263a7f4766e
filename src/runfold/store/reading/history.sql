-- name: present
-- The present history, and whether this session may begin a new one.
SELECT h.epoch, has_function_privilege('runfold.follow_history(uuid, bigint, uuid, timestamptz)', 'EXECUTE')
       AND current_setting('transaction_read_only') = 'off'
  FROM runfold.head AS h

-- name: last
-- The last event of the log. LATERAL … LIMIT makes it one look-up whatever the statistics say.
SELECT h.epoch, last.notification_id, last.event_id, last.recorded_at
  FROM runfold.head AS h
 CROSS JOIN LATERAL (SELECT e.notification_id, e.event_id, e.recorded_at
                       FROM runfold.log AS e
                      WHERE e.notification_id = h.position
                      LIMIT 1) AS last
