"""What a tool's span says: which tool it is, of which call, what it was given and what came of it."""

from typing import Any, NamedTuple

from runfold.importers.acts.keeping import kept, kept_text
from runfold.importers.otlp.meaning import word
from runfold.importers.otlp.messages import Answer, decoded
from runfold.importers.otlp.names import ARGUMENTS, CALL_IDS, RESULTS, TOOLS
from runfold.importers.otlp.spans import Span


class ToolSpan(NamedTuple):
    """A tool that ran, as its span tells it."""

    tool: str
    call_id: str
    """Empty where the span names none."""
    arguments: Any


def tool_span(span: Span) -> ToolSpan:
    """Read a tool's span."""
    tool = word(span.attributes, *TOOLS) or kept_text(span.name)[:400] or "unknown"
    return ToolSpan(tool, call_id_of(span) or "", kept(_first(span, ARGUMENTS, "")))


def call_id_of(span: Span) -> str | None:
    """The id of the call that a tool's span is of."""
    named = word(span.attributes, *CALL_IDS)
    if named is None and (message := _message_of(span)) is not None:
        return message.call_id
    return named


def result_of(span: Span) -> tuple[Any, bool]:
    """What a tool gave back, None where its span does not say, and whether that says of itself that it is an error."""
    if (message := _message_of(span)) is not None:
        return message.result, message.is_error
    return kept(decoded(_first(span, RESULTS, None), lambda _: None, "the result")), False


def _first(span: Span, names: tuple[str, ...], default: Any) -> Any:
    return next((span.attributes[name] for name in names if name in span.attributes), default)


def _message_of(span: Span) -> Answer | None:
    """The message that LangChain makes of what a tool gave back, which alone names the call."""
    stated = span.attributes.get("output.value")
    if not isinstance(stated, str) or '"tool_call_id"' not in stated:
        return None
    value = decoded(stated, lambda _: None, "output.value")
    message = value.get("data", value) if isinstance(value, dict) else None
    if not isinstance(message, dict) or message.get("type") != "tool":
        return None
    call_id = word(message, "tool_call_id")
    return None if call_id is None else Answer(call_id, kept(message.get("content")), message.get("status") == "error")
