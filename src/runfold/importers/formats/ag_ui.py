"""AG-UI conversations: for each turn what the client sent (`RunAgentInput`) and the events that it got.

Events are a JSON array, one a line, or a captured stream of `data:` lines; a file may hold several runs. A conversation is a
thread, a turn is a run. `grouping` says which files belong together, `turns` what becomes of each event.
"""

from collections.abc import Iterator, Sequence

from runfold.domain.values import digest
from runfold.importers.ag_ui.files import EventFiles, Source, sources_in
from runfold.importers.ag_ui.grouping import VERSION, Group, grouped
from runfold.importers.ag_ui.turns import Plan
from runfold.importers.format import Format, SourceThread
from runfold.importers.sources import Report, SourceFile

_SUFFIXES = (".json", ".jsonl", ".ndjson", ".sse")


def read(files: Sequence[SourceFile], report: Report) -> Iterator[SourceThread]:
    """The conversations in files, one by one."""
    sources: list[Source] = []
    for file in files:
        sources.extend(sources_in(file, report))
    events = EventFiles(report)
    for group in grouped(sources):
        plan = Plan(group, events)
        if plan.conversation.runs:
            yield _thread(group, plan)


def _thread(group: Group, plan: Plan) -> SourceThread:
    found = [source for turn in group.turns for source in turn.sources]
    ids = dict.fromkeys(turn.source_ids[0] for turn in group.turns)
    return SourceThread(
        group.thread_id,
        plan.conversation.title,
        digest("\n".join(sorted(source.digest for source in found))),
        tuple(source_id for source_id in ids if source_id) or (found[0].place,),
        sum(source.size for source in found),
        plan.record,
        replaces=group.former_ids,
        files=tuple(dict.fromkeys(source.file for source in found)),
    )


FORMAT = Format(wants=lambda name: name.endswith(_SUFFIXES), read=read, version=VERSION)
