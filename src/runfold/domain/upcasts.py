"""Yesterday's stored shapes → today's. A stored event is never rewritten; it is read through these.

Each function takes the fields as they were stored in one schema version and returns those of the next:

    @event_types.upcast("run.started", from_version=1)
    def started_with_attempt(fields: Fields) -> Fields:
        return {"attempt": 1, **fields}
"""

from typing import Any

from runfold.domain.event import Fields, event_types
from runfold.domain.values import INT_LIMIT


@event_types.upcast("usage.recorded", from_version=1)
def usage_with_what_its_report_says(fields: Fields) -> Fields:
    """One-hour cache writes and web searches, which version 1 kept in the provider's own report alone."""
    tokens, raw = dict(fields["tokens"]), fields.get("raw")
    kept_for_an_hour = _count_in(raw, "cache_creation", "ephemeral_1h_input_tokens")
    written = tokens.get("cache_creation_input_tokens")
    if kept_for_an_hour is not None and (written is None or kept_for_an_hour <= written):
        tokens["cache_creation_1h_input_tokens"] = kept_for_an_hour
    searches = _count_in(raw, "server_tool_use", "web_search_requests")
    if searches is not None:
        tokens["web_search_requests"] = searches
    return {**fields, "tokens": tokens}


def _count_in(raw: Any, part: str, name: str) -> int | None:
    """A count of a report; None where it is not there, or no count."""
    inner = raw.get(part) if isinstance(raw, dict) else None
    count = inner.get(name) if isinstance(inner, dict) else None
    return count if type(count) is int and 0 <= count < INT_LIMIT else None
