"""How a command gets into the log: executor, session, plan, batch, priority."""
