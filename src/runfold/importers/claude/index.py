"""A first look at session files: what ties files together, kept small, so that one thread at a time is read whole.

Files belong to one thread where they share a session, a first line, the first answer of a conversation (its message id and
request id, which copies keep when they are given new uuids), or where one hangs from a line that stands in another.
"""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from runfold.importers.claude.lines import MESSAGES, identity_of, moment_of, text_of
from runfold.importers.sections import Found, object_of
from runfold.importers.sources import OF_A_RECORD, UNREAD, Piece, SourceFile, lines

_AGENT_FILE = re.compile(r"agent-(.+)\.jsonl")
_SESSION = re.compile(rb'"sessionId"\s*:\s*"([^"\\]+)"')
_ROOT = re.compile(rb'"parentUuid"\s*:\s*null')

Tie = tuple[str, str]


@dataclass
class Indexed:
    """A session file, and what ties it to others."""

    file: SourceFile
    number: int
    agent_id: str | None
    """Of a sub-agent's file."""
    workflow: str | None
    """The run of a workflow that it stands under."""
    ties: set[Tie] = field(default_factory=set)
    first: tuple[str, str, str] = ("", "", "")
    """Its first time, uuid and session: by these files are put in an order that does not depend on names."""
    has_messages: bool = False
    uuids: "array[int]" = field(default_factory=lambda: array("q"))
    """Digests of the uuids in it."""
    missing: set[str] = field(default_factory=set)
    """The uuids of parents that it does not have."""
    sessions: set[str] = field(default_factory=set)
    continued_in: set[str] = field(default_factory=set)
    agents: set[str] = field(default_factory=set)
    """The sub-agents that it and its lines name."""


class Watch:
    """Watches the lines of a file for the beginning of another session than the one before.

    That is a line which hangs from nothing, of a session that no line before it names. What a fork or a resumed session copies
    hangs from lines of its own; a sub-agent, and what was compacted, is put to its session wherever that stands.
    """

    def __init__(self) -> None:
        self._sessions: set[str] = set()
        self._last = b"\n"
        """How the line before names its session: mostly the next one does so too."""

    def __call__(self, raw: bytes) -> Found:
        """Take in the next line."""
        return "goes on" if self._last in raw else self._look_at(raw)

    def _look_at(self, raw: bytes) -> Found:
        named = _SESSION.search(raw)
        session = None if named is None else named[1].decode(errors="replace")
        is_known = session is None or session in self._sessions
        if b'"uuid"' not in raw:
            return "goes on" if session is not None and is_known else "waits"
        is_another = bool(self._sessions) and not is_known and _ROOT.search(raw) is not None and _is_first_of(raw, session)
        if is_another:
            self._sessions = set()
        if named is not None and session is not None:
            self._sessions.add(session)
            self._last = named[0]
        return "begins" if is_another else "goes on"


def _is_first_of(raw: bytes, session: str | None) -> bool:
    """Return whether a line hangs from nothing in a session."""
    record = object_of(raw)
    is_root = record.get("parentUuid") is None and text_of(record, "uuid") is not None
    return is_root and text_of(record, "sessionId") == session


def named(file: SourceFile, number: int) -> Indexed:
    """Return what the name of a file says of it."""
    agent = _AGENT_FILE.fullmatch(file.plain_name)
    folders = PurePath(file.name).parts
    workflow = folders[folders.index("workflows") + 1] if "workflows" in folders[:-2] else None
    return Indexed(file, number, agent[1] if agent else None, workflow)


def indexed(file: SourceFile, number: int) -> Indexed:
    """Look at a file. Raises InvalidEvent where it cannot be read at all."""
    found = named(file, number)
    if found.agent_id is not None:
        found.agents.add(found.agent_id)
    looking = _Look(found)
    for record in _records(lines(file, lambda _: None)):
        looking.at(record)
    looking.finish()
    return found


