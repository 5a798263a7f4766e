"""The content of AG-UI messages, and what two of them have in common."""

from typing import Any

from runfold.domain.json_text import canonical, json_text, parse_json
from runfold.domain.parts import DataPart, FilePart, Part, ReasoningPart, TextPart
from runfold.domain.values import same
from runfold.errors import InvalidEvent, shortened


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


def allows(payload: dict[str, Any], path: str) -> bool:
    """Return whether an answer to an interrupt is a yes, as any is that does not say no. Raises InvalidEvent for neither."""
    said = payload.get("approved", True)
    if not isinstance(said, bool):
        raise InvalidEvent(f"{path}.approved", f"is {shortened(repr(said), 40)}, which is neither true nor false")
    return said


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


_MEDIA = ("image", "audio", "video")


def text_of(parts: tuple[Part, ...]) -> str:
    """The words of a message, for a place that only takes text."""
    return "".join(part.text for part in parts if isinstance(part, TextPart | ReasoningPart))


def content_of(parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    """A message's parts as AG-UI's content: text, or a list where there is more than text in them."""
    if all(isinstance(part, TextPart) for part in parts):
        return text_of(parts)
    return [_content_part(part) for part in parts]


def exact(parts: tuple[Part, ...], content: str | list[dict[str, Any]], role: str = "") -> dict[str, Any]:
    """What says in metadata which parts a message has, where its content alone does not."""
    return {} if parts_of(content, role) == parts else {"content": [part.model_dump(mode="json") for part in parts]}


def _content_part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart() | ReasoningPart():
            return {"type": "text", "text": part.text}
        case FilePart() if part.url is not None or part.data is not None:
            kind = part.media_type.partition("/")[0]
            source = {
                "type": "data" if part.url is None else "url",
                "value": part.data if part.url is None else part.url,
                "mimeType": part.media_type,
            }
            return {"type": kind if kind in _MEDIA else "document", "source": source}
        case _:
            return {"type": "text", "text": json_text(part.model_dump(mode="json", exclude_none=True))}
