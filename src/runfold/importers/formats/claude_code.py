"""Sessions of Claude Code: `<session>.jsonl`, and beside it or below it the sub-agents' `agent-<id>.jsonl`.

A thread is a conversation, whichever sessions and files it stands in; a run is a turn: what woke the agent, and all that
followed until its turn ended. A sub-agent's turns are runs that are spawned by the call it was started with, or by the first
run where no call names it. Sub-agents whose main line is not there still have a main run. In `claude`, `index` finds which
files belong together, `nodes` puts lines together to messages, `turns` messages to turns, and `recording` gives the commands.
"""

import re
from collections.abc import Iterator, Sequence

from runfold.importers.claude.ids import VERSION
from runfold.importers.claude.index import Indexed, indexed, threads_of
from runfold.importers.claude.reading import ThreadFiles, disagreeing
from runfold.importers.format import Format, SourceThread
from runfold.importers.sources import OF_A_RECORD, Report, SourceFile, why
from runfold.importers.tally import Problem

_META_FILE = re.compile(r"agent-(.+)\.meta\.json")


def read(files: Sequence[SourceFile], report: Report) -> Iterator[SourceThread]:
    """The threads in files, each with its sub-agents."""
    metas = _metas(files)
    for members in _members(files, report):
        source = _thread(members, metas, report)
        if source is not None:
            yield source


def together(files: Sequence[SourceFile], report: Report) -> Iterator[Sequence[SourceFile]]:
    """The files of each thread, with what stands beside its sub-agents' files."""
    metas = _metas(files)
    for members in _members(files, report):
        agents = set[str]().union(*(file.agents for file in members))
        yield [*(file.file for file in members), *(metas[agent] for agent in sorted(agents & metas.keys()))]


def _metas(files: Sequence[SourceFile]) -> dict[str, SourceFile]:
    """What stands beside sub-agents' files, by their ids."""
    return {match[1]: file for file in files if (match := _META_FILE.fullmatch(file.plain_name))}


def _members(files: Sequence[SourceFile], report: Report) -> list[list[Indexed]]:
    """The files that hold lines, put together to threads."""
    found: list[Indexed] = []
    for file in files:
        if _META_FILE.fullmatch(file.plain_name):
            continue
        try:
            found.append(indexed(file, len(found)))
        except OF_A_RECORD as error:
            report(Problem(file.name, None, why(error)))
    threads = threads_of(found)
    for left, session in disagreeing(threads):
        reason = f"says that it went on in session {session}, which has no message of it; they were imported as two threads"
        report(Problem(left.file.name, None, reason))
    return threads


def _thread(members: Sequence[Indexed], metas: dict[str, SourceFile], report: Report) -> SourceThread | None:
    """The thread that some files hold; None where no line is a message."""
    files = ThreadFiles(members, metas, report)
    session = files.session()
    if session is None:
        return None
    return SourceThread(
        session.thread_id,
        next(iter(session.story.sessions), session.thread_id),
        files.digest,
        session.story.sessions,
        sum(file.file.size for file in members),
        session.counts(),
        session.record,
        claims=session.claims,
        joins=session.joins,
        known_as=session.known_as,
        replaces=session.replaces,
    )


def _wants(name: str) -> bool:
    return name.endswith(".jsonl") or _META_FILE.fullmatch(name) is not None


FORMAT = Format(wants=_wants, read=read, version=VERSION, together=together)
