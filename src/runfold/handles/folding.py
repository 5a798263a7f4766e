"""What a ledger lets people do with read models: fold, look after, fold anew, fold the past."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import psycopg

from runfold.commands.caller import Caller
from runfold.errors import RebuildRefused, UsageError
from runfold.history.path import path, thread_tree
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import chosen, known
from runfold.projector import as_of as past
from runfold.projector import generations
from runfold.projector.as_of import Branch, Leaving, PastSchema
from runfold.projector.connection import connect
from runfold.projector.moments import Limits, schema_of
from runfold.projector.preparing import Preparer
from runfold.projector.rebuild import Rebuild, Rebuilt, Told
from runfold.projector.status import ProjectionStatus, as_seen_by, retry, statuses
from runfold.projector.worker import Progress, Worker
from runfold.queries.moments import Moments, MomentView
from runfold.queries.reading import Reading, parse_moment
from runfold.settings import Settings
from runfold.store.database import Database
from runfold.store.datastore import Connection, Datastore, unavailable
from runfold.store.reader import LATEST
from runfold.store.recorder import Recorder


class Folding:
    """The part of a ledger that makes read models."""

    settings: Settings
    database: Database
    recorder: Recorder
    caller: Caller
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
        self,
        schema: str,
        *names: str,
        as_of: int | datetime | None = None,
        branch: str | None = None,
        processes: int = 2,
        progress: Progress | None = None,
    ) -> PastSchema:
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

    # Moments

    def moments_of(self, tenant_id: str) -> Moments:
        """The moments of any tenant."""
        limits = Limits(self.settings.moments_per_tenant, self.settings.moments)
        return Moments(self.recorder.reader, tenant_id, limits, self._connected)

    def preparer(self) -> Preparer:
        """What makes the moments that any process asked for, and drops those that are unused, once it is started."""
        return Preparer(self._projector)

    def prepare(
        self,
        moment: int | datetime | str | None = None,
        *,
        expires_in: str | timedelta | None = None,
        processes: int = 2,
        progress: Progress | None = None,
    ) -> MomentView:
        """Fold all read models as of a position or a time of the store, the present where none is given, for questions of
        `ledger.at(…)`; it is dropped `expires_in` (`90s`, `1h`, …; an hour) after its last use.

        Waits until it is ready. The same again is the same. Raises UsageError for a moment that the ledger does not have,
        InvalidEvent, TooManyMoments, ProjectionStopped, LedgerUnavailable.
        """
        position = self._reading.at(_moment(moment, self.recorder.reader.head().position)).up_to
        own = self.moments_of(self.caller.tenant_id)
        asked = own.ask(position, str(self.caller.actor), expires_in)
        self._make(asked, tuple(known()), position, processes, progress)
        return own.one(asked)

    def moments(self) -> list[MomentView]:
        """The moments that were asked for in this tenant and not dropped yet."""
        return self.moments_of(self.caller.tenant_id).all()

    def drop_moment(self, id: str) -> None:
        """Drop a moment. Raises MomentNotFound."""
        self.moments_of(self.caller.tenant_id).drop(id)

    def _whole_past(self, names: Sequence[str], position: int, most_events: int, *, progress: Progress | None = None) -> str:
        """The schema that answers the owner as of a position. Where there is none it is made, and the oldest give way."""
        own = self.moments_of(self.caller.tenant_id)
        if (found := own.find(names, position, every=True)) is not None:
            return found
        if position > most_events:
            raise UsageError(
                f"this folds {position:,} events, and {most_events:,} are allowed; give `ledger.at(…, most_events=…)` "
                f"more, or make a schema with `runfold rebuild {' '.join(names)} --as-of {position} --into NAME`",
                events=position,
                most_events=most_events,
            )
        asked = own.ask(position, str(self.caller.actor), names=names, automatic=True)
        self._make(asked, names, position, 2, progress)
        own.sweep()
        return schema_of(asked)

    def _make(self, id: str, names: Sequence[str], position: int, processes: int, progress: Progress | None) -> None:
        """Make what was asked for, here, unless it is there or another makes it: then that is waited for."""
        schema = schema_of(id)
        if self._is_ready(schema):
            return
        try:
            past.make(self._projector, chosen(names), schema, position, processes=processes, progress=progress)
        except RebuildRefused:  # another was quicker
            if not self._is_ready(schema):
                raise

    def _is_ready(self, schema: str) -> bool:
        return any(made.ready for made in self.schemas() if made.schema == schema)

    @property
    def _projector(self) -> Datastore:
        return self.database.datastore(self.settings.connect_timeout, projector=True)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            with contextlib.closing(connect(self._projector)) as connection:
                yield connection
        except psycopg.Error as error:
            raise unavailable(error) from error


def _moment(moment: int | datetime | str | None, head: int) -> int | datetime:
    if moment is None:
        return head
    return parse_moment(moment) if isinstance(moment, str) else moment


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
