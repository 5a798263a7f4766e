"""What stands in a line of Claude Code, as parts of a message."""

from collections.abc import Iterator
from typing import Any

from runfold.domain.parts import DataPart, FilePart, Part, ReasoningPart, TextPart
from runfold.domain.values import LABEL_LENGTH
from runfold.importers.claude.lines import Block, text_of
from runfold.importers.claude.nodes import Node


def content_of(node: Node) -> tuple[Part, ...]:
    """Return what is said in a line beside results of tools."""
    return tuple(part for block, _ in node.parts if block.type != "tool_result" for part in parts_of(block))


def parts_of(block: Block) -> Iterator[Part]:
    """A block of content as parts of a message."""
    raw = block.raw
    source = raw.get("source")
    match block.type:
        case "text":
            yield TextPart(text=raw["text"])
        case "thinking":
            yield ReasoningPart(text=raw["thinking"], signature=text_of(raw, "signature"))
        case "redacted_thinking":
            yield ReasoningPart(text="", encrypted=raw["data"])
        case "image" | "document" if isinstance(source, dict) and _is_file(source):
            yield FilePart(media_type=source["media_type"], data=source["data"])
        case _:
            yield DataPart(data=raw, name=block.type[:LABEL_LENGTH] or None)


def _is_file(source: dict[str, Any]) -> bool:
    media_type = source.get("media_type")
    return isinstance(media_type, str) and 0 < len(media_type) <= LABEL_LENGTH and isinstance(source.get("data"), str)


def result_parts(content: Any) -> Iterator[Part]:
    """Yield what a tool answered, as parts of a message."""
    if isinstance(content, str):
        yield TextPart(text=content)
        return
    for item in content if isinstance(content, list) else [] if content is None else [content]:
        kind = item.get("type") if isinstance(item, dict) else None
        needed = {"text": "text", "thinking": "thinking", "redacted_thinking": "data"}.get(str(kind))
        if not isinstance(kind, str) or (needed is not None and not isinstance(item.get(needed), str)):
            yield DataPart(data=item)  # no block that is known: kept as it is
        else:
            yield from parts_of(Block(kind, item))
