"""How events are kept. The only place that knows the tables of the log."""
