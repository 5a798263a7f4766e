"""Which conversation a rollout belongs to, told by the `session_meta` lines that it begins with.

A file begins with its own. A fork, and a sub-agent that was given its parent's past, copies the other's lines after it,
that session's own `session_meta` first. So the last of those lines names the session that the conversation began with.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from runfold.errors import InvalidEvent
from runfold.importers.codex.lines import META, line_of, pieces
from runfold.importers.format import OF_A_FILE
from runfold.importers.sections import Found
from runfold.importers.sources import BLANKS, OF_A_RECORD, Piece, SourceFile
from runfold.importers.turns.values import mapping, text

_KEPT = (
    "id",
    "session_id",
    "timestamp",
    "forked_from_id",
    "history_base",
    "parent_thread_id",
    "source",
    "thread_source",
    "agent_role",
    "agent_type",
    "agent_path",
    "model_provider",
    "cwd",
    "originator",
    "cli_version",
    "git",
)
"""What is needed of a `session_meta` before its file is read: all files' are held at once."""


@dataclass(frozen=True)
class Head:
    """What a file says of itself before anything else."""

    file: SourceFile
    metas: tuple[dict[str, Any], ...]
    """What its first lines tell of sessions: its own, and those whose lines it copies."""

    @property
    def own(self) -> dict[str, Any]:
        """Return what it says of its own session."""
        return self.metas[0] if self.metas else {}

    @property
    def session_id(self) -> str | None:
        """Return the id of its own session."""
        return session_id_of(self.own)

    @property
    def parent_id(self) -> str | None:
        """Return the session whose agent spawned this one."""
        return parent_of(self.own)

    @property
    def sub_agent(self) -> str | None:
        """Return what kind of sub-agent wrote it; None for a session of a person's."""
        return sub_agent_of(self.own)


def is_older(one: str, other: str | None) -> bool:
    """Whether one id was made before another, as far as both tell: UUIDs of version 7 begin with their time."""
    try:
        first, second = UUID(one), UUID(other or "")
    except ValueError:
        return False
    return first.version == second.version == 7 and first.int >> 80 < second.int >> 80


def session_id_of(meta: dict[str, Any]) -> str | None:
    """The session's id."""
    return text(meta.get("id")) or text(meta.get("session_id"))


def spawn_of(meta: dict[str, Any]) -> dict[str, Any]:
    """What is told of a sub-agent that another session's agent spawned."""
    return mapping(mapping(mapping(meta.get("source")).get("subagent")).get("thread_spawn"))


def parent_of(meta: dict[str, Any]) -> str | None:
    """The session that spawned it."""
    return text(meta.get("parent_thread_id")) or text(spawn_of(meta).get("parent_thread_id"))


def before_of(meta: dict[str, Any]) -> str | None:
    """The session that it was forked from, spawned by, or is a part of."""
    whole = text(meta.get("session_id"))
    return text(meta.get("forked_from_id")) or parent_of(meta) or (whole if whole != session_id_of(meta) else None)


def sub_agent_of(meta: dict[str, Any]) -> str | None:
    """The kind of sub-agent: its role where it has one."""
    source = meta.get("source")
    kind = source.get("subagent") if isinstance(source, dict) else None
    if kind is None:
        return None
    if isinstance(kind, str):
        return kind
    role = text(meta.get("agent_role")) or text(meta.get("agent_type")) or text(spawn_of(meta).get("agent_role"))
    return role or text(mapping(kind).get("other")) or next(iter(mapping(kind)), "sub-agent")


def head_of(file: SourceFile) -> Head:
    """Read the beginning of a file. One that cannot be read says nothing here; it is reported when it is read whole."""
    metas: dict[str | None, dict[str, Any]] = {}
    try:
        for piece in pieces(file, lambda _: None):
            line = line_of(piece, lambda _: None)
            if line is None or line.kind != META:
                break
            told = {name: line.payload[name] for name in _KEPT if name in line.payload}
            metas.setdefault(session_id_of(line.payload), told)
    except InvalidEvent:
        pass
    return Head(file, tuple(metas.values()))


class Watch:
    """Watches the lines of a file for the beginning of another session than the one that it began with.

    What a session is told to be may come again, and a fork copies that of others; only the first lines of a file tell all of
    them. So another one begins with one that these did not name, or that is to the letter what a fork copied.
    """

    def __init__(self) -> None:
        self._told: dict[str, dict[str, Any]] = {}
        """What the first lines tell of sessions: of the session's own, and of those whose lines it copies."""
        self._is_first = True
        """Whether no other lines have come yet."""

    def __call__(self, raw: bytes) -> Found:
        """Take in the next line."""
        meta = _told_in(raw) if b'"session_meta"' in raw or b'"instructions"' in raw else None
        session = None if meta is None else session_id_of(meta)
        if meta is None or session is None:
            self._is_first = self._is_first and not raw.strip()
            return "goes on"
        is_another = bool(self._told) and not self._is_first and self._is_another(session, meta)
        if is_another:
            self._told, self._is_first = {}, True
        if self._is_first or not self._told:
            self._told.setdefault(session, meta)
        return "begins" if is_another else "goes on"

    def _is_another(self, session: str, meta: dict[str, Any]) -> bool:
        own = next(iter(self._told))
        return session not in self._told or (session != own and meta == self._told[session])


def _told_in(raw: bytes) -> dict[str, Any] | None:
    """What a line tells of a session; None for any other line."""
    try:
        line = line_of(Piece("", text := raw.strip(BLANKS).decode(), 0, len(text)), lambda _: None)
    except OF_A_RECORD:  # told when the line is read
        return None
    return line.payload if line is not None and line.kind == META else None


@dataclass
class Heads:
    """The heads of all the files of an import, by session."""

    by_session: dict[str, Head] = field(default_factory=dict)
    _roots: dict[int, str] = field(default_factory=dict)
    _depths: "dict[int, _Depth]" = field(default_factory=dict)

    def root(self, head: Head) -> str:
        """The session that the conversation began with. A file that names none stands for itself."""
        at, passed = head, dict[str | None, Head]({None: head})
        while (found := self._roots.get(id(at))) is None:
            before = before_of(at.metas[-1]) if at.metas else None
            if before in passed and before is not None:  # they go round in a circle: each is looked at for itself
                return session_id_of(at.metas[-1]) or ""
            above = self.by_session.get(before or "")
            if before is None or above is None:
                found = before or _first_session(at)
                break
            at = passed[before] = above
        self._roots |= dict.fromkeys(map(id, passed.values()), found)
        return found

    def depth(self, head: Head) -> int:
        """How many sessions lie before this one."""
        at, passed = head, dict[str | None, Head]({None: head})
        while (found := self._depths.get(id(at))) is None:
            before = before_of(at.own)
            if before in passed and before is not None:
                return max(len(passed) - 1, len(head.metas) - 1)
            above = self.by_session.get(before or "")
            if above is None:
                found = _Depth(0, knows_all=True) if before is None else _Depth(max(1, len(at.metas)), knows_all=False)
                break
            at = passed[before] = above
        for number, each in enumerate(reversed(passed.values())):
            self._depths.setdefault(id(each), _Depth(found.sessions + number, found.knows_all))
        known = self._depths[id(head)]
        return max(known.sessions, len(head.metas) - 1) if known.knows_all else known.sessions


class _Depth(NamedTuple):
    """How many sessions lie before one, and whether all of them are here."""

    sessions: int
    knows_all: bool


def _first_session(head: Head) -> str:
    return session_id_of(head.metas[-1]) or "" if head.metas else f"{OF_A_FILE}{head.file.name}"
