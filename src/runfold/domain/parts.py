"""The parts of a message's content."""

from typing import Annotated, Literal

from pydantic import Field

from runfold.domain.values import Json, Label, Text, Value


class TextPart(Value):
    """Words."""

    type: Literal["text"] = "text"
    text: Text


class ReasoningPart(Value):
    """What the model thought aloud; `signature` or `encrypted` as its provider gave it."""

    type: Literal["reasoning"] = "reasoning"
    text: Text
    signature: Text | None = None
    encrypted: Text | None = None


class FilePart(Value):
    """A file: where it is, or its bytes in base64."""

    type: Literal["file"] = "file"
    media_type: Label
    url: Text | None = None
    data: Text | None = None
    file_id: Text | None = None
    name: Text | None = None


class SourcePart(Value):
    """What an answer rests on."""

    type: Literal["source"] = "source"
    url: Text | None = None
    document_id: Text | None = None
    title: Text | None = None


class DataPart(Value):
    """Anything else, as JSON."""

    type: Literal["data"] = "data"
    data: Json = None
    name: Label | None = None


Part = Annotated[TextPart | ReasoningPart | FilePart | SourcePart | DataPart, Field(discriminator="type")]
