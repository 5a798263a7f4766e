"""How events are kept. The only place that knows PostgreSQL's tables and the words of the `eventsourcing` library."""
