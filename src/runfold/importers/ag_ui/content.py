"""The content of AG-UI messages, and what two of them have in common."""

from typing import Any

from runfold.domain.json_text import canonical, json_text, parse_json
from runfold.domain.parts import DataPart, FilePart, Part, ReasoningPart, TextPart
from runfold.domain.values import same
from runfold.errors import InvalidEvent


def words_of(parts: tuple[Part, ...]) -> str:
    """What a message says, to find it in the history: its text, or all that it holds where that is more than text."""
    if all(isinstance(part, TextPart | ReasoningPart) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, TextPart | ReasoningPart))
    return canonical({"content": [part.model_dump(mode="json") for part in parts]})


def parts_of(content: Any, role: str = "") -> tuple[Part, ...]:
    """A message's content as parts."""
    if content is None:
        return ()
    if isinstance(content, str):
        return (ReasoningPart(text=content) if role == "reasoning" else TextPart(text=content),)
    return tuple(_part(item) for item in content) if isinstance(content, list) else (DataPart(data=content),)


def _part(item: Any) -> Part:
    match item:
        case {"type": "text", "text": str(text)}:
            return TextPart(text=text)
        case {"type": "binary", "mimeType": str(media_type), "data": str(data)}:
            return FilePart(media_type=media_type, data=data, name=text_or_none(item.get("filename")))
        case {"type": "binary", "mimeType": str(media_type), "url": str(url)}:
            return FilePart(media_type=media_type, url=url, name=text_or_none(item.get("filename")))
        case {
            "type": "image" | "audio" | "video" | "document",
            "source": {"value": str(value), "mimeType": str(media_type)} as source,
        }:
            is_url = source.get("type") == "url"
            return FilePart(media_type=media_type, url=value if is_url else None, data=None if is_url else value)
        case _:
            return DataPart(data=item)


def edited(payload: dict[str, Any], arguments_text: str | None) -> str | None:
    """The arguments that were given in place of those asked for; None where they were left."""
    tool_call = payload.get("toolCall")
    given = payload.get("editedArgs", tool_call.get("arguments") if isinstance(tool_call, dict) else None)
    if arguments_text is None or given is None:
        return None
    text = json_text(given)
    return None if same_json(text, arguments_text) else text


def same_json(one: str, other: str) -> bool:
    """Return whether two texts are the same JSON."""
    try:
        return one == other or same(parse_json(one), parse_json(other))
    except InvalidEvent:
        return False


def text_or_none(value: Any) -> str | None:
    """Text, or nothing where it is something else."""
    return value if isinstance(value, str) else None
