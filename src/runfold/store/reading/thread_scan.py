"""One thread looked through by the database: what is counted or picked out of it does not travel, so no thread is too long."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from runfold.domain.recorded import Recorded
from runfold.store.codec import COLUMNS, unread
from runfold.store.queries import filled, named_queries
from runfold.store.reading.filter import bounded_query
from runfold.store.reading.reader import PAGE
from runfold.store.reading.tenant_reader import TenantReader
from runfold.store.reading.which_event import ask_about_events

_WITHIN = """(thread_id, tenant_id, notification_id) > (%b, %b, %b)
   AND (thread_id, tenant_id, notification_id) <= (%b, %b, %b)
   AND (%b::jsonb IS NULL OR originator_version <= (%b::jsonb ->> originator_id)::bigint) IS TRUE"""
"""After one position of a thread and up to another; where it is asked by when things happened, what had happened."""
_ALONG = f"{_WITHIN}\n   AND (notification_id <= (%b::jsonb ->> (context ->> 'run_id'))::bigint) IS TRUE"
"""The same along a path: of each of its runs up to the position at which the path leaves it."""

_QUERIES = {
    name: filled(query, within=_WITHIN, along=_ALONG, columns=COLUMNS)
    for name, query in named_queries("runfold.store.reading", "thread_scan.sql").items()
}

Path = Mapping[str, int]
"""The runs of a path, each with the position at which the path leaves it."""


class Place(NamedTuple):
    """Where an event of some type is."""

    position: int
    type: str


class TypeInStretch(NamedTuple):
    """The events of one type in one stretch of a thread."""

    stretch: int
    type: str
    events: int
    first_position: int
    last_position: int
    first_at: datetime | None
    last_at: datetime | None
    idle: timedelta | None
    """The longest time that passed before one of them; None where nobody told it."""


class RunEnd(NamedTuple):
    """How far a run of a thread is."""

    run_id: str
    events: int
    last_position: int
    last_of_types: int | None
    last_beside: int | None
    """The last of all types but some."""


class ThreadScan:
    """A thread as it stood at a position."""

    def __init__(self, reader: TenantReader, thread_id: str, up_to: int) -> None:
        self.reader = reader
        self.thread_id = thread_id
        self._up_to = up_to
        self._happened = None if reader.happened is None else Jsonb(reader.happened.of_thread(thread_id))

    def positions_of(self, versions: Mapping[str, int]) -> dict[str, int]:
        """Where streams were at versions of theirs; a stream that has no such version is left out."""
        if not versions:
            return {}
        found = self.reader.rows(_QUERIES["positions of versions"], [list(versions), list(versions.values()), self.reader.tenant])
        return dict(found)

    def count(self, path: Path, types: Sequence[str], position: int) -> tuple[int, int]:
        """How many events of some types a path holds, and how many of them up to a position."""
        ((count, until),) = self.reader.rows(_QUERIES["counted"], [position, *self._along(path), list(types)])
        return count, until

    def places(self, path: Path, types: Sequence[str], *, skip: int, limit: int) -> list[Place]:
        """Some of the events of some types along a path, by their number."""
        query = filled(_QUERIES["places"], whether="= ANY")
        return [Place(*row) for row in self.reader.rows(query, [*self._along(path), list(types), limit, skip])]

    def others(self, path: Path, types: Sequence[str], *, after: int, before: int, limit: int) -> list[Place]:
        """At most so many events of all other types along a path, between two positions."""
        query = filled(_QUERIES["places"], whether="<> ALL")
        along = self._along(path, after, min(before - 1, self._up_to))
        return [Place(*row) for row in self.reader.rows(query, [*along, list(types), limit, 0])]

    def events_at(self, positions: Sequence[int]) -> list[Recorded]:
        """The events at some positions, in order: as many of them as memory should hold."""
        query = bounded_query("notification_id = ANY(%b::bigint[])", ["notification_id"])
        return [unread(row) for row in self.reader.rows(query, [list(positions), len(positions)])]

    def later(self, path: Path, types: Sequence[str], ids: Sequence[str], *, after: int) -> Iterator[Recorded]:
        """What happened after a position, along a path, to what has one of some ids, and the bad ends of its runs."""
        asked = [list(types), Jsonb(dict(path)), list(ids), list(ids), list(ids), PAGE]
        is_last = False
        while not is_last:
            found = self.reader.rows(_QUERIES["later"], [*self._within(after, self._up_to), *asked])
            yield from map(unread, found)
            is_last, after = len(found) < PAGE, found[-1][0] if found else after

    def stretches(self, number: int) -> list[TypeInStretch]:
        """The thread in at most so many stretches of equally many events; a thread of fewer events in one for each.

        Raises UnreadableTime, UnreadableEvent.
        """

        def ask(up_to: int) -> Sequence[tuple[Any, ...]]:
            return self.reader.rows(_QUERIES["stretches"], [number, *self._within(0, up_to)])

        found = ask_about_events(self.reader, ask, 0, self._up_to)
        return sorted((TypeInStretch(*row) for row in found), key=lambda each: (each.stretch, each.first_position))

    def runs(self, types: Sequence[str], beside: Sequence[str]) -> list[RunEnd]:
        """How far each run of the thread is: its last event, its last of some types, and its last of all types beside others."""
        asked = [list(types), list(beside), *self._within(0, self._up_to)]
        return [RunEnd(*row) for row in self.reader.rows(_QUERIES["runs"], asked)]

    def _within(self, after: int, up_to: int) -> list[Any]:
        thread = [self.thread_id, self.reader.tenant]
        return [*thread, after, *thread, up_to, self._happened, self._happened]

    def _along(self, path: Path, after: int = 0, up_to: int | None = None) -> list[Any]:
        return [*self._within(after, self._up_to if up_to is None else up_to), Jsonb(dict(path))]
