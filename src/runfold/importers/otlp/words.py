"""The messages of spans: what a model was shown and what it answered, wherever a span or its events say it.

In order of preference: the attributes `gen_ai.input.messages` and `gen_ai.output.messages`; the same of an event; an event
for each message; Traceloop's numbered attributes; and the two texts of the first conventions. Only one of them is taken, for
they say the same.
"""

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from runfold.domain.parts import DataPart, FilePart, Part, ReasoningPart, TextPart
from runfold.domain.values import digest
from runfold.errors import InvalidEvent
from runfold.importers.acts.keeping import kept, kept_text, loads
from runfold.importers.otlp.spans import Span, SpanEvent

INPUT, OUTPUT, SYSTEM = "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"
_DETAILS = frozenset({"gen_ai.client.inference.operation.details", "gen_ai.content"})
_READ = frozenset({*_DETAILS, "gen_ai.choice", "gen_ai.content.prompt", "gen_ai.content.completion"})
_ROLES = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}
_NUMBERED = re.compile(r"gen_ai\.(prompt|completion)\.(\d{1,6})\.(.+)")
_CALL = re.compile(r"tool_calls\.(\d{1,4})\.(id|name|arguments)")
_ESCAPE = re.compile(r"\\.", re.DOTALL)
_MESSAGE = re.compile(r"gen_ai\.(system|developer|user|assistant|tool)\.message")

_ELSEWHERE = re.compile(r"gen_ai\.(?:input\.messages|output\.messages|system_instructions)_ref")

Told = Callable[[str], None]


@dataclass(frozen=True)
class AskedFor:
    """A tool call that a message asks for."""

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True)
class Words:
    """A message."""

    role: str
    parts: tuple[Part, ...]
    calls: tuple[AskedFor, ...] = ()
    answers: str | None = None
    """Of a tool's message: the id of its call, the first where it answers several."""
    results: tuple[tuple[str, Any], ...] = ()
    """What tools answered, each by the id of its call."""

    @property
    def likeness(self) -> str:
        """Return a digest of all that it says: equal messages have the same."""
        said = [part.model_dump(mode="json") for part in self.parts]
        calls = [[call.id, call.name, _parsed(call.arguments)] for call in self.calls]
        return digest(json.dumps([self.role, said, calls, self.answers], sort_keys=True))


@dataclass(frozen=True)
class Exchange:
    """What a span was given, and what it gave."""

    given: tuple[Words, ...] = ()
    gave: tuple[Words, ...] = ()


def exchange_of(span: Span, told: Told) -> Exchange:
    """The messages of a span."""
    given, gave = _structured(span.attributes, told)
    for event in span.events:
        if event.name in _DETAILS and not (given and gave):
            body = event.body if isinstance(event.body, dict) else {}
            more_given, more_gave = _structured({**body, **event.attributes}, told)
            given, gave = given or more_given, gave or more_gave
    if not given and not gave:
        given, gave = _by_events(span.events, told)
    if not given and not gave:
        given, gave = _numbered(span.attributes, told)
    if not given and not gave:
        given, gave = _texts(span, told)
    return Exchange(tuple(given), tuple(gave))


def is_exception(name: str) -> bool:
    """Return whether events of this name tell what was raised: of spans, or logged, which say of what."""
    return name == "exception" or (name.startswith("gen_ai.") and name.endswith(".exception"))


def unread(span: Span) -> Iterator[str]:
    """Yield the kinds of what a span says by the conventions, and what is not read of it."""
    for name in itertools.chain(span.attributes, *(event.attributes for event in span.events)):
        if _ELSEWHERE.fullmatch(name):
            yield f"spans whose words stand elsewhere ({name!r}), from where they are not imported"
    for event in span.events:
        is_read = event.name in _READ or _MESSAGE.fullmatch(event.name) is not None or is_exception(event.name)
        if event.name.startswith("gen_ai.") and not is_read:
            yield f"events of spans of the kind {event.name[:60]!r}, which are not imported"


def decoded(value: Any, told: Told, name: str) -> Any:
    """An attribute that may be JSON in a text."""
    if not isinstance(value, str) or value[:1] not in {"[", "{", '"'}:
        return value
    try:
        sound = _ESCAPE.sub(_sound, value) if "\\x" in value else value
        return loads(sound, lambda reason: told(f"{name}: {reason}"))
    except InvalidEvent as error:
        told(f"{name}: {error.reason}; it is taken as text")
        return value


def _sound(escape: re.Match[str]) -> str:
    """An escape of JSON; one of a byte that was not UTF-8, which JSON does not have, as the characters it is."""
    return f"\\{escape[0]}" if escape[0][1] == "x" else escape[0]


def _structured(attributes: dict[str, Any], told: Told) -> tuple[list[Words], list[Words]]:
    system = decoded(attributes.get(SYSTEM), told, SYSTEM)
    given = [_message({"role": "system", "parts": system if isinstance(system, list) else [system]})] if system else []
    return given + _list(attributes, INPUT, "user", told), _list(attributes, OUTPUT, "assistant", told)


def _list(attributes: dict[str, Any], name: str, role: str, told: Told) -> list[Words]:
    value = decoded(attributes.get(name), told, name)
    if value is None:
        return []
    messages = value if isinstance(value, list) else [value]
    return [_message(message if isinstance(message, dict) else {"role": role, "content": message}, role) for message in messages]


