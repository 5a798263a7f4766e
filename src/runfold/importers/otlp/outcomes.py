"""What a span says of how it went: who tells of it, and how it ended."""

from typing import Literal

from runfold.importers.otlp.meaning import word
from runfold.importers.otlp.spans import Span
from runfold.importers.otlp.thread import Key
from runfold.importers.otlp.words import is_exception

_CANCELLED = ("cancel", "abort", "keyboardinterrupt")


def traceparent(key: Key) -> str:
    """The context of a span, as W3C has it."""
    return f"00-{key[0]}-{key[1]}-01"


def actor_of(span: Span) -> str:
    """Who tells of a span, and says what no agent says: a program. That a person typed it is nowhere stated."""
    return f"service:{span.service or 'otlp'}"


def failure_of(span: Span) -> tuple[Literal["completed", "failed", "cancelled"], str, str]:
    """How a span that has ended ended. One without a status ended without an error, as the conventions have it."""
    raised = next((event.attributes for event in span.events if is_exception(event.name)), {})
    named = word(span.attributes, "error.type") or word(raised, "exception.type")
    if span.status != "error" and "error.type" not in span.attributes:
        return "completed", "error", ""
    code = named or "error"
    reason = span.status_message or word(raised, "exception.message") or code
    is_cancelled = any(word_ in code.lower() for word_ in _CANCELLED)
    return ("cancelled" if is_cancelled else "failed"), code, reason
