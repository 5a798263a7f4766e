"""A whole thread as one small picture: a band for each kind of event, a mark where there are some, pauses left out."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from runfold.queries.threads.items import Stretches, ThreadStretch


class Kind(NamedTuple):
    """A band: which events it has marks for, and which of them are counted."""

    name: str
    marked: tuple[str, ...]
    """How the types begin."""
    counted: tuple[str, ...]


_TROUBLE = ("problem.reported", "constraint.violated", "run.failed", "run.stuck", "tool.failed")
KINDS: Mapping[str, Kind] = {
    "message": Kind("message", ("message.",), ("message.added",)),
    "tool": Kind("tool call", ("tool.",), ("tool.called",)),
    "approval": Kind("approval", ("approval.", "run.waiting"), ("approval.requested",)),
    "decision": Kind("decision", ("decision.",), ("decision.made",)),
    "problem": Kind("problem", ("problem.", *_TROUBLE[1:]), _TROUBLE),
    "run": Kind("run", ("run.created", "run.completed", "run.cancelled", "run.failed", "context.", "thread."), ("run.created",)),
}
HEIGHT, WIDTH = 12, 4
"""Of a mark's place in the picture, in units of its own: the picture is as wide as the page lets it be."""
MOST_PAUSES = 12
SHORTEST_PAUSE_NS = 60 * 10**9


class Mark(NamedTuple):
    """Events of one band in one stretch."""

    x: int
    y: int
    strength: str
    """`few`, `some` or `many`."""


class Band(NamedTuple):
    """A kind of events."""

    name: str
    kind: str
    events: int
    y: int
    marks: list[Mark]


class Pause(NamedTuple):
    """A time in which nothing happened."""

    x: int
    length_ns: int


class Strip(NamedTuple):
    """The picture, as a template draws it."""

    width: int
    height: int
    bands: list[Band]
    pauses: list[Pause]
    """The longest ones."""
    pauses_in_all: int
    longest_pause_ns: int | None
    now: int
    """How far the moment is that is shown."""
    stops: list[int]
    """The positions at which stretches end: where the slider can stop."""
    at_stop: int
    """The stop that the moment is at or before."""


def strip(found: Stretches, position: int) -> Strip:
    """The picture of a thread, seen from a position."""
    stretches = found.stretches
    bands: list[Band] = []
    for name, kind in KINDS.items():
        y = len(bands) * HEIGHT
        counts = [_count(stretch, kind.marked) for stretch in stretches]
        if any(counts):
            counted = sum(_count(stretch, kind.counted) for stretch in stretches)
            bands.append(Band(kind.name, name, counted, y, _marks(counts, y)))
    stops = [stretch.last_position for stretch in stretches]
    passed = sum(stop <= position for stop in stops)
    long = _pauses(stretches)
    pauses = sorted(sorted(long, key=lambda pause: -pause.length_ns)[:MOST_PAUSES])
    return Strip(
        width=max(len(stretches), 1) * WIDTH,
        height=max(len(bands), 1) * HEIGHT,
        bands=bands,
        pauses=pauses,
        pauses_in_all=len(long),
        longest_pause_ns=max((pause.length_ns for pause in pauses), default=None),
        now=(passed if passed == len(stops) or position < stretches[passed].first_position else passed + 1) * WIDTH,
        stops=stops,
        at_stop=min(passed if passed == 0 or stops[passed - 1] != position else passed - 1, max(len(stops) - 1, 0)),
    )


def _count(stretch: ThreadStretch, beginnings: tuple[str, ...]) -> int:
    return sum(each.count for each in stretch.types if each.type.startswith(beginnings))


def _marks(counts: Sequence[int], y: int) -> list[Mark]:
    most = max(counts)
    return [
        Mark(number * WIDTH, y, "many" if count * 3 > most * 2 else "some" if count * 3 > most else "few")
        for number, count in enumerate(counts)
        if count
    ]


def _pauses(stretches: Sequence[ThreadStretch]) -> list[Pause]:
    return [
        Pause(number * WIDTH, stretch.idle_ns)
        for number, stretch in enumerate(stretches)
        if stretch.idle_ns is not None and stretch.idle_ns >= SHORTEST_PAUSE_NS
    ]
