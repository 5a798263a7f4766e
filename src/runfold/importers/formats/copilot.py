"""Sessions of the GitHub Copilot CLI: `~/.copilot/session-state`, with `<session>/events.jsonl` or `<session>.jsonl`.

A session is a thread, told apart by the id of its first event. Each prompt and all that followed until the agent's turn ended
is a run, a sub-agent is a run of the call that started it. What `session.shutdown` says of tokens is a session's, and no
call's: between two turns it stands in a run of its own. `copilot/reading` reads one file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from runfold.domain.values import digest
from runfold.errors import InvalidEvent
from runfold.ids import stable_id
from runfold.importers.copilot.reading import Reader
from runfold.importers.copilot.records import FORMAT as NAME
from runfold.importers.copilot.records import VERSION, Head, Watch, head_of, record_of
from runfold.importers.format import Format, Parts, SourceThread, still_one
from runfold.importers.sections import sections
from runfold.importers.sources import Report, SourceFile, guarded, lines, why
from runfold.importers.tally import Problem, Reports
from runfold.importers.turns.recording import record
from runfold.importers.turns.turn import Session
from runfold.importers.turns.values import mapping

_PLACE = ("cwd", "gitRoot", "branch", "repository")


def together(files: Sequence[SourceFile], _: Report) -> Iterator[Sequence[SourceFile]]:
    """The files of each session."""
    parts = [part for file in files for part in sections(file, Watch)]
    return ([head.file for head in members] for members in _members(parts).values())


def _members(files: Sequence[SourceFile]) -> dict[str, list[Head]]:
    """The files of each session, by its first event."""
    found: dict[str, list[Head]] = {}
    for file in files:
        head = file.looked_at("head", partial(head_of, file))
        found.setdefault(head.root, []).append(head)
    return found


def thread(files: Sequence[SourceFile], report: Report) -> SourceThread | None:
    """The session in files that belong together; None where nothing has happened yet."""
    root, heads = still_one(_members(files).items(), report)
    ids = tuple(dict.fromkeys(head.session_id for head in heads if head.session_id is not None)) or (root,)
    session = Session(stable_id("thread", NAME, str(VERSION), root), NAME, ids[0], ids, _about(heads[0]))
    digests: set[str] = set()
    for head in heads:
        _read(root, head, session, digests, report)
    if not session.turns:
        return None
    return SourceThread(
        session.thread_id,
        ids[0],
        digest("\n".join(sorted(digests))),
        ids,
        sum(head.file.share for head in heads),
        partial(record, session),
        replaces=(stable_id("thread", NAME, root),),
        files=tuple(head.file for head in heads),
    )


def _read(root: str, head: Head, session: Session, digests: set[str], report: Report) -> None:
    reports, known, at = Reports(), 0, None
    reader = Reader(root, session, reports.take)
    try:
        for piece in lines(head.file, reports.take):
            if not known and reports.is_strange:
                break
            digests.add(piece.digest)
            with guarded(piece, reports.take):
                event = record_of(piece, reader.fault(piece))
                known, at = known + 1, event.at or at
                reader.take(replace(event, at=at))
    except InvalidEvent as error:
        reports.take(Problem(head.file.name, None, why(error)))
    if not known:
        reports.keep_first("an event of the Copilot CLI")
    reports.tell(report)


def _about(head: Head) -> dict[str, object]:
    place = mapping(head.about.get("context"))
    about = {"copilot_version": head.about.get("copilotVersion"), "producer": head.about.get("producer")}
    about |= {name: place.get(name) for name in _PLACE}
    return {name: value for name, value in about.items() if isinstance(value, str)}


FORMAT = Format.of_parts(lambda name: name.endswith(".jsonl"), Parts(together, thread), VERSION)
