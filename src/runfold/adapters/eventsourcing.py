"""The `eventsourcing` library's notification logs, subscriptions and projection runners follow Runfold's log.

With PERSISTENCE_MODULE=runfold.adapters.eventsourcing an `Application[str]` is the log of one tenant, that of RUNFOLD_TENANT,
in the database of RUNFOLD_DATABASE_URL; `RunfoldLog` is one without any setting of the library's. It is read and never
written, and nothing is created: views and their tracking are kept by another persistence module, such as
eventsourcing.sqlite, which is chosen for the projection by its name (TOOLCALLS_PERSISTENCE_MODULE).

Notification ids are positions of the ledger. They grow in the order in which events become visible, so that nothing turns up
before what was tracked; and they have gaps, where events are other tenants' or of other topics. Topics are event types, such
as `tool.called`; `approval.*` are all of a kind. Tracking knows positions and not histories: where a backup was restored,
views that are further than the ledger are noticed, and all should be made anew.
"""

from functools import cache
from typing import Any, NoReturn

from eventsourcing.application import Application
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    AggregateRecorder,
    InfrastructureFactory,
    Mapper,
    MapperDeserialisationError,
    NotSupportedError,
    ProcessRecorder,
    StoredEvent,
    TrackingRecorder,
    Transcoder,
)
from eventsourcing.utils import Environment

from runfold.adapters.eventsourcing_recorder import LogNotification, LogRecorder, refuse_to_record
from runfold.domain.event import Event
from runfold.domain.recorded import Recorded
from runfold.errors import Damage
from runfold.settings import Settings
from runfold.store.database import Database
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader
from runfold.store.setup import migrate


class RecordedEvent(Recorded):
    """A recorded event in the shape of the library's domain events; `event` says what happened."""

    __slots__ = ()

    @property
    def originator_id(self) -> str:
        """The library's word for the stream."""
        return self.stream

    @property
    def originator_version(self) -> int:
        """The library's word for the version."""
        return self.version

    @staticmethod
    def of(event_class: type[Event]) -> "type[RecordedEvent]":
        """Return the class of all recorded events of one type, to register with the library's `singledispatchmethod`."""
        return _class_of(event_class)


@cache
def _class_of(event_class: type[Event]) -> type[RecordedEvent]:
    return type(f"Recorded{event_class.__name__}", (RecordedEvent,), {"__slots__": ()})


class LogMapper(Mapper[str]):
    """Reads notifications of the log into `RecordedEvent`s."""

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[str]:
        """Read an event. Raises MapperDeserialisationError where it is damaged, or was written by a newer Runfold."""
        if not isinstance(stored_event, LogNotification):
            fact = f"{stored_event.topic} of {stored_event.originator_id} was not read from the log"
            raise MapperDeserialisationError(f"{fact}; read it with an application of this persistence module")
        try:
            recorded = stored_event.stored.read()
        except Damage as error:
            raise MapperDeserialisationError(str(error)) from error
        return RecordedEvent.of(type(recorded.event)).copied(recorded)

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:  # noqa: ARG002
        """Refuse: the library does not write to the log. Raises NotSupportedError."""
        refuse_to_record()


class Factory(InfrastructureFactory[TrackingRecorder]):
    """Makes what an application needs to follow the log. Close it to give the connections back."""

    def __init__(self, env: Environment | dict[str, str] | None) -> None:
        super().__init__(env)
        self._database: Database | None = None
        self._reader: Reader | None = None

    def mapper(self, transcoder: Transcoder | None = None, mapper_class: type[Mapper[Any]] | None = None) -> Mapper[Any]:
        """Make a `LogMapper`, unless MAPPER_TOPIC names another class, which then reads types and JSON by itself."""
        if mapper_class is None and not self.env.get(self.MAPPER_TOPIC):
            mapper_class = LogMapper
        return super().mapper(transcoder, mapper_class)

    def application_recorder(self) -> LogRecorder:
        """Open the log of a tenant. Raises LedgerError where that fails, or the database needs `runfold migrate`."""
        settings = self._settings()
        try:
            reader = self._open(settings)
            return LogRecorder(TenantReader.of(reader, settings.tenant))
        except BaseException:
            self.close()  # an application that was not made cannot be closed
            raise

    def _open(self, settings: Settings) -> Reader:
        if self._reader is None:
            self._database = Database.of(settings)
            self._reader = Reader(self._database.datastore(settings.connect_timeout))
            migrate.check(self._reader)
        return self._reader

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """Open the same log, to be read stream by stream. Raises NotSupportedError for snapshots, which are not kept."""
        if purpose != "events":
            self.close()
            raise NotSupportedError(f"Runfold keeps no {purpose} for this library; leave IS_SNAPSHOTTING_ENABLED off")
        return self.application_recorder()

    def tracking_recorder(self, tracking_recorder_class: type[TrackingRecorder] | None = None) -> TrackingRecorder:
        """Refuse: a view is kept by another persistence module. Raises NotSupportedError."""
        view = "a view" if tracking_recorder_class is None else tracking_recorder_class.__name__
        self._refuse_to_keep(view)

    def process_recorder(self) -> ProcessRecorder:
        """Refuse: events that are derived from the log are kept by another persistence module. Raises NotSupportedError."""
        self._refuse_to_keep("the events and the tracking of a projection")

    def close(self) -> None:
        """Give the connections back, and our share of an embedded server."""
        if self._reader is not None:
            self._reader.datastore.close()
        if self._database is not None:
            self._database.close()
        self._reader = self._database = None

    def _settings(self) -> Settings:
        """Read RUNFOLD_… from the application's environment; its name may stand before, as in ACME_RUNFOLD_TENANT."""
        given = {name: self.env.get(f"RUNFOLD_{name.upper()}") for name in Settings.model_fields}
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]  # text

    def _refuse_to_keep(self, what: str) -> NoReturn:
        name = f"{self.env.name.upper()}_{self.PERSISTENCE_MODULE}" if self.env.name else self.PERSISTENCE_MODULE
        raise NotSupportedError(
            f"Runfold's log is followed read-only, and {what} cannot be kept in it; set {name} to where it is kept,"
            " such as eventsourcing.sqlite, eventsourcing.postgres or eventsourcing.popo"
        )


class RunfoldLog(Application[str]):
    """The log of one tenant as an application of the library: for `ApplicationSubscription` and `ProjectionRunner`.

    What tracks several tenants in one place needs a subclass for each: events are tracked under the name of the class.
    """

    def construct_factory(self, env: Environment) -> InfrastructureFactory[Any]:
        """Make this module's factory, whatever PERSISTENCE_MODULE says."""
        return Factory(env)
