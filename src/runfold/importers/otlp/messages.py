"""Messages in the form of today's conventions, or in that of chat APIs, as our words: parts, calls that they ask for, results.

What other conventions write is brought into this form by their own files, and read here.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from runfold.domain.parts import DataPart, FilePart, Part, ReasoningPart, TextPart
from runfold.domain.values import digest
from runfold.errors import InvalidEvent
from runfold.importers.acts.keeping import kept, kept_text, loads

_ROLES = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "agent": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}
_ESCAPE = re.compile(r"\\.", re.DOTALL)

Told = Callable[[str], None]


@dataclass(frozen=True)
class AskedFor:
    """A tool call that a message asks for."""

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True)
class Answer:
    """What a tool answered, by the id of its call."""

    call_id: str
    result: Any
    is_error: bool = False


@dataclass(frozen=True)
class Words:
    """A message."""

    role: str
    parts: tuple[Part, ...]
    calls: tuple[AskedFor, ...] = ()
    answers: str | None = None
    """Of a tool's message: the id of its call, the first where it answers several."""
    results: tuple[Answer, ...] = ()
    """What tools answered."""
    reasoning_counts: bool = True
    """Whether its reasoning tells it from others: not so where a writer shows it in an answer or in its repetition alone."""
    author: str | None = None
    """Who of those with its role it is by, as it says: by a name, or by a role that is none of ours."""

    @property
    def likeness(self) -> str:
        """Return a digest of all that it says: equal messages have the same."""
        said = [part.model_dump(mode="json") for part in self.parts if self.reasoning_counts or part.type != "reasoning"]
        calls = [[call.id, call.name, _parsed(call.arguments)] for call in self.calls]
        return digest(json.dumps([self.role, said, calls, self.answers], sort_keys=True))


def message_of(message: dict[str, Any], role: str = "user", *, reasoning_counts: bool = True) -> Words:
    """A message in the form of the conventions, or in that of chat APIs."""
    named = message.get("role")
    found = _ROLES.get(named.lower(), role) if isinstance(named, str) else role
    inside = message.get("parts", message.get("content"))
    items = inside if isinstance(inside, list) else [] if inside is None or inside == "" else [inside]
    parts: list[Part] = []
    calls, results = list(_asked_for(message)), list[Answer]()
    answers = own = _text(message.get("tool_call_id")) or (found == "tool" and _text(message.get("id"))) or None
    for item in items:
        kind = _text(item.get("type")) if isinstance(item, dict) else None
        if isinstance(item, dict) and kind in {"tool_call", "tool_use"}:
            calls.append(_call(item, item.get("arguments", item.get("input"))))
        elif isinstance(item, dict) and kind in {"tool_call_response", "tool_result"}:
            call_id, result = _text(item.get("id") or item.get("tool_use_id")) or own, _result(item)
            answers = answers or call_id
            if call_id is not None:
                results.append(Answer(call_id, kept(result), item.get("is_error") is True))
            parts.append(_result_part(result))
        else:
            parts.append(_part(item))
    if answers and found == "tool" and (not results or (len(results) == 1 and results[0].result is None)):
        results = [Answer(answers, kept(inside), bool(results and results[0].is_error))]
    elif results and len(results) == len(parts) and not calls:
        found = "tool"  # some writers have a tool's result said by the user
    unknown = named if isinstance(named, str) and named.lower() not in _ROLES else None
    author = None if found == "tool" else _text(message.get("name")) or _text(unknown)
    return Words(found, tuple(parts), tuple(calls), answers, tuple(results), reasoning_counts, author and author[:400])


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
    if "type" not in item and isinstance(item.get("kind"), str):
        item = _of_kind(item)
    kind = item.get("type")
    if kind is not None and not isinstance(kind, str):
        return DataPart(data=kept(item))
    words = next((item[name] for name in ("content", "text") if isinstance(item.get(name), str)), None)
    if kind in {"reasoning", "thinking"} and words is not None:
        return ReasoningPart(text=kept_text(words))
    if kind in {"text", None} and words is not None:
        return TextPart(text=kept_text(words))
    media = item.get("mime_type")
    named = media if isinstance(media, str) and media else f"{_text(item.get('modality')) or 'application'}/*"
    media_type = kept_text(named, 500)
    if kind == "uri" and isinstance(uri := item.get("uri"), str):
        return FilePart(media_type=media_type, url=kept_text(uri))
    if kind == "blob" and words is not None and (data := kept_text(words)) == words:
        return FilePart(media_type=media_type, data=data)
    if kind == "file" and isinstance(file_id := item.get("file_id"), str):
        return FilePart(media_type=media_type, file_id=kept_text(file_id))
    return DataPart(data=kept(item), name=kept_text(kind, 500) if isinstance(kind, str) and kind else None)


def _of_kind(item: dict[str, Any]) -> dict[str, Any]:
    """A part as Pydantic AI wrote it at first, by its `kind`."""
    kind = item["kind"]
    if isinstance(item.get("url"), str):
        return file_of(item["url"], kind.removesuffix("-url"))
    if kind == "binary":
        return {"type": "blob", "mime_type": item.get("media_type"), "content": item.get("binary_content")}
    return {**item, "type": kind} if kind in {"text", "thinking"} else item


def file_of(address: str, modality: str, mime_type: Any = None) -> dict[str, Any]:
    """A file in the form of the conventions, by its address: one that holds the file itself is what it holds."""
    head, is_data, rest = address.partition(";base64,")
    if is_data and head.startswith("data:"):
        return {"type": "blob", "mime_type": head[len("data:") :], "modality": modality, "content": rest}
    return {"type": "uri", "mime_type": mime_type, "modality": modality, "uri": address}


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


def alike(arguments: Any) -> str:
    """Return a digest of arguments: the same for the same, in a text or not."""
    return digest(json.dumps(_parsed(arguments), sort_keys=True))


def _parsed(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def _text(value: Any) -> str | None:
    return kept_text(value)[:1500] if isinstance(value, str) and value else None
