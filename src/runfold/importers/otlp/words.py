"""The messages of spans: what a model was shown and what it answered, wherever a span or its events say it.

In order of preference: the attributes `gen_ai.input.messages` and `gen_ai.output.messages`; the same of an event; an event
for each message; the AI SDK's attributes; the events that Pydantic AI wrote in one attribute; numbered attributes, with
OpenInference's input and output as they are; and the two texts of the first conventions. Only one of them is taken, for
they say the same.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from runfold.importers.otlp import ai_sdk, numbered
from runfold.importers.otlp.meaning import is_by_others, is_embedding
from runfold.importers.otlp.messages import Told, Words, decoded, message_of
from runfold.importers.otlp.names import ALL_EVENTS, ALL_MESSAGES, EVENTS
from runfold.importers.otlp.spans import Span, SpanEvent

INPUT, OUTPUT, SYSTEM = "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"
_DETAILS = frozenset({"gen_ai.client.inference.operation.details", "gen_ai.content"})
_READ = frozenset({*_DETAILS, "gen_ai.choice", "gen_ai.content.prompt", "gen_ai.content.completion"})
_MESSAGE = re.compile(r"gen_ai\.(system|developer|user|assistant|tool)\.message")

_ELSEWHERE = re.compile(r"gen_ai\.(?:input\.messages|output\.messages|system_instructions)_ref")


@dataclass(frozen=True)
class Exchange:
    """What a span was given, and what it gave."""

    given: tuple[Words, ...] = ()
    gave: tuple[Words, ...] = ()
    restates: bool = False
    """Whether an agent's span says so by a convention that repeats, in other forms, what the agent's model calls say."""


def exchange_of(span: Span, told: Told) -> Exchange:
    """The messages of a span."""
    given, gave = _structured(span.attributes, told)
    for event in span.events:
        if event.name in _DETAILS and not (given and gave):
            body = event.body if isinstance(event.body, dict) else {}
            more_given, more_gave = _structured({**body, **event.attributes}, told)
            given, gave = given or more_given, gave or more_gave
    restates = False
    for read in _OTHERWISE:
        if not given and not gave:
            given, gave = read(span, told)
            restates = read is not _of_events and is_by_others(span)
    return Exchange(tuple(given), tuple(gave), restates)


def is_exception(name: str) -> bool:
    """Return whether events of this name tell what was raised: of spans, or logged, which say of what."""
    return name == "exception" or (name.startswith("gen_ai.") and name.endswith(".exception"))


def unread(span: Span) -> Iterator[str]:
    """Yield the kinds of what a span says by the conventions, and what is not read of it."""
    for name in itertools.chain(span.attributes, *(event.attributes for event in span.events)):
        if _ELSEWHERE.fullmatch(name):
            yield f"spans whose words stand elsewhere ({name!r}), from where they are not imported"
    yield from numbered.unread(span.attributes)
    if is_embedding(span):
        yield "texts and vectors of embeddings, which are not imported"
    for event in span.events:
        is_read = event.name in _READ or _MESSAGE.fullmatch(event.name) is not None or is_exception(event.name)
        if event.name.startswith("gen_ai.") and not is_read:
            yield f"events of spans of the kind {event.name[:60]!r}, which are not imported"


def _structured(attributes: dict[str, Any], told: Told) -> tuple[list[Words], list[Words]]:
    system = decoded(attributes.get(SYSTEM), told, SYSTEM)
    given = [message_of({"role": "system", "parts": system if isinstance(system, list) else [system]})] if system else []
    return given + _list(attributes, INPUT, "user", told), _list(attributes, OUTPUT, "assistant", told)


def _list(attributes: dict[str, Any], name: str, role: str, told: Told) -> list[Words]:
    value = decoded(attributes.get(name), told, name)
    if value is None:
        return []
    messages = value if isinstance(value, list) else [value]
    return [
        message_of(message if isinstance(message, dict) else {"role": role, "content": message}, role) for message in messages
    ]


def _pydantic_ai(span: Span, told: Told) -> tuple[list[Words], list[Words]]:
    """An event for each message, in one attribute; of a run's span, all of them, and the last that it answered is its own."""
    given, gave = _by_events([*_listed(span, EVENTS, told)], told)
    if not given and not gave:
        given, gave = _by_events([*_listed(span, ALL_EVENTS, told)], told)
        given += _list(span.attributes, ALL_MESSAGES, "user", told)
        while given and given[-1].role == "assistant":
            gave.insert(0, given.pop())
    return given, gave


