-- When it was noted until when a consumer has events, an event waits and something is sent no more: where that lies ahead, a clock
-- was put back since, and it is not believed. Runs as runfold_owner, in one transaction. Rows of before have none, and are
-- believed; what an older process writes has it by itself, and when it notes another time, that of before.

ALTER TABLE runfold.subscription_leases ADD COLUMN noted_at timestamptz;
ALTER TABLE runfold.subscription_leases ALTER COLUMN noted_at SET DEFAULT clock_timestamp();
COMMENT ON COLUMN runfold.subscription_leases.noted_at IS 'When due was noted';

ALTER TABLE runfold.subscription_waiting ADD COLUMN noted_at timestamptz;
ALTER TABLE runfold.subscription_waiting ALTER COLUMN noted_at SET DEFAULT clock_timestamp();
COMMENT ON COLUMN runfold.subscription_waiting.noted_at IS 'When due was noted';

ALTER TABLE runfold.deliveries ADD COLUMN noted_at timestamptz;
ALTER TABLE runfold.deliveries ALTER COLUMN noted_at SET DEFAULT clock_timestamp();
COMMENT ON COLUMN runfold.deliveries.noted_at IS 'When due_at was noted';
