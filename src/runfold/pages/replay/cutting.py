"""Texts on a page of bounded size: long ones are cut, and say how much of them is left out."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from runfold.domain.json_text import json_text
from runfold.domain.parts import DataPart, FilePart, Part, ReasoningPart, SourcePart, TextPart
from runfold.history.items import ThreadItem
from runfold.pages.replay.word_diff import Piece, condensed, word_diff

_LIMITS = (4_000, 2_000, 1_000, 500, 250, 120)
_NEARLY = 1.25
"""What is hardly longer than the limit is not cut."""
_ESCAPED = "&<>\"'"
BUDGET_BYTES = 75_000
"""What the texts of one page take, so that the whole of it stays small."""


class Cut(NamedTuple):
    """A text, or its beginning."""

    text: str
    total: int
    """Characters of the whole text."""

    @property
    def is_cut(self) -> bool:
        """Whether it is the beginning only."""
        return len(self.text) < self.total


class Words(NamedTuple):
    """A text that stands under a name: of a part of a message, of an argument."""

    name: str
    text: str


class Cutter:
    """Cuts all texts of a page at one length, which is as large as the page can bear."""

    def __init__(self, texts: Iterable[str], whole: int | None = None, budget: int = BUDGET_BYTES) -> None:
        found = list(texts)
        self.limit = next((limit for limit in _LIMITS if _bytes(found, limit) <= budget), _LIMITS[-1])
        self.whole = whole
        """The position of what is shown in full."""

    def cut(self, text: str, position: int | None = None, limit: int | None = None) -> Cut:
        """The text, cut unless the thing at its position is shown in full."""
        if position is not None and position == self.whole:
            return Cut(text, len(text))
        most = limit or self.limit
        return Cut(text if len(text) <= most * _NEARLY else text[:most], len(text))

    def changes(self, before: str, after: str, position: int) -> list[Piece]:
        """What differs between two wordings: all of both only where the thing at the position is shown in full."""
        found = word_diff(before, after)
        return found if position == self.whole else condensed(found, 2 * self.limit)


def texts_of(item: ThreadItem) -> list[str]:
    """All texts of an item that may be long."""
    found = [words.text for part in (item.message.content if item.message else ()) for words in (part_words(part),)]
    if call := item.tool_call:
        found += [words.text for words in (*named_values(call.arguments, call.arguments_text), *outcome_words(call))]
    if approval := item.approval:
        found += [approval.message or "", approval.arguments_text, approval.effective_arguments_text or ""]
    if decision := item.decision:
        found += [decision.intent, decision.reasoning, *(option.description for option in decision.options)]
    if problem := item.problem:
        found += [problem.description, problem.root_cause or "", problem.suggested_fix or ""]
    return found + [words.text for words in named_values(item.facts or {}, "")]


def part_words(part: Part) -> Words:
    """A part of a message in words; its name is empty for plain text."""
    match part:
        case TextPart():
            return Words("", part.text)
        case ReasoningPart():
            sealed = "sealed by its provider" if part.signature or part.encrypted else ""
            return Words("reasoning", part.text or sealed)
        case FilePart():
            size = f", {len(part.data):,} characters of base64" if part.data else ""
            return Words("file", f"{part.name or part.url or part.file_id or ''} {part.media_type}{size}".strip())
        case SourcePart():
            return Words("source", " · ".join(filter(None, (part.title, part.url, part.document_id))))
        case DataPart():
            return Words(part.name or "data", json_text(part.data))


def named_values(value: Any, text: str) -> list[Words]:
    """The members of a JSON object, each in words; anything else under no name."""
    if isinstance(value, dict):
        return [Words(str(name), plain(member)) for name, member in value.items()]
    return [Words("", plain(value) if value is not None else text)] if value is not None or text else []


def plain(value: Any) -> str:
    """JSON in words: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json_text(value)


def outcome_words(call: Any) -> list[Words]:
    """What came of a tool call."""
    found = [Words("error", f"{call.error.code}: {call.error.message}")] if call.error else []
    found += [Words("reason", call.reason)] if call.reason else []
    return found + (named_values(call.result, "") if call.result is not None else [])


def _bytes(texts: Iterable[str], limit: int) -> int:
    """How many bytes texts take on a page when each is cut."""
    total = 0
    for text in texts:
        shown = text[:limit]
        total += len(shown.encode(errors="replace")) + 4 * sum(shown.count(letter) for letter in _ESCAPED)
    return total
