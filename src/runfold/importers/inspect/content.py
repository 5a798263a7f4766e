"""The content of messages: attachments put back in their place, and its items as parts."""

import re
from typing import Any

from runfold.domain.parts import DataPart, FilePart, Part, ReasoningPart, TextPart
from runfold.importers.acts.fields import Fields
from runfold.importers.acts.keeping import kept, kept_text

_ATTACHMENT = ("attachment://", "tc://")
"""How references begin; the second is of the first logs that had any."""
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w.=-]+)*;base64,(.*)", re.DOTALL)
_MEDIA = {"image": "image/*", "audio": "audio/*", "video": "video/*", "document": "application/octet-stream"}
_DEEPEST = 200


class Attachments:
    """Long texts of a sample, which stand elsewhere in it under their digest."""

    def __init__(self, sample: Fields) -> None:
        content = sample.object("attachments") or sample.object("transcript").object("content")
        self._content = content.value
        self._sample = sample
        self._missing: set[str] = set()

    def resolved(self, value: Any, depth: int = 0) -> Any:
        """JSON with all that it refers to. What is not there is a problem, and stays a reference."""
        if isinstance(value, str):
            return self._text(value) if value.startswith(_ATTACHMENT) else value
        if depth == _DEEPEST:
            return value
        if isinstance(value, dict):
            return {key: self.resolved(member, depth + 1) for key, member in value.items()}
        return [self.resolved(member, depth + 1) for member in value] if isinstance(value, list) else value

    def _text(self, reference: str) -> str:
        name = reference.partition("://")[2]
        text = self._content.get(name)
        if isinstance(text, str):
            return text
        if name not in self._missing:
            self._missing.add(name)
            self._sample.problem("attachments", f"has no {name[:64]}, which the sample refers to; the reference is kept")
        return reference


def parts_of(message: Fields) -> tuple[Part, ...]:
    """What a message says. A server's own tools are calls, and no parts: see `server_tools`."""
    content = message.raw("content")
    if isinstance(content, str):
        return (TextPart(text=kept_text(content)),) if content else ()
    if content is not None and not isinstance(content, list):
        return (DataPart(data=kept(content)),)
    return tuple(part for item in message.objects("content") for part in _parts(item))


def server_tools(message: Fields) -> list[Fields]:
    """The tools that the model's provider ran within an answer."""
    if not isinstance(message.raw("content"), list):
        return []
    return [item for item in message.objects("content") if item.raw("type") == "tool_use"]


def plain(value: Any) -> Any:
    """A tool's result: text where it is text alone, JSON else."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and value[0].get("type") == "text":
        value = value[0].get("text")
    return kept(value)


def _parts(item: Fields) -> list[Part]:
    kind = item.text("type")
    match kind:
        case "text":
            return [TextPart(text=kept_text(item.text("text") or ""))]
        case "reasoning":
            return [_reasoning(item)]
        case "tool_use":
            return []
        case "image" | "audio" | "video" | "document":
            return [_file(item, kind)]
        case _:
            return [DataPart(data=kept(item.value), name=kept_text(kind, 500) if kind else None)] if item else []


def _reasoning(item: Fields) -> Part:
    text, summary = item.text("reasoning") or "", item.text("summary") or ""
    signature = item.text("signature")
    is_redacted = bool(item.flag("redacted"))
    return ReasoningPart(
        text=kept_text(summary if is_redacted else text or summary),
        signature=None if signature is None else kept_text(signature),
        encrypted=kept_text(text) if is_redacted else None,
    )


def _file(item: Fields, kind: str) -> Part:
    where = item.text(kind) or ""
    name = kept_text(item.text("filename") or "") or None
    media_type = kept_text(item.text("mime_type") or _MEDIA[kind], 500)
    match = _DATA_URI.fullmatch(where)
    if match is None:
        return FilePart(media_type=media_type[:500], url=kept_text(where), name=name)
    return FilePart(media_type=match[1][:500], data=kept_text(match[2]), name=name)
