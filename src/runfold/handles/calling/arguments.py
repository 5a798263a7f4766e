"""What callers give to methods of handles, made into what the domain takes: content, a tool's arguments, ids."""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any

from pydantic import FailFast, TypeAdapter, ValidationError

from runfold.domain.event import refusal
from runfold.domain.first_fault import require_known
from runfold.domain.json_text import json_text, parse_json
from runfold.domain.message import MessageAdded
from runfold.domain.parts import Part, TextPart
from runfold.errors import InvalidEvent

_PARTS: TypeAdapter[tuple[Part, ...]] = TypeAdapter(Annotated[tuple[Part, ...], FailFast()])

_validated: Callable[[dict[str, Any]], MessageAdded] = MessageAdded.__pydantic_validator__.validate_python

Content = str | list[dict[str, Any]] | tuple[Part, ...]
"""A message's content: text, or parts as dicts or models."""


def content_parts(content: Content) -> tuple[Part, ...]:
    """Return the parts of what a caller gives as content. Raises pydantic.ValidationError."""
    if isinstance(content, str):
        return (TextPart(text=content),)
    if isinstance(content, tuple):
        return content
    require_known(Part, content, "content")
    try:
        return _PARTS.validate_python(content, strict=False)
    except ValidationError as error:
        found = refusal(error)
        if not found.path:
            raise InvalidEvent("content", "is neither text nor a list of parts; give one of them") from None
        raise InvalidEvent(f"content.{found.path}", found.reason) from None


def message_of(content: Content, fields: dict[str, Any]) -> MessageAdded:
    """Return a message, of what a caller gives as its content and of its other fields. Raises pydantic.ValidationError.

    Text is looked at together with the rest, and by itself only where something is wrong, for its fault is told first.
    """
    if not isinstance(content, str):
        return MessageAdded(content=content_parts(content), **fields)
    try:
        return _validated({**fields, "content": ({"type": "text", "text": content},)})
    except ValidationError:
        return MessageAdded(content=content_parts(content), **fields)


def arguments_of(arguments: Any) -> tuple[str, Any]:
    """Return the text of what a caller gives as arguments, which digests cover, and its JSON if it is any.

    Text is kept to the letter. Raises InvalidEvent for what is neither text nor JSON.
    """
    if not isinstance(arguments, str):
        return json_text(arguments, "arguments"), arguments
    try:
        return arguments, parse_json(arguments)
    except InvalidEvent:
        return arguments, None


def checked(kind: Any, name: str, given: str) -> str:
    """Return an id or a word that a caller gave, if it may be one. Raises InvalidEvent."""
    try:
        return str(_adapter(kind).validate_python(given, strict=True))
    except ValidationError as error:
        raise InvalidEvent(name, refusal(error).reason) from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)  # made once for each kind: that takes a thousand times as long as to ask it
