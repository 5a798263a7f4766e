"""The lines of Claude Code's session files, each by itself: what a record must have to be taken, and its parts by name."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from runfold.errors import InvalidEvent
from runfold.importers.claude.speakers import queued_content
from runfold.importers.fitting import is_in_utc
from runfold.importers.sources import Piece

MESSAGES = ("user", "assistant")
_UUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")

_NEEDED = {
    "text": ("text",),
    "thinking": ("thinking",),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name"),
    "tool_result": ("tool_use_id",),
}
"""What a block must have, as text, to be more than data that is kept as it is."""


@dataclass(slots=True)
class Block:
    """A part of a message's content. `raw` is all of it."""

    type: str
    raw: dict[str, Any]

    def _words(self, name: str) -> str:
        value = self.raw.get(name)
        return value if isinstance(value, str) else ""

    @property
    def text(self) -> str:
        """Return its text, where it is one."""
        return self._words("text") if self.type == "text" else ""

    @property
    def id(self) -> str:
        """Return a call's own id, which its provider may have given to another call too."""
        return self._words("id")

    @property
    def name(self) -> str:
        """Return the name of the tool that is called."""
        return self._words("name")

    @property
    def input(self) -> Any:
        """Return the arguments of a call."""
        return self.raw.get("input")

    @property
    def tool_use_id(self) -> str:
        """Return the id of the call that a result answers."""
        return self._words("tool_use_id")

    @property
    def content(self) -> Any:
        """Return what a result holds."""
        return self.raw.get("content")

    @property
    def is_error(self) -> bool:
        """Return whether a result says that it is an error."""
        return self.raw.get("is_error") is True

    @property
    def identity(self) -> tuple[str, str | bytes]:
        """Return what makes it the same part again, where an answer was written twice."""
        if self.type in {"text", "thinking"}:
            return self.type, self._words(self.type)
        return self.type, orjson.dumps(self.raw, option=orjson.OPT_SORT_KEYS)


@dataclass(slots=True)
class Line:
    """A record with a uuid. Its `blocks` are empty where it is no message."""

    type: str
    record: dict[str, Any] = field(repr=False)
    piece: Piece = field(repr=False)
    uuid: str
    parent_uuid: str | None
    session_id: str | None
    timestamp: datetime | None
    blocks: list[Block] = field(repr=False)
    faults: list[str] = field(default_factory=list)
    """What did not fit, while the rest was taken."""

    @property
    def key(self) -> tuple[str, ...]:
        """Return what tells it apart from any other line, wherever that stands."""
        return identity_of(self.record, self.uuid)

    @property
    def message(self) -> dict[str, Any]:
        """Return what the API was sent, or answered."""
        found = self.record.get("message")
        return found if isinstance(found, dict) else {}

    @property
    def message_id(self) -> str | None:
        """Return the API's id of the answer that this line is a part of."""
        return text_of(self.message, "id")

    @property
    def request_id(self) -> str | None:
        """Return the id of the request that was answered."""
        return text_of(self.record, "requestId")

    @property
    def agent_id(self) -> str | None:
        """Return the sub-agent that it belongs to, where it says so."""
        return text_of(self.record, "agentId")

    @property
    def is_sidechain(self) -> bool:
        """Return whether it says that it belongs to a sub-agent."""
        return self.record.get("isSidechain") is True

    @property
    def tool_use_result(self) -> Any:
        """Return what the client keeps of a tool's result beside what the model was told."""
        return self.record.get("toolUseResult")

    @property
    def usage(self) -> dict[str, Any] | None:
        """Return what the API says was used."""
        found = self.message.get("usage")
        return found if isinstance(found, dict) else None


def text_of(record: dict[str, Any], name: str) -> str | None:
    """Return a text of a record; None where there is none, or something else."""
    value = record.get(name)
    return value if isinstance(value, str) and value else None


def identity_of(record: dict[str, Any], uuid: str) -> tuple[str, ...]:
    """Return what tells a record apart: its uuid. One that is none, as `u1`, is told apart by what was said, and when, too."""
    if _UUID.fullmatch(uuid):
        return (uuid,)
    said = json.dumps([record.get("type"), record.get("timestamp"), record.get("message")], sort_keys=True)
    return uuid, hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def line_of(record: dict[str, Any], piece: Piece) -> Line | None:
    """Return a record as a line; None for one without a uuid that is no message. Raises InvalidEvent."""
    kind, uuid = record.get("type"), text_of(record, "uuid")
    if uuid is None:
        if kind in MESSAGES:
            raise InvalidEvent("uuid", "Field required")
        return None
    faults: list[str] = []
    content = _content(record, str(kind))
    blocks = [_block(item, index, faults) for index, item in enumerate(content)]
    moment = moment_of(record)
    if moment is None and content:
        faults.append(f"timestamp: {record.get('timestamp')!r:.60} is no time with a zone; the line was taken without it")
    parent = text_of(record, "parentUuid")
    return Line(str(kind), record, piece, uuid, parent, text_of(record, "sessionId"), moment, blocks, faults)


def moment_of(record: dict[str, Any]) -> datetime | None:
    """Return a record's time; None for what is none, has no zone, or is not of the years 1 to 9999 in UTC."""
    try:
        moment = datetime.fromisoformat(record.get("timestamp"))  # type: ignore[arg-type]  # what is no text is refused
        return moment if moment.utcoffset() is not None and is_in_utc(moment) else None
    except (TypeError, ValueError):
        return None


def _content(record: dict[str, Any], kind: str) -> list[Any]:
    content: Any
    if kind in MESSAGES:
        message = record.get("message")
        if not isinstance(message, dict):
            raise InvalidEvent("message", "is not an object")
        content = message.get("content")
    else:
        content = queued_content(record)
        if content is None:
            return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise InvalidEvent("message.content", "is neither text nor a list of blocks")
    return content


def _block(item: Any, index: int, faults: list[str]) -> Block:
    """A block; one that is not as its type says is kept as data, and that is told."""
    if not isinstance(item, dict) or not isinstance(kind := item.get("type"), str):
        faults.append(f"message.content.{index}: is no block of a known form; it was kept as data")
        return Block("data", item if isinstance(item, dict) else {"value": item})
    for name in _NEEDED.get(kind, ()):
        if not isinstance(item.get(name), str):
            faults.append(f"message.content.{index}: a {kind} block has no {name}; it was kept as data")
            return Block("data", item)
    return Block(kind, item)