def _message(message: dict[str, Any], role: str = "user") -> Words:
    """A message in the form of the conventions, or in that of chat APIs."""
    named = message.get("role")
    found = _ROLES.get(named.lower(), role) if isinstance(named, str) else role
    inside = message.get("parts", message.get("content"))
    items = inside if isinstance(inside, list) else [] if inside is None or inside == "" else [inside]
    parts: list[Part] = []
    calls, results = list(_asked_for(message)), list[tuple[str, Any]]()
    answers = own = _text(message.get("tool_call_id")) or (found == "tool" and _text(message.get("id"))) or None
    for item in items:
        kind = item.get("type") if isinstance(item, dict) else None
        if isinstance(item, dict) and kind in {"tool_call", "tool_use"}:
            calls.append(_call(item, item.get("arguments", item.get("input"))))
        elif isinstance(item, dict) and kind in {"tool_call_response", "tool_result"}:
            call_id, result = _text(item.get("id") or item.get("tool_use_id")) or own, _result(item)
            answers = answers or call_id
            if call_id is not None:
                results.append((call_id, kept(result)))
            parts.append(_result_part(result))
        else:
            parts.append(_part(item))
    if answers and found == "tool" and (not results or (len(results) == 1 and results[0][1] is None)):
        results = [(answers, kept(inside))]
    elif answers and len(parts) == 1 and not calls:
        found = "tool"  # some writers have a tool's result said by the user
    return Words(found, tuple(parts), tuple(calls), answers, tuple(results))


def _asked_for(message: dict[str, Any]) -> Iterator[AskedFor]:
    """Calls in the form of chat APIs, beside the content."""
    asked = message.get("tool_calls")
    for item in asked if isinstance(asked, list) else []:
        if isinstance(item, dict):
            function = item.get("function")
            named = function if isinstance(function, dict) else item
            yield _call({**named, "id": item.get("id")}, named.get("arguments", named.get("args")))


def _call(item: dict[str, Any], arguments: Any) -> AskedFor:
    name = _text(item.get("name")) or "unknown"
    return AskedFor(_text(item.get("id")) or "", name[:500], "" if arguments is None else kept(arguments))


def _result(item: dict[str, Any]) -> Any:
    return next((item[name] for name in ("response", "result", "content") if name in item), None)


def _result_part(result: Any) -> Part:
    return TextPart(text=kept_text(result)) if isinstance(result, str) else DataPart(data=kept(result), name="result")


def _part(item: Any) -> Part:  # noqa: PLR0911  one for each kind
    if isinstance(item, str):
        return TextPart(text=kept_text(item))
    if not isinstance(item, dict):
        return DataPart(data=kept(item))
    kind = item.get("type")
    words = next((item[name] for name in ("content", "text") if isinstance(item.get(name), str)), None)
    if kind in {"reasoning", "thinking"} and words is not None:
        return ReasoningPart(text=kept_text(words))
    if kind in {"text", None} and words is not None:
        return TextPart(text=kept_text(words))
    media = item.get("mime_type")
    media_type = (
        kept_text(media, 500) if isinstance(media, str) and media else f"{_text(item.get('modality')) or 'application'}/*"
    )
    if kind == "uri" and isinstance(uri := item.get("uri"), str):
        return FilePart(media_type=media_type, url=kept_text(uri))
    if kind == "blob" and words is not None and (data := kept_text(words)) == words:
        return FilePart(media_type=media_type, data=data)
    if kind == "file" and isinstance(file_id := item.get("file_id"), str):
        return FilePart(media_type=media_type, file_id=kept_text(file_id))
    return DataPart(data=kept(item), name=kept_text(kind, 500) if isinstance(kind, str) and kind else None)


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
            given.append(_message({"role": match[1], **body}))
        elif event.name == "gen_ai.choice":
            inner = decoded(body.get("message"), told, event.name)
            choice = inner if isinstance(inner, dict) else {"content": inner} if inner is not None else body
            gave.append(_message({**choice, "tool_calls": choice.get("tool_calls", body.get("tool_calls"))}, "assistant"))
        elif event.name in {"gen_ai.content.prompt", "gen_ai.content.completion"}:
            name = f"gen_ai.{event.name.rpartition('.')[2]}"
            is_prompt = name == "gen_ai.prompt"
            (given if is_prompt else gave).extend(_list(event.attributes, name, "user" if is_prompt else "assistant", told))
    return given, gave


def _numbered(attributes: dict[str, Any], told: Told) -> tuple[list[Words], list[Words]]:
    """Traceloop's attributes: gen_ai.prompt.0.role, gen_ai.completion.0.tool_calls.0.name, …"""
    found: dict[str, dict[int, dict[str, Any]]] = {"prompt": defaultdict(dict), "completion": defaultdict(dict)}
    calls: dict[tuple[str, int], dict[int, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for key, value in attributes.items():
        if (match := _NUMBERED.fullmatch(key)) is None:
            continue
        side, number = match[1], int(match[2])
        if call := _CALL.fullmatch(match[3]):
            calls[side, number][int(call[1])][call[2]] = value
            found[side][number].setdefault("role", None)
        elif match[3] in {"role", "tool_call_id"}:
            found[side][number][match[3]] = value
        elif match[3] == "content":
            found[side][number]["content"] = decoded(value, told, key)
    sides = []
    for side, role in (("prompt", "user"), ("completion", "assistant")):
        messages = sorted(found[side].items())
        sides.append(
            [
                _message({**fields, "tool_calls": [call for _, call in sorted(calls[side, n].items())]}, role)
                for n, fields in messages
            ]
        )
    return sides[0], sides[1]


def _texts(span: Span, told: Told) -> tuple[list[Words], list[Words]]:
    prompt, completion = _list(span.attributes, "gen_ai.prompt", "user", told), []
    completion = _list(span.attributes, "gen_ai.completion", "assistant", told)
    return prompt, completion


def _parsed(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def _text(value: Any) -> str | None:
    return kept_text(value)[:1500] if isinstance(value, str) and value else None
