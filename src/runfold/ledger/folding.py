"""What a ledger lets people do with read models: fold, look after, fold anew, fold the past."""

import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime

from runfold.errors import UsageError
from runfold.ledger.history import path, thread_tree
from runfold.ledger.reading import Reading
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import chosen, known
from runfold.projector import as_of as past
from runfold.projector import generations
from runfold.projector.as_of import Branch, Leaving, PastSchema
from runfold.projector.connection import connect
from runfold.projector.rebuild import Rebuild, Rebuilt, Told
from runfold.projector.status import ProjectionStatus, as_seen_by, retry, statuses
from runfold.projector.worker import Progress, Worker
from runfold.settings import Settings
from runfold.store.database import Database
from runfold.store.datastore import Connection, Datastore
from runfold.store.reader import LATEST
from runfold.store.recorder import Recorder


class Folding:
    """The part of a ledger that makes read models."""

    settings: Settings
    database: Database
    recorder: Recorder
    _reading: Reading

    def fold(self, *names: str, progress: Progress | None = None) -> int:
        """Fold what is there into the read models, here and now; returns the position that they have come to.

        `names` are projections by name or as module:Class; without any, all that are known. Where workers run there is no
        need for it; where one is at work on a read model, it is waited for. Read models that have stopped stay as they
        are. Raises ProjectionNotFound, InvalidProjection, LedgerUnavailable.
        """
        worker = Worker(self._projector, chosen(names))
        try:
            return worker.catch_up(progress)
        finally:
            worker.close()

    def projections(self, own: Iterable[AnyProjection] = (), *, seen_by: str | None = None) -> list[ProjectionStatus]:
        """Every read model: how far it is, how far behind, and what is wrong with one that cannot go on.

        `own` are projections that are known beside the built-in ones, to be listed before anything was folded too. Of what
        is told to one tenant (`seen_by`), the words of others are left out.
        """
        with self.recorder.store.reading() as connection:
            found = statuses(connection, {**known(), **{each.name: each for each in own}}.values())
            return found if seen_by is None else as_seen_by(connection, found, seen_by)

    def retry(self, name: str) -> bool:
        """Let a read model that has stopped go on; whether it had. Raises ProjectionNotFound."""
        with self._connected() as connection:
            return retry(connection, name)

    def rebuild(
        self, *names: str | AnyProjection, processes: int = 2, keep: bool = False, told: Told | None = None
    ) -> list[Rebuilt]:
        """Fold read models anew beside the ones in use, compare, catch up, switch. With `keep`, compare only.

        What a killed rebuild of the same read models has done is gone on with. Raises ProjectionNotFound,
        InvalidProjection, RebuildRefused, ProjectionStopped, LedgerUnavailable.
        """
        return Rebuild(self._projector, chosen(names), processes, keep, told).run()

    def roll_back(self, name: str) -> int:
        """Let a read model be the table of before the last rebuild again, which goes on from its position: that is returned.

        Raises ProjectionNotFound, ProjectionStopped where there is none.
        """
        (projection,) = chosen([name]).values()
        with self._connected() as connection:
            return generations.rollback(connection, projection.name, projection)

    def make_schema(
        self, schema: str, *names: str, as_of: int | datetime | None = None, branch: str | None = None, processes: int = 2,
        progress: Progress | None = None,
    ) -> PastSchema:  # fmt: skip
        """Fold read models as of a position or a time of the store, or along the path of a run, into a schema of that name.

        Raises UsageError for a moment that the ledger does not have, RunNotFound, RebuildRefused for a name that is taken or
        cannot be, ProjectionStopped, LedgerUnavailable.
        """
        reading = self._reading.at(self.recorder.reader.head().position if as_of is None else as_of)
        if reading.up_to == 0 and isinstance(as_of, datetime):
            raise UsageError(f"nothing was recorded by {as_of}; ask for a later moment")
        along = None if branch is None else _branch(reading, branch)
        past.make(self._projector, chosen(names), schema, reading.up_to, branch=along, processes=processes, progress=progress)
        return next(made for made in self.schemas() if made.schema == schema)

    def schemas(self) -> list[PastSchema]:
        """The schemas of the past that were made and not dropped yet."""
        with self.recorder.store.reading() as connection:
            return past.schemas(connection)

    def drop_schema(self, schema: str) -> None:
        """Drop a schema of the past with all tables in it. Raises RebuildRefused for any other schema."""
        with self._connected() as connection:
            past.drop(connection, schema)

    @property
    def _projector(self) -> Datastore:
        return self.database.datastore(self.settings.connect_timeout, projector=True)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        with contextlib.closing(connect(self._projector)) as connection:
            yield connection


def _branch(reading: Reading, run_id: str) -> Branch:
    """The path of a run as of a position, and where each run on it was left. Raises RunNotFound."""
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
    return Branch(reading.tenant_id, run.thread_id, run_id, found)
