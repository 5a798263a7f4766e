-- The keys of the service: made and revoked rarely, listed without looking through the log.
-- Runs as runfold_owner, in one transaction.

CREATE INDEX log_keys ON runfold.log (tenant_id, notification_id)
    WHERE topic IN ('security.key_created', 'security.key_revoked');

COMMENT ON COLUMN runfold.log.originator_id IS 'Stream: thread_…, run_…, approval_… or security_…';
COMMENT ON COLUMN runfold.log.thread_id IS
    'The thread that the event belongs to. A key belongs to none: its stream stands here too, as a thread of its own';
