"""Read models as they stood: what belongs to some threads is folded on the spot, the rest is read from a schema of the past.

A thread's past costs what the thread costs, however long the ledger is. Where its events are more than memory should hold, it
is answered as a question about the whole ledger. Who may make a schema for that by asking, is not decided here.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from runfold.domain.recorded import Recorded
from runfold.errors import LedgerUnavailable, UsageError
from runfold.projections.fold import Standings, naming_the_event, take_in
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import named
from runfold.projector.tables.table import Table
from runfold.queries.sources.read_models import ReadModels, SchemaGone
from runfold.queries.sources.snapshot import Snapshot
from runfold.store.reading.filter import Filter
from runfold.store.reading.tenant_reader import TenantReader

MOST_EVENTS = 1_000_000
"""How many events are folded for one question about the whole past, unless the caller allows more."""
MOST_OF_THREADS = 200_000
"""How many events of threads are folded in memory for one question."""
_PIECE = 1_000

Whole = Callable[[Sequence[str], int, int], str]
"""The schema that holds some read models as of a position, made from at most so many events. Raises LedgerError."""


class _TooMany(Exception):
    """More events than memory should hold."""


def not_of_a_handle(_names: Sequence[str], _position: int, _most_events: int) -> str:
    """A handle answers no question about the whole past. Raises UsageError."""
    raise UsageError("the whole past is asked of `ledger.at(…)`, and not of a handle; ask it there")


class Past:
    """The read models as of a position."""

    def __init__(
        self,
        reader: TenantReader,
        read_models: ReadModels,
        up_to: int,
        whole: Whole = not_of_a_handle,
        most_events: int = MOST_EVENTS,
    ) -> None:
        self._reader = reader
        self._read_models = read_models
        self._up_to = up_to
        self._whole = whole
        self._most_events = most_events

    @contextlib.contextmanager
    def of_threads(self, names: Sequence[str], threads: Sequence[str]) -> Iterator[Snapshot]:
        """The rows that the events of some threads lead to, in no table: a standby answers too. Raises PoisonEvent."""
        try:
            folded = {projection: _folded(projection, self._pieces(projection, threads)) for projection in map(named, names)}
        except _TooMany:
            with self.of_all(names) as snapshot:
                yield snapshot
            return
        given = {projection.name: Table(projection, 0).given(rows) for projection, rows in folded.items()}
        with self._read_models.of_given(given, self._up_to) as snapshot:
            yield snapshot

    def of_rows(self, projection: AnyProjection, rows: Standings) -> contextlib.AbstractContextManager[Snapshot]:
        """Rows that were folded already, in no table."""
        return self._read_models.of_given({projection.name: Table(projection, 0).given(rows)}, self._up_to)

    @contextlib.contextmanager
    def of_all(self, names: Sequence[str]) -> Iterator[Snapshot]:
        """The rows of the whole ledger as it stood. Raises MomentNotPrepared or UsageError where nothing holds them."""
        if self._up_to == 0:
            with self.of_threads(names, ()) as snapshot:
                yield snapshot
            return
        with contextlib.ExitStack() as stack:
            yield self._entered(stack, names)

    def _entered(self, stack: contextlib.ExitStack, names: Sequence[str]) -> Snapshot:
        schema = self._whole(names, self._up_to, self._most_events)
        try:
            return stack.enter_context(self._read_models.of_schema(schema, self._up_to, names))
        except SchemaGone:  # dropped just now, by who did not know that it is asked for again
            schema = self._whole(names, self._up_to, self._most_events)
        try:
            return stack.enter_context(self._read_models.of_schema(schema, self._up_to, names))
        except SchemaGone:
            fact = f"the schema {schema} was made, and is not here: it was dropped, or a standby has yet to take it over"
            raise LedgerUnavailable(fact, "ask again in a moment") from None

    def _pieces(self, projection: AnyProjection, threads: Sequence[str]) -> Iterator[list[Recorded]]:
        """The events that a read model looks at, a few at a time: those that were folded need not be kept."""
        types, count = tuple(event.type for event in projection.events), 0
        for thread_id in dict.fromkeys(threads):
            piece: list[Recorded] = []
            wanted = Filter(thread_id=thread_id, tenant_id=self._reader.tenant, types=types)
            for recorded in self._reader.events(wanted, up_to=self._up_to):
                piece.append(recorded)
                count += 1
                if count > MOST_OF_THREADS:
                    raise _TooMany
                if len(piece) == _PIECE:
                    yield piece
                    piece = []
            yield piece


def _folded(projection: AnyProjection, pieces: Iterable[Sequence[Recorded]]) -> Standings:
    rows: Standings = {}
    with naming_the_event():
        for piece in pieces:
            take_in(projection, piece, rows)
    return rows
