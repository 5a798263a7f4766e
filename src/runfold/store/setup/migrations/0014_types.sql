-- Where a tenant's events of each type are: so a feed of what is rare, or of a small tenant among large ones, skips all others.
--
-- Runs as runfold_owner, step by step (see migrate.py): appends go on meanwhile, and a run that was broken off is run again.

-- step: build the index of types
CREATE INDEX CONCURRENTLY IF NOT EXISTS log_tenant_type ON runfold.log (tenant_id, topic, notification_id);
