"""The ledger: opened on a database, and what its owner may do with it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from runfold.commands.caller import Caller
from runfold.commands.executor import CommandExecutor
from runfold.feed.tail import Tail
from runfold.handles.calling.local import CallerExecutor
from runfold.handles.ledgers.folding import Folding, ReadFirst
from runfold.handles.ledgers.prepared_moments import PreparedMoments
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.projections.projection import AnyProjection
from runfold.queries.reactors import ReactorStatus, reactor_statuses
from runfold.queries.reading import Reading, parse_moment
from runfold.queries.sources.past import MOST_EVENTS
from runfold.settings import Settings
from runfold.store.database import Database
from runfold.store.epochs import Epoch, lineage_of
from runfold.store.marks import MarkFile
from runfold.store.reading.history import History
from runfold.store.recorder import Recorder

if TYPE_CHECKING:
    from runfold.projector.filling import Progress
    from runfold.projector.past.as_of import PastSchema
    from runfold.projector.past.preparing import Preparer
    from runfold.projector.rebuilding.rebuilt import Rebuilt, StageProgress
    from runfold.projector.status import ProjectionStatus
    from runfold.queries.moments import Moments, MomentView
    from runfold.remote.ledger import RemoteLedger


class Ledger(TenantLedger):
    """The ledger of record. Thread-safe; one a process is enough.

    with Ledger.open() as ledger:
        thread = ledger.create_thread(agent_id="support")
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        """`Ledger.open` makes one."""
        self.settings = settings
        self.database = database
        self.recorder = Recorder(database.datastore(settings.connect_timeout))
        self.history = History(self.recorder.reader, MarkFile(settings.marks))
        self.recorder.reader.when_short = self.history.check
        self.recorder.writer.when_connected, self.recorder.writer.when_stored = self.history.follow, self.history.saw
        owner = CallerExecutor(CommandExecutor(self.recorder, settings))
        projector = partial(database.datastore, settings.connect_timeout, projector=True)
        self.folding = Folding(projector, owner.reading(), settings.fold_on_read, tries_out=settings.try_folds)
        self.prepared = PreparedMoments(self.folding, owner, settings.moments_per_tenant, settings.moments)
        tail = Tail(self.recorder.store, self.recorder.reader, self.history)
        super().__init__(owner, tail, self.prepared.whole_past)
        self._reading = owner.reading(fold=self._fold_to_answer)
        self.history.when_changed.append(self.command_executor.forget_states)

    @classmethod
    def open(cls, url: str | None = None, *, settings: Settings | None = None, **overrides: Any) -> Self:
        """Open the ledger at a URL, else at RUNFOLD_DATABASE_URL, else in the embedded PostgreSQL, started if need be.

        `overrides` are fields of `Settings`. Raises LedgerUnavailable, MigrationRefused, UnsafeDurability, UsageError.
        """
        if url is not None:
            overrides["database_url"] = url
        settings = settings or Settings(**overrides)
        database = Database.of(settings)
        ledger = cls(database, settings)
        try:
            database.prepare()
            ledger.recorder.require_ready(unsafe_durability=settings.unsafe_durability)
            ledger.history.open()
        except BaseException:
            ledger.close()
            raise
        return ledger

    @staticmethod
    def connect(
        url: str, key: str | None = None, *, timeout: float = 30.0, patience: float = 60.0, receipts: bool = False
    ) -> "RemoteLedger":
        """Return the ledger behind a server, with the same handles and questions. `key` is else RUNFOLD_KEY.

        Each try of a request has `timeout` seconds, and it is repeated for `patience` seconds. With `receipts` the receipts of
        commands have the salt and the digests of each event, to be kept and verified later. Raises LedgerUnavailable where
        nobody answers, LedgerError where something else than such a server does, UsageError for what is no URL.
        """
        from runfold.remote.ledger import RemoteLedger  # noqa: PLC0415  the HTTP client takes a tenth of a second to load

        return RemoteLedger.connect(url, key, timeout=timeout, patience=patience, receipts=receipts)

    def on_behalf(self, caller: Caller) -> TenantLedger:
        """Return the same ledger for somebody else: their tenant's threads, their name on what they do."""
        executor = CallerExecutor(self.command_executor, caller)
        return TenantLedger(executor, self.tail, self.moments_of(caller.tenant_id).found)

    def lineage(self) -> list[Epoch]:
        """Return the present history and those that it came from, the present one first."""
        return list(lineage_of(self.recorder.reader, self.head()))

    def close(self) -> None:
        """Store what waits, and give the database back."""
        self.tail.close()
        self.command_executor.close()
        self.history.close()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def at(self, moment: int | datetime | str, *, most_events: int = MOST_EVENTS, progress: "Progress | None" = None) -> Reading:
        """Do what `TenantLedger.at` says; `progress` is told where read models must be made."""
        whole = partial(self.prepared.whole_past, progress=progress)
        return self.now.at(parse_moment(moment) if isinstance(moment, str) else moment, most_events, whole)

    # Read models

    def fold(self, *names: str, progress: "Progress | None" = None) -> int:
        """Fold what is there into the read models, here and now; returns the position that they have come to.

        `names` are projections by name or as module:Class; without any, all that are known. Where workers run there is no
        need for it; where one is at work on a read model, it is waited for. Read models that have stopped, or that a newer
        program folded, stay as they are. Raises ProjectionNotFound, InvalidProjection, LedgerUnavailable.
        """
        return self.folding.fold(*names, progress=progress)

    def fold_to_read(self, *names: str | AnyProjection, progress: "Progress | None" = None) -> ReadFirst:
        """Fold what read models lack, if that is little and no worker is at it; return what there was, and whether it was done.

        Little is up to `RUNFOLD_FOLD_ON_READ` events. A question of this ledger (`ledger.now`) that could not be answered
        without does the same by itself. Raises ProjectionNotFound, InvalidProjection.
        """
        return self.folding.fold_to_read(*names, progress=progress)

    def _fold_to_answer(self, projections: Iterable[AnyProjection]) -> bool:
        wanted = tuple(projections)
        return bool(wanted) and self.folding.fold_to_read(*wanted).folded

    def projections(self, own: Iterable[AnyProjection] = (), *, seen_by: str | None = None) -> "list[ProjectionStatus]":
        """Return every read model: how far it is, how far behind, and what is wrong with one that cannot go on.

        `own` are projections that are known beside the built-in ones, to be listed before anything was folded too. Of what
        is told to one tenant (`seen_by`), the words of others are left out.
        """
        return self.folding.projections(own, seen_by=seen_by)

    def reactors(self) -> list[ReactorStatus]:
        """Return what happens by itself: who carries it out, what was done, and how late it is. Nothing that never ran."""
        return reactor_statuses(self.recorder.reader)

    def retry(self, name: str) -> bool:
        """Let a read model that has stopped go on; whether it had. Raises ProjectionNotFound."""
        return self.folding.retry(name)

    def rebuild(
        self, *names: str | AnyProjection, processes: int = 2, keep: bool = False, told: "StageProgress | None" = None
    ) -> "list[Rebuilt]":
        """Fold read models anew beside the ones in use, compare, catch up, switch. With `keep`, compare only.

        What a killed rebuild of the same read models has done is gone on with. Raises ProjectionNotFound,
        InvalidProjection, RebuildRefused, ProjectionStopped, LedgerUnavailable.
        """
        return self.folding.rebuild(*names, processes=processes, keep=keep, told=told)

    def roll_back(self, name: str) -> int:
        """Let a read model be the table of before the last rebuild again, which goes on from its position: that is returned.

        Raises ProjectionNotFound, ProjectionStopped where there is none.
        """
        return self.folding.roll_back(name)

    def drop_projection(self, name: str) -> None:
        """Drop a read model of a projection of yours: its table, view and progress. The events that it was folded from stay.

        Raises ProjectionNotFound where there is none, DropRefused for one that comes with Runfold, that a worker folds, or on
        which a view of somebody's depends.
        """
        self.folding.drop_projection(name)

    def make_schema(
        self,
        schema: str,
        *names: str,
        as_of: int | datetime | None = None,
        branch: str | None = None,
        processes: int = 2,
        progress: "Progress | None" = None,
    ) -> "PastSchema":
        """Fold read models as of a position or a time of the store, or along the path of a run, into a schema of that name.

        Raises UsageError for a moment that the ledger does not have, RunNotFound, RebuildRefused for a name that is taken or
        cannot be, ProjectionStopped, LedgerUnavailable.
        """
        return self.folding.make_schema(schema, *names, as_of=as_of, branch=branch, processes=processes, progress=progress)

    def schemas(self) -> "list[PastSchema]":
        """Return the schemas of the past that were made and not dropped yet."""
        return self.folding.schemas()

    def drop_schema(self, schema: str) -> None:
        """Drop a schema of the past with all tables in it. Raises RebuildRefused for any other schema."""
        self.folding.drop_schema(schema)

    # Moments of the past

    def prepare(
        self,
        moment: int | datetime | str | None = None,
        *,
        expires_in: str | timedelta | None = None,
        processes: int = 2,
        progress: "Progress | None" = None,
    ) -> "MomentView":
        """Fold all read models as of a position or a time of the store, the present where none is given, for questions of
        `ledger.at(…)`; it is dropped `expires_in` (`90s`, `1h`, …; an hour) after its last use.

        Waits until it is ready. The same again is the same. Raises UsageError for a moment that the ledger does not have,
        InvalidEvent, TooManyMoments, ProjectionStopped, LedgerUnavailable.
        """
        return self.prepared.prepare(moment, expires_in=expires_in, processes=processes, progress=progress)

    def moments(self) -> "list[MomentView]":
        """Return the moments that were asked for in this tenant and not dropped yet."""
        return self.prepared.all()

    def drop_moment(self, id: str) -> None:
        """Drop a moment. Raises MomentNotFound."""
        self.prepared.drop(id)

    def moments_of(self, tenant_id: str) -> "Moments":
        """Return the moments of any tenant."""
        return self.prepared.of(tenant_id)

    def preparer(self) -> "Preparer":
        """Return what, once it is started, makes the moments that any process asked for, and drops the unused."""
        return self.prepared.preparer()
