"""The files of one thread read whole: their lines taken in, and whatever does not fit told of."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from runfold.domain.values import digest
from runfold.errors import InvalidEvent
from runfold.importers.claude.index import Indexed
from runfold.importers.claude.lines import MESSAGES, line_of, text_of
from runfold.importers.claude.nodes import Nodes
from runfold.importers.claude.queue import Queue
from runfold.importers.claude.session import Agent, Session
from runfold.importers.claude.turns import story_of
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
        "continued-in",
        "started",
        "result",
    }
)
"""Types of lines that are no messages; the last two are those of a workflow's journal."""


WORDS_OF_OTHERS = frozenset(
    {"teammate_mailbox", "hook_additional_context", "hook_blocking_error", "hook_stopped_continuation", "hook_system_message"}
)
"""Types of attachments in which somebody speaks to the agent, and which are not read."""


class Meta(CamelShape):
    """What stands beside a sub-agent's file."""

    agent_type: str | None = None
    description: str | None = None
    tool_use_id: str | None = None


class ThreadFiles:
    """The files of one thread."""

    def __init__(self, files: Sequence[Indexed], metas: dict[str, SourceFile], report: Report) -> None:
        self._files = files
        self._metas = metas
        self._report = report
        self._digests: set[str] = set()

    @property
    def digest(self) -> str:
        """Return the digest of all that was read, in whichever order, and however often."""
        return digest("\n".join(sorted(self._digests)))

    def session(self) -> Session | None:
        """The thread; None where no line is a message."""
        nodes = Nodes()
        for file in self._files:
            self._read(file, nodes)
        story = story_of(nodes)
        if not story.conversations:
            return None
        workflows = {file.agent_id: file.workflow for file in self._files if file.agent_id is not None}
        return Session(story, {key: self._agent(key, workflows.get(key)) for key in story.conversations if key})

    def _read(self, file: Indexed, nodes: Nodes) -> None:
        reports, queue = Reports(), Queue()
        recognised = 0
        for piece in lines(file.file, reports.take):
            self._digests.add(piece.digest)
            try:
                recognised += self._take(piece, file, nodes, queue, reports.take)
            except OF_A_RECORD as error:
                reports.take(piece.problem(why(error)))
            if not recognised and reports.is_strange:
                break
        if not recognised:
            reports.keep_first("one of Claude Code's")
        reports.tell(self._report)

    def _take(self, piece: Piece, file: Indexed, nodes: Nodes, queue: Queue, report: Report) -> bool:
        """Take in one line. Returns whether it is one of Claude Code's; raises InvalidEvent for what does not fit."""
        record = piece.value()
        kind = text_of(record, "type") if isinstance(record, dict) else None
        if kind is None:
            raise InvalidEvent("type", "is missing; nothing of the line was imported")
        for said in queue.take(record):
            self._hang(said, piece, file, nodes, report)
        if kind not in LET_BY and kind not in MESSAGES:
            report(piece.note(f"lines of type {kind[:60]!r}, which are no part of a conversation"))
        attached = record.get("attachment")
        if isinstance(attached, dict) and (name := text_of(attached, "type")) in WORDS_OF_OTHERS:
            report(piece.note(f"attachments of type {name!r}, whose words are not imported"))
        return self._hang(record, piece, file, nodes, report) or kind in LET_BY

    def _hang(self, record: dict[str, Any], piece: Piece, file: Indexed, nodes: Nodes, report: Report) -> bool:
        """Take in a record that others may hang from; returns whether it is one."""
        line = line_of(record, piece)
        if line is None:
            return False
        for fault in line.faults:
            report(piece.problem(fault))
        nodes.take(line, file.number, file.agent_id)
        return True

    def _agent(self, key: str, workflow: str | None) -> Agent:
        if (file := self._metas.get(key)) is None:
            return Agent(workflow=workflow)
        try:
            whole = document(file, self._report)
            meta = whole.shaped(Meta)
            self._digests.add(whole.digest)
        except OF_A_RECORD as error:
            self._report(Problem(file.name, None, why(error)))
            return Agent(workflow=workflow)
        return Agent(meta.agent_type, meta.description, meta.tool_use_id, workflow)


def disagreeing(threads: Iterable[Sequence[Indexed]]) -> Iterator[tuple[Indexed, str]]:
    """The files that say that their session went on in another, which is here and does not share a message with it."""
    place = {session: number for number, files in enumerate(threads) for file in files for session in file.sessions}
    for number, files in enumerate(threads):
        for file in files:
            for session in sorted(file.continued_in):
                if place.get(session, number) != number:
                    yield file, session
