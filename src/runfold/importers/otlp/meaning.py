"""What a span means, by OpenTelemetry's conventions for generative AI: the names of today and those of before.

Conventions have changed: `gen_ai.system` became `gen_ai.provider.name`, prompt and completion tokens became input and output
tokens, and messages moved from events of spans to logged events and to attributes. The kinds of spans of Traceloop,
OpenInference, the AI SDK and Pydantic AI are read where a span names no operation of OpenTelemetry's. `names` has the attributes.
"""

from collections.abc import Iterable
from typing import Any, Literal

from runfold.domain.values import INT_LIMIT
from runfold.importers.acts.keeping import kept_text
from runfold.importers.otlp.names import (
    AGENTS,
    ALL_EVENTS,
    ALL_MESSAGES,
    CACHED_INSIDE,
    EVENTS,
    OTHER_AGENTS,
    PROVIDERS,
    TOKENS,
)
from runfold.importers.otlp.spans import Span

Kind = Literal["agent", "model", "tool", "other"]

_AGENTS = frozenset({"invoke_agent", "invoke_workflow"})
_MODELS = frozenset({"chat", "text_completion", "generate_content", "embeddings", "completion"})
_TOOLS = frozenset({"execute_tool"})
_BY_TRACELOOP: dict[object, Kind] = {"agent": "agent", "workflow": "agent", "tool": "tool"}

_BY_OPENINFERENCE: dict[str, Kind] = {"AGENT": "agent", "LLM": "model", "EMBEDDING": "model", "TOOL": "tool"}
_BY_AI_SDK: dict[str, Kind] = {
    **dict.fromkeys(("ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject"), "agent"),
    **dict.fromkeys(("doGenerate", "doStream", "doEmbed"), "model"),
    "ai.toolCall": "tool",
}


def conversation_of(span: Span) -> str | None:
    """The conversation that a span names. A session is one by OpenInference alone: elsewhere it may be a browser's."""
    named = word(span.attributes, "gen_ai.conversation.id")
    return named or (word(span.attributes, "session.id") if _openinference_kind(span) else None)


def is_generative(span: Span) -> bool:
    """Whether a span is about generative AI at all."""
    return kind_of(span) != "other" or any(key.startswith("gen_ai.") for key in span.attributes)


def operation(span: Span) -> str | None:
    """The operation that a span names."""
    return word(span.attributes, "gen_ai.operation.name")


def kind_of(span: Span) -> Kind:  # noqa: PLR0911  one for each way to know
    """What a span is of. One that names no operation is known by what it says besides."""
    named = operation(span)
    if named in _AGENTS:
        return "agent"
    if named in _MODELS or (named is None and "llm.request.type" in span.attributes):
        return "model"
    if named in _TOOLS:
        return "tool"
    if named is not None:
        return "other"
    if (by_traceloop := _BY_TRACELOOP.get(_plain(span.attributes.get("traceloop.span.kind")))) is not None:
        return by_traceloop
    if is_by_others(span):
        return _kind_by_others(span)
    if "gen_ai.request.model" in span.attributes:
        return "model"
    return "tool" if "gen_ai.tool.name" in span.attributes else "other"


def is_by_others(span: Span) -> bool:
    """Whether a span says something by the AI SDK's conventions, OpenInference's or Pydantic AI's first."""
    return _ai_sdk_operation(span) is not None or _openinference_kind(span) is not None or _is_pydantic_run(span)


def is_read_anew(span: Span) -> bool:
    """Whether a span says what OpenTelemetry's names alone do not tell, so that who knew only those read it otherwise."""
    listed = (span.attributes.get(name) for name in (EVENTS, ALL_EVENTS))
    if any(isinstance(events, str) and '"event.name"' in events for events in listed):
        return True
    return operation(span) is None and is_by_others(span) and not _is_pydantic_run(span)