def _records(pieces: Iterable[Piece]) -> Iterator[dict[str, Any]]:
    for piece in pieces:
        try:
            record = piece.parsed if piece.parsed is not UNREAD else piece.value()
        except OF_A_RECORD:  # told when the thread is read
            continue
        if isinstance(record, dict):
            yield record


class _Look:
    """One file, line by line."""

    def __init__(self, found: Indexed) -> None:
        self.found = found
        self.known: set[str] = set()
        self.parents: set[str] = set()
        self.answered = False

    def at(self, record: dict[str, Any]) -> None:
        """Take one record in."""
        found, uuid = self.found, text_of(record, "uuid")
        if (following := text_of(record, "continuedInSessionId")) is not None:
            found.continued_in.add(following)
        if uuid is None:
            return
        if (session := text_of(record, "sessionId")) is not None:
            found.sessions.add(session)
        if (agent := text_of(record, "agentId")) is not None:
            found.agents.add(agent)
        forked = record.get("forkedFrom")
        if isinstance(forked, dict) and (origin := text_of(forked, "sessionId")) is not None:
            found.ties.add(("session", origin))
        if record.get("type") in MESSAGES:
            found.has_messages = True
            if not found.first[0] and moment_of(record) is not None:
                found.first = (str(record["timestamp"]), uuid, session or "")
            self._answer(record)
        self._place(record, uuid)

    def _place(self, record: dict[str, Any], uuid: str) -> None:
        parent = text_of(record, "parentUuid") or text_of(record, "logicalParentUuid")
        if parent is None:
            self.answered = False
            self.found.ties.add(("root", " ".join(identity_of(record, uuid))))
        elif parent not in self.known:
            self.parents.add(parent)
        self.known.add(uuid)
        self.found.uuids.append(hash(uuid))

    def _answer(self, record: dict[str, Any]) -> None:
        """Tie the file to others by the first answer of it, and by the first after each of its beginnings."""
        message = record.get("message")
        if self.answered or record.get("type") != "assistant" or not isinstance(message, dict):
            return
        message_id, request_id = text_of(message, "id"), text_of(record, "requestId")
        if message_id is not None and request_id is not None:
            self.answered = True
            self.found.ties.add(("answer", f"{message_id} {request_id}"))

    def finish(self) -> None:
        """Note what it lacks."""
        found = self.found
        found.missing = self.parents - self.known
        found.ties |= {("session", session) for session in found.sessions}
        if not found.ties and not found.missing:
            found.ties.add(("file", found.file.name))


def threads_of(files: Sequence[Indexed]) -> list[list[Indexed]]:
    """Files put together to threads, each in an order that depends on what is in them alone: main files first."""
    groups = _Groups(len(files))
    by_tie: dict[Tie, int] = {}
    wanted: dict[int, list[int]] = {}
    for place, file in enumerate(files):
        for tie in file.ties:
            groups.join(by_tie.setdefault(tie, place), place)
        for uuid in file.missing:
            wanted.setdefault(hash(uuid), []).append(place)
    for place, file in enumerate(files) if wanted else ():
        for known in file.uuids:
            for other in wanted.get(known, ()):
                groups.join(place, other)
    found: dict[int, list[Indexed]] = {}
    for place, file in enumerate(files):
        found.setdefault(groups.top(place), []).append(file)
    return [sorted(group, key=lambda file: (file.agent_id is not None, file.first)) for group in found.values()]


class _Groups:
    """Numbers that were joined."""

    def __init__(self, size: int) -> None:
        self.above = list(range(size))

    def top(self, number: int) -> int:
        """Return the number that stands for its group: the least."""
        while self.above[number] != number:
            self.above[number] = self.above[self.above[number]]
            number = self.above[number]
        return number

    def join(self, one: int, other: int) -> None:
        """Make one group of two."""
        tops = sorted((self.top(one), self.top(other)))
        self.above[tops[1]] = tops[0]
