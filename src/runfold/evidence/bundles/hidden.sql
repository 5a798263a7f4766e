-- name: redactions
-- The messages that were redacted: of some threads, or all.
SELECT e.thread_id, e.state
  FROM runfold.log AS e
 WHERE e.tenant_id = %b
   AND e.topic = 'message.redacted'
   AND (%b OR e.thread_id = ANY(%b::text[]))
