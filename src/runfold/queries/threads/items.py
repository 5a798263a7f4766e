"""A thread in windows: its conversation item by item, its events in stretches; straight from the log.

However long a thread is, each of these asks the database as many questions, and takes from it no more than it shows.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated

from runfold.domain.recorded import Recorded
from runfold.domain.thread import MAIN
from runfold.errors import RunNotFound, ThreadNotFound
from runfold.history.items import CLOSING, KINDS, LATER, EventPlace, ItemFold, ThreadItem, ThreadItems, ids_of, usage_lines
from runfold.history.path import path, thread_tree
from runfold.history.said import redactions
from runfold.history.tree import Tree
from runfold.history.views import View
from runfold.queries.lists.parameters import AT_VERSION, Parameter
from runfold.queries.question import question
from runfold.queries.sources.source import LocalSource
from runfold.store.cursor import MOST_POSITION
from runfold.store.reading.reader import LATEST
from runfold.store.reading.thread_scan import Path, ThreadScan

MOST_ITEMS = 200
FEW_ITEMS = 100
MOST_STRETCHES = 1_000
_MOST_OTHERS = 2_000
"""How many events that begin no item are told of a window."""
_FIRST = Parameter("The number of the first item, from 1; the last items if not given.", least=1, most=MOST_POSITION)
_AROUND = Parameter("The items about this position, instead of a number.", least=0, most=MOST_POSITION)
_MOST = Parameter(f"How many items at most, up to {MOST_ITEMS}.", least=1, most=MOST_ITEMS)
_NUMBER_OF = Parameter(f"How many stretches at most, up to {MOST_STRETCHES}.", least=1, most=MOST_STRETCHES)


class TypeCount(View):
    """How many events of a type there are in a stretch, and where the first and the last are."""

    type: str
    count: int
    first_position: int
    last_position: int


class ThreadStretch(View):
    """Some events of a thread that follow on each other."""

    first_position: int
    last_position: int
    events: int
    types: tuple[TypeCount, ...]
    first_at: datetime | None
    """By the clocks of those who told it, or the ledger's where none of the thread's events has a time; null if nobody did."""
    last_at: datetime | None
    idle_ns: int | None
    """The longest time in which nothing happened before one of its events; null where nobody told it."""


class Stretches(View):
    """A thread's events in stretches of equally many, so that a picture of all of them stays small."""

    thread_id: str
    events: int
    stretches: tuple[ThreadStretch, ...]
    as_of: int


@question
def items(
    source: LocalSource,
    thread_id: str,
    run_id: Annotated[str | None, Parameter("The conversation as of this run instead of a head's.")] = None,
    *,
    head: Annotated[str, Parameter("The conversation as of the run that this head points at.")] = MAIN,
    at_version: Annotated[int | None, AT_VERSION] = None,
    first: Annotated[int | None, _FIRST] = None,
    around: Annotated[int | None, _AROUND] = None,
    most: Annotated[int, _MOST] = FEW_ITEMS,
) -> ThreadItems:
    """A window of the conversation along the path of a run: messages, tool calls, approvals, decisions, problems and so on.

    Each is as it was then, with its number in the whole conversation. Raises ThreadNotFound, RunNotFound, UsageError.
    """
    pinned = source.pinned()
    pinned.first(thread_id, ThreadNotFound)
    tree = thread_tree(pinned.reader, thread_id, pinned.up_to)
    end = tree.heads.get(head) if run_id is None else run_id
    if end is None:
        return ThreadItems(thread_id=thread_id, run_id=None, path=(), count=0, first=1, items=(), as_of=pinned.up_to)
    if end not in tree.nodes:
        raise RunNotFound.in_thread(end, thread_id, pinned.first(end, RunNotFound).thread_id)
    scan = ThreadScan(pinned.reader, thread_id, pinned.up_to)
    along = _left_at(scan, tree, end, LATEST if at_version is None else at_version, pinned.up_to)
    count, until = scan.count(along, tuple(KINDS), pinned.up_to if around is None else around)
    start = _start(count, most, first, None if around is None else until)
    found, is_cut = _window(scan, along, start, most)
    return ThreadItems(
        thread_id=thread_id,
        run_id=end,
        path=tuple(along),
        count=count,
        first=start,
        items=tuple(found),
        is_cut=is_cut,
        as_of=pinned.up_to,
    )