def _kind_by_others(span: Span) -> Kind:
    """What a span is of by the AI SDK's names, OpenInference's or Pydantic AI's."""
    if (named := _ai_sdk_operation(span)) is not None:
        return _BY_AI_SDK.get(named) or _BY_AI_SDK.get(named.rpartition(".")[2], "other")
    if (kind := _openinference_kind(span)) is not None:
        return _BY_OPENINFERENCE.get(kind, "other")
    return "agent"


def _ai_sdk_operation(span: Span) -> str | None:
    return word(span.attributes, "ai.operationId")


def _openinference_kind(span: Span) -> str | None:
    kind = word(span.attributes, "openinference.span.kind")
    return kind and kind.upper()


def _is_pydantic_run(span: Span) -> bool:
    """Whether a span is an agent's run as Pydantic AI told it before it named operations."""
    names = span.attributes
    if "agent_name" not in names or "gen_ai.tool.name" in names:
        return False
    return span.scope == "pydantic-ai" or ALL_EVENTS in names or ALL_MESSAGES in names


def is_embedding(span: Span) -> bool:
    """Whether a model made vectors of texts, which are no messages."""
    return _openinference_kind(span) == "EMBEDDING" or (_ai_sdk_operation(span) or "").endswith(".doEmbed")


def label_of(span: Span) -> str:
    """What to call a span that is of no known kind, without naming what differs from span to span."""
    if (named := operation(span)) is not None:
        return f"spans of operation {named[:60]!r}, which are no run, model call or tool call"
    if (named := _ai_sdk_operation(span)) is not None:
        return f"spans of operation {named[:60]!r}, which are no run, model call or tool call"
    if (kind := _openinference_kind(span)) is not None:
        return f"spans of OpenInference's kind {kind[:60]!r}, which are no run, model call or tool call"
    return f"spans of scope {(span.scope or 'unknown')[:60]!r}, which are no run, model call or tool call"


def agent_of(span: Span) -> str:
    """Who acts in a span: the agent that it names, or else the service."""
    attributes = span.attributes
    named = word(attributes, *AGENTS) or (word(attributes, *OTHER_AGENTS) if is_by_others(span) else None)
    if named is None and kind_of(span) == "agent":
        named = word(attributes, "traceloop.entity.name") or (_openinference_kind(span) and kept_text(span.name)[:400])
    return named or span.service or "agent"


def provider_of(span: Span) -> str | None:
    """Whose model it is, as the span names it."""
    named = word(span.attributes, *PROVIDERS)
    if _ai_sdk_operation(span) is not None and named is not None:
        return named.partition(".")[0]  # its interface follows: openai.responses
    return named


def tokens_of(span: Span) -> tuple[dict[str, int], list[str]]:
    """What a model call used, and the attributes that are no counts."""
    found: dict[str, int] = {}
    odd: list[str] = []
    for ours, names in TOKENS.items():
        for name in names:
            value = span.attributes.get(name)
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if value is None:
                continue
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < INT_LIMIT:
                found[ours] = value
                break
            odd.append(name)
    _whole_input(span, found)
    return found, odd


def _whole_input(span: Span, tokens: dict[str, int]) -> None:
    """Say that cached tokens are inside the input, as a convention has it, where a provider has them beside it."""
    is_said = any(name in span.attributes for name in CACHED_INSIDE)
    if is_said and "total_tokens" not in tokens and {"input_tokens", "output_tokens"} <= tokens.keys():
        tokens["total_tokens"] = tokens["input_tokens"] + tokens["output_tokens"]


def word(attributes: dict[str, Any], *names: str) -> str | None:
    """The first of some attributes that is a text that is not empty, or a number."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value:
            return kept_text(value, 1500)[:400]
    return None


def number_of(attributes: dict[str, Any], name: str, most: float) -> float | None:
    """An attribute that is a number from 0; None for any other."""
    value = attributes.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value is not None and 0 <= value < most else None


def words(value: Any) -> tuple[str, ...]:
    """Texts, of an attribute that is one or several."""
    several: Iterable[Any] = value if isinstance(value, list) else [value]
    return tuple(kept_text(text, 500) for text in several if isinstance(text, str) and text)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else None
