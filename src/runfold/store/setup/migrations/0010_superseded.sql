-- Which threads others stand for: every list and total asks, and leaves them out. Few events among many, so they have an index.
--
-- Runs as runfold_owner, step by step (see migrate.py): appends go on meanwhile, and a run that was broken off is run again.

-- step: build the index of superseded threads
CREATE INDEX CONCURRENTLY IF NOT EXISTS log_threads_superseded ON runfold.log (tenant_id, notification_id)
    WHERE topic = 'thread.superseded';