@question
def stretches(
    source: LocalSource,
    thread_id: str,
    *,
    number_of: Annotated[int, _NUMBER_OF] = 240,
) -> Stretches:
    """A thread's events in stretches of equally many: how many of each type, where, and from when to when.

    Raises ThreadNotFound.
    """
    pinned = source.pinned()
    pinned.first(thread_id, ThreadNotFound)
    told: dict[int, list[tuple[TypeCount, datetime | None, datetime | None, int | None]]] = {}
    for each in ThreadScan(pinned.reader, thread_id, pinned.up_to).stretches(number_of):
        counted = TypeCount(
            type=each.type, count=each.events, first_position=each.first_position, last_position=each.last_position
        )
        idle = None if each.idle is None else (each.idle.days * 86_400 + each.idle.seconds) * 10**9
        told.setdefault(each.stretch, []).append((counted, each.first_at, each.last_at, idle))
    found = tuple(_stretch(parts) for parts in told.values())
    return Stretches(thread_id=thread_id, events=sum(each.events for each in found), stretches=found, as_of=pinned.up_to)


def _left_at(scan: ThreadScan, tree: Tree, run_id: str, at_version: int, up_to: int) -> dict[str, int]:
    """The runs of a path, root first, each with the position up to which it is on the path."""
    segments = path(tree, run_id, at_version)
    known = scan.positions_of({each.run_id: each.up_to_version for each in segments if each.up_to_version < LATEST})
    return {each.run_id: min(up_to, known.get(each.run_id, up_to)) for each in segments}


def _start(count: int, size: int, first: int | None, until: int | None) -> int:
    """The number of a window's first item: as asked, or so that some item is in its middle, or else of the last window."""
    last = max(count - size + 1, 1)
    if first is not None:
        return first
    return last if until is None else min(max(until - size // 2, 1), last)


def _window(scan: ThreadScan, along: Path, start: int, size: int) -> tuple[list[ThreadItem], bool]:
    """The items from a number on; and whether memory should not hold as many as were asked for."""
    places = scan.places(along, tuple(KINDS), skip=start - 1, limit=size + 1)
    if not places:
        return [], False
    shown = places[:size]
    events = scan.events_at([place.position for place in shown])
    is_cut, shown = len(events) < len(shown), shown[: len(events)]
    begun = events[0].position
    end = places[len(shown)].position if len(places) > len(shown) else LATEST
    known = {recorded.position for recorded in events}
    told = scan.later(along, (*LATER, *CLOSING, "approval.requested"), ids_of(events), after=begun)
    later = [recorded for recorded in told if recorded.position not in known]
    redacted = redactions(scan.reader, scan.thread_id, along, after=begun)
    fold = ItemFold(events, later, _approvals([*events, *later]), redacted)
    found = [fold.item(start + number, recorded) for number, recorded in enumerate(events)]
    return _with_others(scan, along, found, end), is_cut


def _approvals(events: Iterable[Recorded]) -> list[list[Recorded]]:
    """The events of each approval that was asked for among some events."""
    found: dict[str, list[Recorded]] = {}
    for recorded in sorted(events, key=lambda each: each.position):
        if recorded.type == "approval.requested" or recorded.stream in found:
            found.setdefault(recorded.stream, []).append(recorded)
    return list(found.values())


def _with_others(scan: ThreadScan, along: Path, found: Sequence[ThreadItem], end: int) -> list[ThreadItem]:
    """Items with what else was recorded until the next."""
    told = (*KINDS, *LATER)
    others = scan.others(along, told, after=found[0].position, before=min(end, LATEST), limit=_MOST_OTHERS)
    used = scan.events_at([place.position for place in others if place.type.startswith("usage.")])
    bounds = [*(item.position for item in found[1:]), end]
    whole = []
    for item, until in zip(found, bounds, strict=True):
        lines = usage_lines(each for each in used if item.position < each.position < until)
        rest = [
            EventPlace(position=place.position, type=place.type)
            for place in others
            if item.position < place.position < until and not place.type.startswith("usage.")
        ]
        whole.append(item.model_copy(update={"usage": tuple(lines), "others": tuple(rest)}))
    return whole


def _stretch(parts: Sequence[tuple[TypeCount, datetime | None, datetime | None, int | None]]) -> ThreadStretch:
    begun, ended = [each[1] for each in parts if each[1]], [each[2] for each in parts if each[2]]
    idle = [each[3] for each in parts if each[3] is not None]
    return ThreadStretch(
        first_position=min(each[0].first_position for each in parts),
        last_position=max(each[0].last_position for each in parts),
        events=sum(each[0].count for each in parts),
        types=tuple(each[0] for each in parts),
        first_at=min(begun, default=None),
        last_at=max(ended, default=None),
        idle_ns=max(idle, default=None),
    )
