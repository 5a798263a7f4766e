"""The ledger: opened on a database, and what its owner may do with it."""

from datetime import datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from runfold.commands.caller import Caller
from runfold.commands.executor import CommandExecutor
from runfold.feed.tail import Tail
from runfold.handles.folding import Folding
from runfold.handles.tenant_ledger import TenantLedger
from runfold.projector.filling import Progress
from runfold.queries.past import MOST_EVENTS
from runfold.queries.reading import Reading, parse_moment
from runfold.settings import Settings
from runfold.store.database import Database
from runfold.store.epochs import Epoch, lineage_of
from runfold.store.history import History
from runfold.store.marks import MarkFile
from runfold.store.recorder import Recorder

if TYPE_CHECKING:
    from runfold.remote.ledger import RemoteLedger


class Ledger(TenantLedger, Folding):
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
        tail = Tail(self.recorder.store, self.recorder.reader, self.history)
        super().__init__(CommandExecutor(self.recorder, settings), tail, self._whole_past)
        self.history.when_changed.append(self.command_executor.forget_states)

    @classmethod
    def open(cls, url: str | None = None, *, settings: Settings | None = None, **overrides: Any) -> Self:
        """Open the ledger at a URL, else at RUNFOLD_DATABASE_URL, else in the embedded PostgreSQL, started if need be.

        `overrides` are fields of `Settings`. Raises LedgerUnavailable, MigrationRefused, UnsafeDurability.
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
    def connect(url: str, key: str | None = None, *, timeout: float = 30.0, patience: float = 60.0) -> "RemoteLedger":
        """The ledger behind a server, with the same handles and questions. `key` is else RUNFOLD_KEY.

        Each try of a request has `timeout` seconds, and it is repeated for `patience` seconds. Raises LedgerUnavailable where
        nobody answers, LedgerError where something else than such a server does, UsageError for what is no URL.
        """
        from runfold.remote.ledger import RemoteLedger  # noqa: PLC0415  the HTTP client takes a tenth of a second to load

        return RemoteLedger.connect(url, key, timeout=timeout, patience=patience)

    def on_behalf(self, caller: Caller) -> TenantLedger:
        """The same ledger for somebody else: their tenant's threads, their name on what they do."""
        return TenantLedger(self.command_executor, self.tail, self.moments_of(caller.tenant_id).found, caller)

    def lineage(self) -> list[Epoch]:
        """The present history and those that it came from, the present one first."""
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

    def at(self, moment: int | datetime | str, *, most_events: int = MOST_EVENTS, progress: Progress | None = None) -> Reading:
        """As of a `TenantLedger`; and `progress` is told where read models must be made."""
        whole = partial(self._whole_past, progress=progress)
        return self._reading.at(parse_moment(moment) if isinstance(moment, str) else moment, most_events, whole)
