"""The events of a session, one on a line: `{type, data, id, timestamp, parentId, agentId}`."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runfold.errors import InvalidEvent
from runfold.importers.format import OF_A_FILE
from runfold.importers.sections import Found, object_of
from runfold.importers.sources import Piece, Report, SourceFile, lines
from runfold.importers.turns.values import Fault, mapping, moment, tell_misfits, text

FORMAT, VERSION = "copilot", 2
"""The importer's version is of what it reads: since the second, an answer is a person's only where it is told as one."""
PERSON, AGENT, CLIENT = "human:user", "agent:copilot", "service:copilot"


@dataclass(frozen=True)
class Record:
    """One event."""

    type: str
    data: dict[str, Any]
    id: str | None
    agent_id: str | None
    """The instance of the sub-agent that it is about; None for the main agent."""
    at: datetime | None
    piece: Piece

    @property
    def words(self) -> str:
        """Return all that it says, as one text."""
        return json.dumps([self.type, self.data, self.agent_id], sort_keys=True, ensure_ascii=False, default=str)


def record_of(piece: Piece, fault: Fault) -> Record:
    """One event. Raises InvalidEvent for what is none."""
    value = piece.value()
    if not isinstance(value, dict):
        raise InvalidEvent("", "is not a JSON object, as each event is")
    kind = text(value.get("type"))
    if kind is None:
        raise InvalidEvent("type", "is missing; an event of the Copilot CLI has one")
    data = value.get("data", {})
    if not isinstance(data, dict):
        raise InvalidEvent("data", "is not an object")
    tell_misfits(value, {"id": str, "agentId": str}, fault)
    agent_id = text(value.get("agentId")) or text(data.get("parentToolCallId"))
    return Record(kind, data, text(value.get("id")), agent_id, moment(value.get("timestamp"), "timestamp", fault), piece)


@dataclass(frozen=True)
class Head:
    """What the beginning of a file says of its session."""

    file: SourceFile
    root: str
    """What tells the session apart from others: the id of its first event."""
    about: dict[str, Any]
    """The data of `session.start`."""

    @property
    def session_id(self) -> str | None:
        """Return the session's id."""
        return text(self.about.get("sessionId"))


class Watch:
    """Watches the lines of a file for the beginning of another session than the one before."""

    def __init__(self) -> None:
        self._session: str | None = None

    def __call__(self, raw: bytes) -> Found:
        """Take in the next line."""
        if b'"session.start"' not in raw or (session := _started(raw)) is None:
            return "goes on"
        before, self._session = self._session, session
        return "goes on" if before in {None, session} else "begins"


def _started(raw: bytes) -> str | None:
    """The session that begins with a line; None where none does."""
    found = object_of(raw)
    return text(mapping(found.get("data")).get("sessionId")) if found.get("type") == "session.start" else None


def head_of(file: SourceFile) -> Head:
    """Read the beginning of a file. One that cannot be read says nothing here; it is reported when it is read whole."""
    ignore: Report = lambda _: None  # noqa: E731
    try:
        for piece in lines(file, ignore):
            try:
                first = record_of(piece, lambda _: None)
            except InvalidEvent:
                continue
            about = first.data if first.type == "session.start" else {}
            return Head(file, first.id or text(mapping(about).get("sessionId")) or f"{OF_A_FILE}{file.name}", about)
    except InvalidEvent:
        return Head(file, f"{OF_A_FILE}{file.name}", {})
    return Head(file, f"{OF_A_FILE}{file.name}", {})
