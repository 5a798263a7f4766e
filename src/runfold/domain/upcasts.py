"""Yesterday's stored shapes → today's. A stored event is never rewritten; it is read through these.

Each function takes the fields as they were stored in one schema version and returns those of the next:

    @event_types.upcast("run.started", from_version=1)
    def started_with_attempt(fields: Fields) -> Fields:
        return {"attempt": 1, **fields}

No event has a second version yet.
"""
