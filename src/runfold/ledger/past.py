"""Read models as they stood: what belongs to one thread is folded on the spot, the rest is read from a schema of the past.

A thread's past costs what the thread costs, however long the ledger is. A schema that holds what is asked for is used; where
there is none it is made, which takes in the whole ledger up to that position, and it is kept for the next question.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence

from runfold.errors import PoisonEvent, RebuildRefused, UsageError
from runfold.ledger.read_models import ReadModels, Snapshot
from runfold.projections.fold import FoldFailed, Standings, take_in
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import named
from runfold.projector import as_of
from runfold.projector.as_of import version_of
from runfold.projector.tables import Table
from runfold.store.epochs import lineage_of
from runfold.store.reader import Filter, TenantReader

MOST_EVENTS = 1_000_000
"""How many events are folded for one question about the whole past, unless the caller allows more."""

Build = Callable[[str, Sequence[str], int], None]
"""Makes a schema with some read models as of a position."""


class Past:
    """The read models as of a position."""

    def __init__(
        self,
        reader: TenantReader,
        read_models: ReadModels,
        up_to: int,
        build: Build | None = None,
        most_events: int = MOST_EVENTS,
    ) -> None:
        self._reader = reader
        self._read_models = read_models
        self._up_to = up_to
        self._build = build
        self._most_events = most_events

    @contextlib.contextmanager
    def of_threads(self, names: Sequence[str], threads: Sequence[str]) -> Iterator[Snapshot]:
        """The rows that the events of some threads lead to, in tables that go away with the answer. Raises PoisonEvent."""
        folded = [(projection, self._fold(projection, threads)) for projection in map(named, names)]
        with self._read_models.passing(self._up_to) as (connection, snapshot):
            for projection, rows in folded:
                table = Table(projection, 0, schema="pg_temp")
                table.create_passing(connection)
                table.fill(connection, rows)
            yield snapshot

    @contextlib.contextmanager
    def of_all(self, names: Sequence[str]) -> Iterator[Snapshot]:
        """The rows of the whole ledger as it stood. Raises UsageError where that would fold more than the caller allows."""
        schema = self._found(names) or self._made(names)
        with self._read_models.of_schema(schema, self._up_to) as snapshot:
            yield snapshot

    def _fold(self, projection: AnyProjection, threads: Sequence[str]) -> Standings:
        rows: Standings = {}
        types = tuple(event.type for event in projection.events)
        try:
            for thread_id in dict.fromkeys(threads):
                wanted = Filter(thread_id=thread_id, tenant_id=self._reader.tenant, types=types)
                take_in(projection, self._reader.events(wanted, up_to=self._up_to), rows)
        except FoldFailed as error:
            reason = f"{type(error.cause).__name__}: {error.cause}"
            raise PoisonEvent(projection.name, error.recorded.position, error.recorded.type, reason) from error
        return rows

    def _found(self, names: Sequence[str]) -> str | None:
        lineage = lineage_of(self._reader, self._reader.head())
        wanted = [named(name) for name in names]
        with self._reader.datastore.reading(self._reader.tenant) as connection:
            known = as_of.schemas(connection)
        return next(
            (
                made.schema
                for made in known
                if (made.position, made.run_id) == (self._up_to, None) and made.answers(wanted, lineage)
            ),
            None,
        )

    def _made(self, names: Sequence[str]) -> str:
        if self._build is None:
            raise UsageError("the whole past is asked of `ledger.at(…)`, and not of a handle; ask it there")
        if self._up_to > self._most_events:
            raise UsageError(
                f"this folds {self._up_to:,} events, and {self._most_events:,} are allowed; give `ledger.at(…, most_events=…)` "
                f"more, or make a schema with `runfold rebuild {' '.join(names)} --as-of {self._up_to} --into NAME`",
                events=self._up_to, most_events=self._most_events,
            )  # fmt: skip
        of = " ".join([str(self._reader.head().epoch), *sorted(version_of(named(name)) for name in names)])
        schema = f"past_{self._up_to}_{hashlib.sha256(of.encode()).hexdigest()[:6]}"
        try:
            self._build(schema, names, self._up_to)
        except RebuildRefused:  # another made it at the same time
            if self._found(names) is None:
                raise
        return schema
