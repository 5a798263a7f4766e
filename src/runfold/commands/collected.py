"""What a batch has collected and not stored, and how the log is read with it: as if it were recorded after everything else."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from runfold.commands.stored_parts import StoredParts
from runfold.domain.event import Event, is_of_type
from runfold.domain.recorded import Recorded
from runfold.store.codec import Row, StreamKey
from runfold.store.datastore import Datastore
from runfold.store.reading.reader import LATEST
from runfold.store.reading.stream_parts import StreamPart
from runfold.store.reading.tenant_reader import TREE_TYPES, TenantReader
from runfold.store.unlocked import Row as StoredRow

_AFTER_ALL = 2**61
_TREE = ""
"""No stream has this name."""


class Collected:
    """The events of a session, and which of them are a stream's. They grow while it goes on."""

    def __init__(self, rows: Sequence[Row], events: Sequence[Event], clock: Callable[[], datetime]) -> None:
        """`events` has the event of each row."""
        self._rows, self._events, self._clock = rows, events, clock
        self._places: dict[str, list[int]] = {}
        """Where the events of a stream stand among all; those that shape a tree under `_TREE`."""
        self._placed = 0
        """How many have a place there: they get it when somebody looks."""

    def all(self) -> Iterator[Recorded]:
        """Return all of them, as if they were recorded now."""
        return self._at(range(len(self._rows)))

    def of(self, stream: str) -> Iterator[Recorded]:
        """Return those of one stream."""
        return self._at(self.places_of(stream))

    def of_tree(self, after: int = 0) -> Iterator[Recorded]:
        """Return those that shape a tree, of all threads, after so many of them."""
        return self._at(self.places_of(_TREE)[after:])

    def places_of(self, stream: str) -> Sequence[int]:
        """Return where the events of a stream stand among all."""
        for place in range(self._placed, len(self._rows)):
            row = self._rows[place]
            self._places.setdefault(row.stream, []).append(place)
            if row.type in TREE_TYPES:
                self._places.setdefault(_TREE, []).append(place)
        self._placed = len(self._rows)
        return self._places.get(stream, ())

    def _at(self, places: Iterable[int]) -> Iterator[Recorded]:
        now = self._clock()
        for place in places:
            row, event = self._rows[place], self._events[place]
            yield Recorded(
                _AFTER_ALL + place,
                row.stream,
                row.version,
                event,
                row.event_id,
                row.tenant_id,
                row.thread_id,
                now,
                row.schema_version,
                row.context,
                row.metadata,
            )


class ReaderWithNew(TenantReader):
    """Reads the log as it will be once a batch is stored.

    It knows nothing of the batch, whose session reads through it: in a circle, what was collected would stay in memory until
    somebody looks for circles.
    """

    collected: Collected
    """What stands after all that is recorded."""

    def __init__(
        self, datastore: Datastore, tenant_id: str, parts: StoredParts, is_unstored: Callable[[StreamKey], bool] | None
    ) -> None:
        """`parts` are on their way to the log; of streams that are unstored the log is not asked."""
        super().__init__(datastore, tenant_id)
        self._parts, self.is_unstored = parts, is_unstored

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> Sequence[StoredRow]:
        """Do what `Reader.rows` says, with all that was submitted. Raises LedgerError."""
        self._parts.wait()
        return super().rows(query, parameters)

    def stream(
        self,
        stream: str,
        *,
        after_version: int = 0,
        up_to_version: int = LATEST,
        up_to: int = LATEST,
        types: tuple[str, ...] = (),
    ) -> Iterator[Recorded]:
        """Return a stream's events in order, the collected ones last."""
        if not self._has_nothing_of(stream):
            yield from super().stream(stream, after_version=after_version, up_to_version=up_to_version, up_to=up_to, types=types)
        for recorded in self.collected.of(stream):
            wanted = not types or any(is_of_type(recorded.type, name) for name in types)
            if after_version < recorded.version <= up_to_version and wanted:
                yield recorded

    def streams(self, parts: Iterable[StreamPart], types: tuple[str, ...] = ()) -> Iterator[Recorded]:
        """Return parts of streams, one after the other, the collected events of each last."""
        for is_stored, some in groupby(parts, lambda part: self._is_stored(part.stream)):
            if is_stored:
                yield from super().streams(some, types)
            else:
                for part in some:
                    yield from self._of_part(part, types)

    def tree(self, thread_id: str, *, after: int = 0, up_to: int = LATEST) -> list[Recorded]:
        """Return the events that shape a thread's tree, the collected ones last."""
        stored = self.recorded_tree(thread_id, after, up_to)
        return stored + [new for new in self.collected.of_tree() if new.thread_id == thread_id]

    def recorded_tree(self, thread_id: str, after: int = 0, up_to: int = LATEST) -> list[Recorded]:
        """Return those of them that the log has."""
        return [] if self._has_nothing_of(thread_id) else super().tree(thread_id, after=after, up_to=up_to)

    def _is_stored(self, stream: str) -> bool:
        """Return whether the log alone has a stream."""
        return not self.collected.places_of(stream) and not self._has_nothing_of(stream)

    def _has_nothing_of(self, stream: str) -> bool:
        return self.is_unstored is not None and self.is_unstored((self.tenant, stream))


def is_of_new_thread(new_thread: str, key: StreamKey) -> bool:
    """Return whether a stream begins with a new thread: a run or an approval is of it; another thread may be there."""
    return key[1] == new_thread or not key[1].startswith("thread_")
