"""The lines of a rollout, whatever version of the Codex CLI wrote them.

Since September 2025 a line is `{timestamp, type, payload}`. Before, it was the bare item of the Responses API, under a
first line `{id, timestamp, instructions}` and between lines `{record_type: "state"}`; the first versions wrote one JSON
document with `session` and `items`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runfold.errors import InvalidEvent
from runfold.importers.sources import Piece, Report, SourceFile, document, lines
from runfold.importers.turns.values import Fault, moment, text

META, ITEM, EVENT, CONTEXT, COMPACTED, LETTER = (
    "session_meta",
    "response_item",
    "event_msg",
    "turn_context",
    "compacted",
    "inter_agent_communication",
)
_ENVELOPED = {META, ITEM, EVENT, CONTEXT, COMPACTED, LETTER}
BARE_ITEMS = {
    "message",
    "reasoning",
    "function_call",
    "function_call_output",
    "local_shell_call",
    "local_shell_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "web_search_call",
}


@dataclass(frozen=True)
class Line:
    """One line: its kind, and what it says."""

    kind: str
    """One of the constants above, or the unknown kind as it is written."""
    payload: dict[str, Any]
    at: datetime | None
    piece: Piece
    ordinal: int | None = None
    """Its number in its session, where newer versions tell it."""

    @property
    def type(self) -> str:
        """Return the type of the item or event that it holds."""
        return text(self.payload.get("type")) or ""

    @property
    def is_known(self) -> bool:
        """Return whether its kind is one that a rollout has."""
        return self.kind in _ENVELOPED


def pieces(file: SourceFile, report: Report) -> Iterator[Piece]:
    """The records of a file. Raises InvalidEvent where it cannot be read."""
    if not file.plain_name.removesuffix(".zst").endswith(".json"):
        yield from lines(file, report)
        return
    members = document(file).members()
    if "session" in members:
        yield members["session"]
    if "items" in members:
        yield from members["items"].elements()


def line_of(piece: Piece, fault: Fault) -> Line | None:
    """One line; None for one that only keeps the client's own state. Raises InvalidEvent for what is no record."""
    record = piece.value()
    if not isinstance(record, dict):
        raise InvalidEvent("", "is not a JSON object, as each line of a rollout is")
    if "record_type" in record:
        return None
    kind, payload = text(record.get("type")), record.get("payload")
    if kind is not None and "payload" in record:
        if not isinstance(payload, dict):
            raise InvalidEvent("payload", "is not an object")
        if kind == ITEM and "type" not in payload and isinstance(payload.get("item"), dict):
            payload = payload["item"]
        ordinal = record.get("ordinal")
        number = ordinal if isinstance(ordinal, int) else None
        return Line(kind, payload, moment(record.get("timestamp"), "timestamp", fault), piece, number)
    at = moment(record.get("timestamp"), "timestamp", fault)
    if kind in BARE_ITEMS:
        return Line(ITEM, record, at, piece)
    if kind is None and text(record.get("id")) is not None:
        return Line(META, record, at, piece)
    return Line(kind or "without a type", record, at, piece)
