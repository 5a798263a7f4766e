"""Requests and streams of events → conversations, and the turns of each in their order.

What tells a conversation from others is its threadId, and a turn its runId. Where there are none, or only the placeholders of
a test's snapshot, it is the path of its files, and the number of the turn in their names. So it makes no difference in which
order files are given, in how many imports, or where a folder is when they are.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from runfold.ids import stable_id
from runfold.importers.ag_ui.files import Source

FORMAT, VERSION = "ag-ui", 2
_NO_NUMBER, _NO_TIME = 2**31, "~"


@dataclass
class TurnSources:
    """What there is of one turn: what the client sent, and what it got."""

    key: tuple[str, ...]
    number: int = _NO_NUMBER
    request: Source | None = None
    events: Source | None = None

    @property
    def sources(self) -> list[Source]:
        """What there is of it."""
        return [source for source in (self.request, self.events) if source is not None]

    @property
    def is_numbered(self) -> bool:
        """Whether its files are named after its number."""
        return self.number != _NO_NUMBER

    @property
    def parent(self) -> str:
        """The run that it says it comes from; empty where it does not say."""
        return next((source.started.parent_run_id for source in self.sources if source.started.parent_run_id), "")

    @property
    def source_ids(self) -> tuple[str, str]:
        """The ids of its thread and run to the letter, for whoever looks for them in the source."""
        first = self.sources[0].started
        return first.thread_id, first.run_id

    def order(self) -> tuple[int, str, int, str, int]:
        """Where it stands among the turns of its conversation; one without a time comes after those that have one."""
        at = next((source.at for source in self.sources if source.at is not None), None)
        sent = self.request.messages if self.request else 0
        return (self.number, at.isoformat() if at else _NO_TIME, sent, self.sources[0].path, self.sources[0].first)


@dataclass
class Group:
    """The turns of one conversation."""

    key: tuple[str, ...]
    turns: list[TurnSources] = field(default_factory=list)

    @property
    def thread_id(self) -> str:
        """The same for the same conversation, always."""
        return stable_id("thread", FORMAT, str(VERSION), *self.key)

    def run_id(self, turn_key: tuple[str, ...]) -> str:
        """The same for the same turn, always."""
        return stable_id("run", FORMAT, str(VERSION), *self.key, *turn_key)

    @property
    def former_ids(self) -> tuple[str, ...]:
        """The threads that the first version of the importer made of these files."""
        names = {source.former_name or source.path for turn in self.turns for source in turn.sources}
        return tuple(sorted(stable_id("thread", FORMAT, name) for name in names))


def grouped(sources: Iterable[Source]) -> Iterator[Group]:
    """The conversations that these are of."""
    listed = sorted(sources, key=lambda source: (source.path, source.first, source.digest))
    threads = _threads_of_names(listed)
    groups: dict[tuple[str, ...], list[Source]] = {}
    for source in listed:
        groups.setdefault(_conversation(source, threads), []).append(source)
    for key, found in groups.items():
        yield Group(key, _turns(found))


def _threads_of_names(sources: list[Source]) -> dict[tuple[str, int], str]:
    """The thread of each turn that files are named after: a file that names no thread is of it too."""
    return {
        (source.name.conversation, source.name.number): source.thread_id for source in sources if source.name and source.thread_id
    }


def _conversation(source: Source, threads: dict[tuple[str, int], str]) -> tuple[str, ...]:
    if source.name is not None and (thread := threads.get((source.name.conversation, source.name.number))):
        return ("thread", thread)
    return ("thread", source.thread_id) if source.thread_id else ("path", source.place)


def _turns(sources: list[Source]) -> list[TurnSources]:
    turns: dict[tuple[str, ...], list[TurnSources]] = {}
    named: dict[tuple[str, int], TurnSources] = {}
    for source in sorted(sources, key=lambda source: source.kind, reverse=True):
        same_name = named.get((source.name.conversation, source.name.number)) if source.name else None
        if same_name is not None and _joins(same_name, source):
            continue
        key = _turn_key(source)
        if any(_joins(turn, source) for turn in turns.get(key, ())):
            continue
        others = turns.setdefault(key, [])
        turn = TurnSources((*key, source.digest) if others else key, source.name.number if source.name else _NO_NUMBER)
        others.append(turn)
        _joins(turn, source)
        if source.name is not None:
            named.setdefault((source.name.conversation, source.name.number), turn)
    found = sorted((turn for same in turns.values() for turn in same), key=TurnSources.order)
    return _parents_first(found)


def _turn_key(source: Source) -> tuple[str, ...]:
    if source.run_id:
        return ("run", source.run_id)
    if source.name is not None:
        return ("turn", str(source.name.number))
    return ("path", source.path, str(source.first))


def _joins(turn: TurnSources, source: Source) -> bool:
    """Take a source in that is of the turn: its missing half, what it has already, or more of it. False for anything else."""
    if source.kind == "request":
        if turn.request is not None:
            return turn.request.digest == source.digest
        turn.request = source
        return True
    has = turn.events
    if has is None or source.marks.startswith(has.marks):
        turn.events = source
        return True
    return has.marks.startswith(source.marks)


def _parents_first(turns: list[TurnSources]) -> list[TurnSources]:
    """The same order, but each after the run that it says it comes from."""
    waiting = {turn.key: turn for turn in turns}
    ordered: list[TurnSources] = []
    for turn in turns:
        chain: list[TurnSources] = []
        at: TurnSources | None = turn
        while at is not None and at.key in waiting:
            chain.append(waiting.pop(at.key))
            at = waiting.get(("run", at.parent)) if at.parent else None
        ordered.extend(reversed(chain))
    return ordered