def _listed(span: Span, name: str, told: Told) -> Iterator[SpanEvent]:
    events = decoded(span.attributes.get(name), told, name)
    for event in events if isinstance(events, list) else []:
        if isinstance(event, dict) and isinstance(event.get("event.name"), str):
            yield SpanEvent(event["event.name"], 0, {}, event)


def _of_events(span: Span, told: Told) -> tuple[list[Words], list[Words]]:
    return _by_events(span.events, told)


def _by_events(events: list[SpanEvent], told: Told) -> tuple[list[Words], list[Words]]:
    """An event for each message, logged or in the span."""
    given: list[Words] = []
    gave: list[Words] = []
    for event in events:
        body = event.body if isinstance(event.body, dict) else None
        if body is None:
            content = decoded(event.attributes.get("gen_ai.event.content"), told, event.name)
            body = content if isinstance(content, dict) else {**event.attributes}
        if match := _MESSAGE.fullmatch(event.name):
            given.append(message_of({"role": match[1], **body}))
        elif event.name == "gen_ai.choice":
            inner = decoded(body.get("message"), told, event.name)
            choice = inner if isinstance(inner, dict) else {"content": inner} if inner is not None else body
            gave.append(message_of({**choice, "tool_calls": choice.get("tool_calls", body.get("tool_calls"))}, "assistant"))
        elif event.name in {"gen_ai.content.prompt", "gen_ai.content.completion"}:
            name = f"gen_ai.{event.name.rpartition('.')[2]}"
            is_prompt = name == "gen_ai.prompt"
            (given if is_prompt else gave).extend(_list(event.attributes, name, "user" if is_prompt else "assistant", told))
    return given, gave


def _texts(span: Span, told: Told) -> tuple[list[Words], list[Words]]:
    """The two texts of the first conventions."""
    given = _list(span.attributes, "gen_ai.prompt", "user", told)
    return given, _list(span.attributes, "gen_ai.completion", "assistant", told)


def _numbered(span: Span, told: Told) -> tuple[list[Words], list[Words]]:
    """Numbered attributes. A side of which OpenInference says none is its input or output as it is, which vectors are not."""
    given, gave = numbered.numbered(span.attributes, told)
    if "openinference.span.kind" not in span.attributes or is_embedding(span):
        return given, gave
    if not given:
        given = _list(span.attributes, "llm.prompts", "user", told)
    if not given or (all(said.role == "system" for said in given) and not _is_json(span, "input")):
        given += _value(span, "input", "user", told)
    if not any(said.parts for said in gave) and not (gave and _is_json(span, "output")):
        output = _value(span, "output", "assistant", told)
        gave = [replace(gave[0], parts=output[0].parts), *gave[1:]] if gave and output else gave or output
    return given, gave


def _is_json(span: Span, side: str) -> bool:
    return span.attributes.get(f"{side}.mime_type") == "application/json"


def _value(span: Span, side: str, role: str, told: Told) -> list[Words]:
    name = f"{side}.value"
    value = span.attributes.get(name)
    if _is_json(span, side):
        value = decoded(value, told, name)
    messages = value.get("messages") if isinstance(value, dict) else None
    if isinstance(messages, list) and all(isinstance(message, dict) for message in messages):
        return [message_of(message, role) for message in messages]
    return [] if value in (None, "") else [message_of({"role": role, "content": [value]}, role)]


_OTHERWISE: tuple[Callable[[Span, Told], tuple[list[Words], list[Words]]], ...] = (
    _of_events,
    ai_sdk.exchange,
    _pydantic_ai,
    _numbered,
    _texts,
)
"""Where else messages stand. The first that says something is taken."""
