"""What a span means, by OpenTelemetry's conventions for generative AI: the names of today and those of before.

Conventions have changed: `gen_ai.system` became `gen_ai.provider.name`, prompt and completion tokens became input and output
tokens, and messages moved from events of spans to logged events and to attributes. Traceloop's attributes are read too.
"""

from collections.abc import Iterable
from typing import Any, Literal

from runfold.domain.values import INT_LIMIT
from runfold.importers.acts.keeping import kept_text
from runfold.importers.otlp.spans import Span

Kind = Literal["agent", "model", "tool", "other"]

_AGENTS = frozenset({"invoke_agent", "invoke_workflow"})
_MODELS = frozenset({"chat", "text_completion", "generate_content", "embeddings", "completion"})
_TOOLS = frozenset({"execute_tool"})
_BY_TRACELOOP: dict[object, Kind] = {"agent": "agent", "workflow": "agent", "tool": "tool"}

TOKENS = {
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"),
    "total_tokens": ("gen_ai.usage.total_tokens", "llm.usage.total_tokens"),
    "cache_read_input_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cached_tokens",
    ),
    "cache_creation_input_tokens": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.input_tokens.cache_write",
        "gen_ai.usage.details.cache_write_tokens",
    ),
    "reasoning_output_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.usage.reasoning_tokens",
    ),
}
"""Our names of counts, and those of the conventions, today's first."""


def conversation_of(span: Span) -> str | None:
    """The conversation that a span names."""
    return word(span.attributes, "gen_ai.conversation.id")


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
    if "gen_ai.request.model" in span.attributes:
        return "model"
    return "tool" if "gen_ai.tool.name" in span.attributes else "other"


def label_of(span: Span) -> str:
    """What to call a span that is of no known kind, without naming what differs from span to span."""
    if (named := operation(span)) is not None:
        return f"spans of operation {named[:60]!r}, which are no run, model call or tool call"
    return f"spans of scope {(span.scope or 'unknown')[:60]!r}, which are no run, model call or tool call"


def agent_of(span: Span) -> str:
    """Who acts in a span: the agent that it names, or else the service."""
    attributes = span.attributes
    named = word(attributes, "gen_ai.agent.name", "gen_ai.agent.id", "gen_ai.workflow.name")
    return named or (kind_of(span) == "agent" and word(attributes, "traceloop.entity.name")) or span.service or "agent"


def provider_of(span: Span) -> str | None:
    """Whose model it is, as the span names it."""
    return word(span.attributes, "gen_ai.provider.name", "gen_ai.system")


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
    """Say that cached tokens are inside the input, as today's conventions have it, where a provider has them beside it."""
    is_of_today = any(name in span.attributes for name in _CACHED_INSIDE)
    if is_of_today and "total_tokens" not in tokens and {"input_tokens", "output_tokens"} <= tokens.keys():
        tokens["total_tokens"] = tokens["input_tokens"] + tokens["output_tokens"]


_CACHED_INSIDE = tuple(f"gen_ai.usage.cache_{what}.input_tokens" for what in ("read", "write", "creation"))


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
