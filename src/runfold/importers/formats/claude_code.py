"""Sessions of Claude Code: `<session>.jsonl`, and beside it or below it the sub-agents' `agent-<id>.jsonl`.

A session is a thread. Its main line is a run, a rewind is a run that branches off, a sub-agent is a run that is spawned by
the call it was started with, or by the main run where no call names it. A session that has sub-agents and no message of
its own still has its main run. Lines that are no messages (summaries, snapshots, progress, attachments, hooks) tell where
branches part and are not recorded. In `claude`, `session` puts lines together and `recording` gives the commands.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from runfold.domain.values import digest
from runfold.errors import InvalidEvent
from runfold.importers.claude.recording import Agent, Session
from runfold.importers.claude.session import Conversation, Line
from runfold.importers.format import Format, SourceThread
from runfold.importers.sources import OF_A_RECORD, CamelShape, Piece, Report, SourceFile, document, lines, why
from runfold.importers.tally import Problem, Reports

LET_BY = frozenset(
    {
        "summary",
        "system",
        "progress",
        "attachment",
        "file-history-snapshot",
        "permission-mode",
        "last-prompt",
        "queue-operation",
        "custom-title",
        "ai-title",
        "agent-name",
        "tag",
        "mode",
        "pr-link",
    }
)
"""Types of lines that are no messages."""

_SESSION = re.compile(rb'"sessionId"\s*:\s*"([^"]+)"')
_AGENT_FILE = re.compile(r"agent-(.+)\.jsonl")
_META_FILE = re.compile(r"agent-(.+)\.meta\.json")


class Meta(CamelShape):
    """What stands beside a sub-agent's file."""

    agent_type: str | None = None
    description: str | None = None


def read(files: Sequence[SourceFile], report: Report) -> Iterator[SourceThread]:
    """The sessions in files, each with its sub-agents."""
    metas = {match[1]: file for file in files if (match := _META_FILE.fullmatch(file.plain_name))}
    groups: dict[str, list[SourceFile]] = {}
    for file in files:
        if _META_FILE.fullmatch(file.plain_name):
            continue
        try:
            raw = file.read()
        except OF_A_RECORD as error:
            report(Problem(file.name, None, why(error)))
            continue
        named = _SESSION.search(raw)
        groups.setdefault(named[1].decode(errors="replace") if named else Path(file.plain_name).stem, []).append(file)
    for session_id, members in groups.items():
        source = _Reading(session_id, metas, report).thread(members)
        if source is not None:
            yield source


class _Reading:
    """The files of one session."""

    def __init__(self, session_id: str, metas: dict[str, SourceFile], report: Report) -> None:
        self._session_id = session_id
        self._metas = metas
        self._report = report
        self._parents: dict[str, str | None] = {}
        self._lines: dict[str | None, list[tuple[Line, Piece]]] = {None: []}
        """By sub-agent; None is the main line."""
        self._digests: set[str] = set()

    def thread(self, files: Sequence[SourceFile]) -> SourceThread | None:
        """The session as a thread; None where no line is a message."""
        for file in files:
            self._read_file(file)
        if not any(self._lines.values()):
            return None
        main = Conversation.of(self._lines.pop(None), self._parents)
        agents = {key: self._agent(key, found) for key, found in self._lines.items()}
        session = Session(self._session_id, main, agents)
        return SourceThread(
            session.thread_id,
            self._session_id,
            digest("\n".join(sorted(self._digests))),
            (self._session_id,),
            sum(file.size for file in files),
            session.counts(),
            session.record,
        )

    def _agent(self, key: str | None, found: list[tuple[Line, Piece]]) -> Agent:
        meta = Meta()
        if (file := self._metas.get(key or "")) is not None:
            try:
                whole = document(file, self._report)
                meta = whole.shaped(Meta)
                self._digests.add(digest(whole.source))
            except OF_A_RECORD as error:
                self._report(Problem(file.name, None, why(error)))
        return Agent(key or "", Conversation.of(found, self._parents), meta.agent_type, meta.description)

    def _read_file(self, file: SourceFile) -> None:
        match = _AGENT_FILE.fullmatch(file.plain_name)
        reports = Reports()
        recognised = 0
        for piece in lines(file, reports.take):
            self._digests.add(digest(piece.source))
            try:
                recognised += self._take(piece, match[1] if match else None)
            except OF_A_RECORD as error:
                reports.take(piece.problem(why(error)))
        problems = reports.problems
        if not recognised and len(problems) > 1:
            problems[:] = [Problem(file.name, problems[0].line, f"no line is one of Claude Code's; {problems[0].reason}")]
        reports.tell(self._report)

    def _take(self, piece: Piece, agent_id: str | None) -> bool:
        """Take in one line. Returns whether its type is known; raises InvalidEvent for what does not fit."""
        record = piece.value()
        kind = record.get("type") if isinstance(record, dict) else None
        if kind not in LET_BY and kind not in {"user", "assistant"}:
            raise InvalidEvent("type", f"{kind!r} is not a type of line that is known; nothing of it was imported")
        if isinstance(uuid := record.get("uuid"), str):
            self._parents[uuid] = parent if isinstance(parent := record.get("parentUuid"), str) else None
        if kind in {"user", "assistant"}:
            line = piece.shaped(Line, record)
            self._lines.setdefault(agent_id or self._agent_of(line), []).append((line, piece))
        return True

    def _agent_of(self, line: Line) -> str | None:
        """The sub-agent that a line of a main file belongs to, as early versions wrote them: by id, or by first line."""
        if not line.is_sidechain:
            return None
        at, above, seen = line.uuid, line.parent_uuid, set[str]()
        while above is not None and above in self._parents and above not in seen:
            seen.add(above)
            at, above = above, self._parents[above]
        return line.agent_id or at


def _wants(name: str) -> bool:
    return name.endswith(".jsonl") or _META_FILE.fullmatch(name) is not None


FORMAT = Format(wants=_wants, read=read)
