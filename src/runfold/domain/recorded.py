"""An event that is recorded: where it stands, and what is known of it beside what happened."""

from collections.abc import Callable
from datetime import datetime
from inspect import signature
from typing import Any, Self
from uuid import UUID

from runfold.domain.context import UNREADABLE, Context, Metadata, NoMoment, context_of, facts_of, metadata_of, occurred_at_of
from runfold.domain.event import Event, event_types
from runfold.errors import UnknownEventType, UnreadableEvent, UnreadableTime, event_at

_new = object.__new__  # looked up once: it is called for every event that is read


def not_as_stored(type: str, position: int | None, what: str, error: Exception) -> UnreadableEvent:
    """Return the error to be raised where what stands beside an event cannot be read."""
    why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return UnreadableEvent(type, position, f"its {what} is not what Runfold stores: {why}")


class Recorded:
    """An event, and where it stands in the ledger.

    All of it is kept as stored and read when asked for: a fold over years, a filter or a feed look at little of it, and what
    they do look at beside the event is mostly the same from one event to the next.
    """

    __slots__ = (
        "_event",
        "_read",
        "_state",
        "context_json",
        "event_id_bytes",
        "metadata_json",
        "position",
        "recorded_at",
        "salt",
        "schema_version",
        "stream",
        "tenant_id",
        "thread_id",
        "type",
        "version",
    )

    _state: bytes
    _read: Callable[[str, int, bytes, int], Event]
    _event: Event | None
    """None before it is read."""
    type: str
    """The event's stored name."""
    salt: bytes | None
    """16 random bytes, so that a digest of the event does not let a short text be guessed.

    None where the event is older than salts, or was read over HTTP, which does not send them.
    """

    def __init__(
        self,
        position: int,
        stream: str,
        version: int,
        event: Event,
        event_id_bytes: bytes,
        tenant_id: str,
        thread_id: str,
        recorded_at: datetime,
        schema_version: int,
        context_json: str,
        metadata_json: str,
        salt: bytes | None = None,
    ) -> None:
        self.position, self.stream, self.version = position, stream, version
        self.type, self._event, self.schema_version = event.type, event, schema_version
        self.tenant_id, self.thread_id = tenant_id, thread_id
        self.event_id_bytes, self.recorded_at, self.salt = event_id_bytes, recorded_at, salt
        self.context_json, self.metadata_json = context_json, metadata_json

    @classmethod
    def unread(cls, columns: tuple[Any, ...], read: Callable[[str, int, bytes, int], Event], event: Event | None = None) -> Self:
        """Return one whose event is `read` when it is first asked for; its columns are in the order of `store/codec.py`.

        Where the event is known already, it is not read.
        """
        recorded = _new(cls)
        (
            recorded.position,
            recorded.stream,
            recorded.version,
            recorded.type,
            recorded.schema_version,
            recorded._state,
            recorded.tenant_id,
            recorded.thread_id,
            recorded.event_id_bytes,
            recorded.recorded_at,
            recorded.context_json,
            recorded.metadata_json,
            recorded.salt,
        ) = columns
        recorded._read, recorded._event = read, event
        return recorded

    @classmethod
    def copied(cls, recorded: "Recorded") -> Self:
        """Return the same as one of this class. Raises UnknownEventType, UnreadableEvent."""
        return cls(*recorded._values())

    @property
    def event(self) -> Event:
        """What happened, read from what is stored when it is first asked for. Raises UnknownEventType, UnreadableEvent."""
        event = self._event
        if event is None:
            self._event = event = self._read(self.type, self.schema_version, self._state, self.position)
        return event

    @property
    def payload_bytes(self) -> int:
        """Return the bytes of its payload as it is stored; 0 of an event that did not come from there."""
        return len(getattr(self, "_state", b""))

    def readable(self) -> Self:
        """Return itself, with its event read. Raises UnknownEventType, UnreadableEvent."""
        _ = self.event
        return self

    def let_go(self) -> None:
        """Keep the event as it is stored alone; it is read anew when it is asked for again."""
        if hasattr(self, "_state"):
            self._event = None

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in _FIELDS])

    def but(self, **changes: Any) -> Self:
        """Return the same with other values."""
        return type(self)(**{**dict(zip(_FIELDS, self._values(), strict=True)), **changes})

    _replace = but
    """The name that it had as a named tuple's."""

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, Recorded) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.position, self.event_id_bytes))

    def __repr__(self) -> str:
        try:
            shown = zip(_FIELDS, self._values(), strict=True)
        except (UnknownEventType, UnreadableEvent) as error:
            return f"<{type(self).__name__} {error}>"
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown)})"

    @property
    def is_raw(self) -> bool:
        """Return whether only a newer Runfold knows the event: then it is a `RawEvent`, whose `data` is as it is stored."""
        return self.type not in event_types or type(self.event) is not event_types[self.type]

    @property
    def event_id(self) -> UUID:
        """The event's own id, a UUIDv7, given before the first try to store it."""
        return UUID(bytes=self.event_id_bytes)

    @property
    def payload(self) -> bytes:
        """Return the payload of an event that was read from the log, as it is stored."""
        return self._state

    @property
    def context(self) -> Context:
        """The keys that readers need. Raises UnreadableEvent."""
        try:
            return context_of(self.context_json)
        except UNREADABLE as error:
            raise self._unreadable("context", error) from None

    @property
    def metadata(self) -> Metadata:
        """Return who recorded the event, when by their own clock, and what it belongs to.

        Raises UnreadableEvent, UnreadableTime.
        """
        try:
            return metadata_of(self.metadata_json)
        except UNREADABLE as error:
            raise self._unreadable("metadata", error) from None

    @property
    def happened_at(self) -> datetime:
        """The producer's time where it gave one, else the store's. Raises UnreadableEvent, UnreadableTime."""
        try:
            return occurred_at_of(self.metadata_json) or self.recorded_at
        except UNREADABLE as error:
            raise self._unreadable("metadata", error) from None

    def facts_beside(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return context and metadata as they are stored. Raises UnreadableEvent."""
        try:
            return facts_of(self.context_json), facts_of(self.metadata_json)
        except UNREADABLE as error:
            raise self._unreadable("context or metadata", error) from None

    def _unreadable(self, what: str, error: Exception) -> UnreadableEvent | UnreadableTime:
        """Return the error to be raised over what stands beside the event, which says of which event it is."""
        if isinstance(error, NoMoment):
            return UnreadableTime(event_at(self.position, self.version, self.stream), str(error))
        return not_as_stored(self.type, self.position, what, error)

    def as_json(self) -> dict[str, Any]:
        """The event in our own words, ready for `--json`, as the view `events` shows it. Raises UnreadableEvent."""
        context, metadata = self.facts_beside()
        return {
            "position": self.position,
            "stream": self.stream,
            "version": self.version,
            "type": self.type,
            "event_id": str(self.event_id),
            "tenant_id": self.tenant_id,
            "thread_id": self.thread_id,
            "recorded_at": self.recorded_at.isoformat(),
            "schema_version": self.schema_version,
            "data_version": self.event.schema_version,
            "context": context,
            "metadata": metadata,
            "data": self.event.model_dump(mode="json", exclude_none=True),
            **({"raw": True} if self.is_raw else {}),
        }


_FIELDS = tuple(signature(Recorded).parameters)
