-- Whether a call's versions follow each other is found in the order in which its events come, which is lost where they are sorted
-- by stream. So they are never sorted, whatever the settings of who calls: the client's own sessions never did. Runs as runfold_owner.

-- name: plans
-- The settings of planning, as those that are there.
ALTER FUNCTION runfold.append_events SET enable_sort = off;
ALTER FUNCTION runfold.append_events SET enable_hashagg = on;
ALTER FUNCTION runfold.append_events_in_groups SET enable_sort = off;
ALTER FUNCTION runfold.append_events_in_groups SET enable_hashagg = on;
