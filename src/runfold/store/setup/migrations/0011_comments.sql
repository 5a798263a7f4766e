-- What the columns of the log's own views hold, for people with psql and for tools that show comments.
-- Runs as runfold_owner, in one transaction.

COMMENT ON VIEW runfold.events IS 'The log in plain words: every event, in the order in which it was recorded';
COMMENT ON COLUMN runfold.events.position IS 'Its place in the ledger, from 1, without holes';
COMMENT ON COLUMN runfold.events.stream IS 'The thread, run, approval or key that it is of';
COMMENT ON COLUMN runfold.events.version IS 'Its place in its stream, from 1';
COMMENT ON COLUMN runfold.events.type IS 'What happened, such as run.created';
COMMENT ON COLUMN runfold.events.schema_version IS 'The version of the shape of data';
COMMENT ON COLUMN runfold.events.event_id IS 'Its id, unlike any other';
COMMENT ON COLUMN runfold.events.tenant_id IS 'Whose it is';
COMMENT ON COLUMN runfold.events.thread_id IS 'The thread that it belongs to';
COMMENT ON COLUMN runfold.events.recorded_at IS 'When it was stored, by the clock of the database';
COMMENT ON COLUMN runfold.events.occurred_at IS 'When it happened, where whoever recorded it has said so';
COMMENT ON COLUMN runfold.events.context IS 'What it is about: the run, agent, user, goal and others, as known when it was recorded';
COMMENT ON COLUMN runfold.events.metadata IS 'Who recorded it, through what, and in which request';
COMMENT ON COLUMN runfold.events.key_id IS 'The key that its data is sealed with; null where it is not';
COMMENT ON COLUMN runfold.events.data IS 'What was recorded; null where it is sealed';

COMMENT ON VIEW runfold.read_positions IS 'How far each read model in use is';
COMMENT ON COLUMN runfold.read_positions.name IS 'The read model';
COMMENT ON COLUMN runfold.read_positions.generation IS 'The number of its table';
COMMENT ON COLUMN runfold.read_positions.version IS 'The version of the projection that folds it';
COMMENT ON COLUMN runfold.read_positions.position IS 'The last position that it has looked at';
COMMENT ON COLUMN runfold.read_positions.worker IS 'Who folds it; null for nobody';
COMMENT ON COLUMN runfold.read_positions.moved_at IS 'When it last moved on';

COMMENT ON VIEW runfold.unwalled IS 'Tables and views in which the database does not keep tenants apart';
COMMENT ON COLUMN runfold.unwalled.schema IS 'The schema that it is in';
COMMENT ON COLUMN runfold.unwalled.name IS 'The table or view';
COMMENT ON COLUMN runfold.unwalled.is_view IS 'Whether it is a view';
COMMENT ON COLUMN runfold.unwalled.owner IS 'The role that owns it';

COMMENT ON VIEW runfold.held_session_locks IS 'What a session that lives does alone just now, such as rebuilding a read model';
COMMENT ON COLUMN runfold.held_session_locks.name IS 'What it does';
COMMENT ON COLUMN runfold.held_session_locks.pid IS 'The process of the server that the session has';
