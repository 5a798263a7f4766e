"""The parts of a message's content."""

from typing import Annotated, Literal

from pydantic import Field, SerializeAsAny

from runfold.domain.values import Json, Label, Text, Value


class TextPart(Value):
    """A text part of a message."""

    type: Literal["text"] = "text"
    text: Text


class ReasoningPart(Value):
    """The reasoning of the model; `signature` or `encrypted` as its provider gave it."""

    type: Literal["reasoning"] = "reasoning"
    text: Text
    signature: Text | None = None
    encrypted: Text | None = None


class FilePart(Value):
    """A file, given by its URL or as base64."""

    type: Literal["file"] = "file"
    media_type: Label
    url: Text | None = None
    data: Text | None = None
    file_id: Text | None = None
    name: Text | None = None


class SourcePart(Value):
    """A source that an answer cites."""

    type: Literal["source"] = "source"
    url: Text | None = None
    document_id: Text | None = None
    title: Text | None = None


class DataPart(Value):
    """Any other content, as JSON."""

    type: Literal["data"] = "data"
    data: Json = None
    name: Label | None = None


Part = Annotated[TextPart | ReasoningPart | FilePart | SourcePart | DataPart, Field(discriminator="type"), SerializeAsAny()]
"""One of them. What class a part has says how it is written: to look for it by its `type` takes as long as to write it."""


def longer(parts: tuple[Part, ...], text: str) -> tuple[Part, ...]:
    """Return a streamed message's parts with more of its text."""
    last = parts[-1] if parts else None
    if isinstance(last, TextPart):
        return (*parts[:-1], TextPart(text=last.text + text))
    return (*parts, TextPart(text=text)) if text else parts
