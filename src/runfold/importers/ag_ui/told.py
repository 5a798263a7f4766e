"""What a ledger of Runfold says of an event or a message beside AG-UI's fields, in `metadata.runfold`, where it is the source."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from runfold.agui.content import text_of
from runfold.agui.wire_key import KEY
from runfold.domain.json_text import parse_json
from runfold.domain.parts import Part, longer
from runfold.domain.values import LABEL_LENGTH, Actor
from runfold.errors import InvalidEvent

_PARTS: TypeAdapter[tuple[Part, ...]] = TypeAdapter(tuple[Part, ...])


def told_in(metadata: Any) -> dict[str, Any]:
    """Return what is told; nothing where the source is another."""
    found = metadata.get(KEY) if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def by_told(told: dict[str, Any], otherwise: str) -> str:
    """Return who said or decided something, where that is told."""
    by = told.get("by")
    if not isinstance(by, str):
        return otherwise
    try:
        return "human:user" if by == "human" else str(Actor.parse(by))
    except InvalidEvent:
        return otherwise


def author_told(told: dict[str, Any]) -> str | None:
    """Return the author that a message names, where one is told."""
    author = told.get("author")
    return author if isinstance(author, str) and 0 < len(author) <= LABEL_LENGTH else None


def streamed_parts(told: dict[str, Any], text: str, otherwise: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the exact parts of a message that was streamed, where it is told with which it began."""
    if "starts" not in told:
        return parts_told(told, otherwise)
    starts = parts_told({"content": told["starts"]}, ())
    return longer(starts, text[len(text_of(starts)) :])


def parts_told(told: dict[str, Any], otherwise: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the exact parts of a message, where they are told."""
    if "content" not in told:
        return otherwise
    try:
        return _PARTS.validate_python(told["content"])
    except ValidationError:
        return otherwise


def result_told(told: dict[str, Any], content: Any) -> Any:
    """Return what a call came to, of which AG-UI has only text."""
    if "result" in told:
        return told["result"]
    try:
        return parse_json(content) if told.get("is_json") is True and isinstance(content, str) else content
    except InvalidEvent:
        return content


def without_told(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as it was before a ledger gave it back."""
    if KEY not in (event.get("metadata") or {}):
        return event
    metadata = {name: value for name, value in event["metadata"].items() if name != KEY}
    rest = {name: value for name, value in event.items() if name != "metadata"}
    return {**rest, "metadata": metadata} if metadata else rest
