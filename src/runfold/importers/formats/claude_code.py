"""Sessions of Claude Code: `<session>.jsonl`, and beside it or below it the sub-agents' `agent-<id>.jsonl`.

A thread is a conversation, whichever sessions and files it stands in; a run is a turn: what woke the agent, and all that
followed until its turn ended. A sub-agent's turns are runs that are spawned by the call it was started with, or by the first
run where no call names it. Sub-agents whose main line is not there still have a main run. In `claude`, `index` finds which
files belong together, `nodes` puts lines together to messages, `turns` messages to turns, and `recording` gives the commands.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial

from runfold.importers.claude.ids import VERSION
from runfold.importers.claude.index import Indexed, Watch, indexed, named, threads_of
from runfold.importers.claude.reading import ThreadFiles, disagreeing
from runfold.importers.claude.recording import record
from runfold.importers.format import Format, Parts, SourceThread
from runfold.importers.sections import sections
from runfold.importers.sources import OF_A_RECORD, Report, SourceFile, why
from runfold.importers.tally import Problem

_META_FILE = re.compile(r"agent-(.+)\.meta\.json")


def together(files: Sequence[SourceFile], report: Report) -> Iterator[Sequence[SourceFile]]:
    """The files of each thread, main files first, with what stands beside its sub-agents' files."""
    metas, found = _metas(files), list[Indexed]()
    mains = [file for file in files if not _META_FILE.fullmatch(file.plain_name)]
    for part in (part for file in mains for part in sections(file, Watch)):
        try:
            found.append(part.looked_at("index", partial(indexed, part, len(found))))
        except OF_A_RECORD as error:
            report(Problem(part.name, None, why(error)))
    threads = threads_of(found)
    for left, session in disagreeing(threads):
        reason = f"says that it went on in session {session}, which has no message of it; they were imported as two threads"
        report(Problem(left.file.name, None, reason))
    for members in threads:
        agents = set[str]().union(*(file.agents for file in members))
        yield [*(file.file for file in members), *(metas[agent] for agent in sorted(agents & metas.keys()))]


def thread(files: Sequence[SourceFile], report: Report) -> SourceThread | None:
    """The thread of files that belong together, with its sub-agents; None where no line is a message."""
    metas = _metas(files)
    members = [named(file, number) for number, file in enumerate(files) if not _META_FILE.fullmatch(file.plain_name)]
    whole = ThreadFiles(members, metas, report)
    session = whole.session()
    if session is None:
        return None
    return SourceThread(
        session.thread_id,
        next(iter(session.story.sessions), session.thread_id),
        whole.digest,
        session.story.sessions,
        sum(file.file.share for file in members),
        partial(record, session),
        claims=session.claims,
        joins=session.joins,
        known_as=session.known_as,
        replaces=session.replaces,
        files=tuple(files),
    )


def _metas(files: Sequence[SourceFile]) -> dict[str, SourceFile]:
    """What stands beside sub-agents' files, by their ids."""
    return {match[1]: file for file in files if (match := _META_FILE.fullmatch(file.plain_name))}


def _wants(name: str) -> bool:
    return name.endswith(".jsonl") or _META_FILE.fullmatch(name) is not None


FORMAT = Format.of_parts(_wants, Parts(together, thread), VERSION)
