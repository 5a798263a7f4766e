"""How a ledger's read models are folded, looked after, folded anew, and folded as of the past into schemas of their own."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from runfold.errors import DropRefused, LedgerUnavailable, ProjectionStopped, UsageError
from runfold.history.path import path, thread_tree
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import chosen, known
from runfold.projector.backlog import Backlog, backlog_of
from runfold.projector.connection import connect
from runfold.queries.reading import Reading
from runfold.store.datastore import Connection, Datastore, unavailable
from runfold.store.reading.reader import LATEST

if TYPE_CHECKING:  # what a ledger is rarely asked for is loaded then
    from runfold.projector.past.as_of import PastSchema
    from runfold.projector.past.branch import Branch
    from runfold.projector.rebuilding.rebuilt import Rebuilt, StageProgress
    from runfold.projector.status import ProjectionStatus
    from runfold.projector.worker import Progress, Worker


class ReadFirst(NamedTuple):
    """What there was to fold before read models were read, and whether that was done."""

    backlog: Backlog
    folded: bool
    why_not: LedgerUnavailable | None = None


class Folding:
    """Makes the read models of a ledger, and looks after them."""

    def __init__(self, projector: Callable[[], Datastore], reading: Reading, on_read: int = 0, *, tries_out: bool = True) -> None:
        """`projector` gives connections as a role that may fold read models; `on_read` is how much a reader may fold.

        With `tries_out` new versions of projections that do not come with Runfold are tried in other processes.
        """
        self.projector = projector
        self._tries_out = tries_out
        self._reading = reading
        self._on_read = on_read

    def fold(self, *names: str, progress: "Progress | None" = None) -> int:
        """Do what `Ledger.fold` says."""
        worker = self._worker(chosen(names))
        try:
            return worker.catch_up(progress)
        finally:
            worker.close()

    def _worker(self, projections: Mapping[str, AnyProjection]) -> "Worker":
        from runfold.projector.worker import Worker

        return Worker(self.projector(), projections, tries_out=self._tries_out)

    def fold_to_read(self, *names: str | AnyProjection, progress: "Progress | None" = None) -> ReadFirst:
        """Do what `Ledger.fold_to_read` says."""
        wanted = chosen(names)
        with self._reading.reader.datastore.reading() as connection:
            backlog = backlog_of(connection, wanted.values())
        if not backlog.names or backlog.worker is not None or backlog.events > self._on_read or not self._on_read:
            return ReadFirst(backlog, folded=False)
        worker = self._worker({name: wanted[name] for name in backlog.names})
        try:
            worker.catch_up(progress)
        except LedgerUnavailable as error:  # who may only read, or reads a standby, answers from what there is
            return ReadFirst(backlog, folded=False, why_not=error)
        finally:
            worker.close()
        return ReadFirst(backlog, folded=True)

    def projections(self, own: Iterable[AnyProjection] = (), *, seen_by: str | None = None) -> "list[ProjectionStatus]":
        """Do what `Ledger.projections` says."""
        from runfold.projector.status import as_seen_by, statuses

        with self._reading.reader.datastore.reading() as connection:
            found = statuses(connection, {**known(), **{each.name: each for each in own}}.values())
            return found if seen_by is None else as_seen_by(connection, found, seen_by)

    def retry(self, name: str) -> bool:
        """Do what `Ledger.retry` says."""
        from runfold.projector.status import retry

        with self.connected() as connection:
            return retry(connection, name)

    def rebuild(
        self, *names: str | AnyProjection, processes: int = 2, keep: bool = False, told: "StageProgress | None" = None
    ) -> "list[Rebuilt]":
        """Do what `Ledger.rebuild` says."""
        from runfold.projector.rebuilding.rebuild import Rebuild

        return Rebuild(self.projector(), chosen(names), processes, keep, told, self._tries_out).run()

    def roll_back(self, name: str) -> int:
        """Do what `Ledger.roll_back` says."""
        from runfold.projector.tables import generations

        (projection,) = chosen([name]).values()
        with self.connected() as connection:
            return generations.rollback(connection, projection.name, projection)

    def drop_projection(self, name: str) -> None:
        """Do what `Ledger.drop_projection` says."""
        from runfold.projector.folding.team import workers_of
        from runfold.projector.tables import generations

        if name in known():
            fact = "comes with Runfold or an installed package, so any worker would fold it again"
            raise DropRefused(name, fact, f"to have it folded anew, run `runfold rebuild {name}`")
        with self.connected() as connection:
            if folding := workers_of(connection, name):
                fact = f"is folded by the worker {folding[0].worker}"
                raise DropRefused(name, fact, "stop it, or start it without this projection, then repeat the command")
            generations.drop(connection, name)

    def make_schema(
        self,
        schema: str,
        *names: str,
        as_of: int | datetime | None = None,
        branch: str | None = None,
        processes: int = 2,
        progress: "Progress | None" = None,
    ) -> "PastSchema":
        """Do what `Ledger.make_schema` says."""
        from runfold.projector.past import as_of as past

        reading = self._reading.at(self._reading.reader.head().position if as_of is None else as_of)
        if reading.up_to == 0 and isinstance(as_of, datetime):
            raise UsageError(f"nothing was recorded by {as_of}; ask for a later moment")
        along = None if branch is None else _branch(reading, branch)
        try:
            past.make(
                self.projector(), chosen(names), schema, reading.up_to, branch=along, processes=processes, progress=progress
            )
        except ProjectionStopped:  # it would be half made for ever: the same fold fails again
            self.drop_schema(schema)
            raise
        return next(made for made in self.schemas() if made.schema == schema)

    def schemas(self) -> "list[PastSchema]":
        """Do what `Ledger.schemas` says."""
        from runfold.projector.past import as_of as past

        with self._reading.reader.datastore.reading() as connection:
            return past.schemas(connection)

    def drop_schema(self, schema: str) -> None:
        """Do what `Ledger.drop_schema` says."""
        from runfold.projector.past import as_of as past

        with self.connected() as connection:
            past.drop(connection, schema)

    @contextlib.contextmanager
    def connected(self) -> Iterator[Connection]:
        """Return a connection that may change read models. Raises LedgerUnavailable."""
        try:
            with contextlib.closing(connect(self.projector())) as connection:
                yield connection
        except psycopg.Error as error:
            raise unavailable(error) from error


def _branch(reading: Reading, run_id: str) -> "Branch":
    """Return the path of a run as of a position, and where each run on it was left. Raises RunNotFound."""
    from runfold.projector.past.branch import Branch, Leaving

    run = reading.run(run_id)
    found: dict[str, Leaving] = {}
    for segment in path(thread_tree(reading.reader, run.thread_id, reading.up_to), run_id):
        position = reading.up_to
        if segment.up_to_version < LATEST:
            last = list(
                reading.reader.stream(
                    segment.run_id, after_version=segment.up_to_version - 1, up_to_version=segment.up_to_version
                )
            )
            position = last[0].position if last else 0
        found[segment.run_id] = Leaving(segment.up_to_version, position)
    return Branch(reading.reader.tenant, run.thread_id, run_id, found)
