"""What an event is, what is known of it once it is recorded, and the registry of all types."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from inspect import signature
from typing import Any, ClassVar, NamedTuple, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema

from runfold.domain.first_fault import failing_fast
from runfold.domain.values import PATTERN_WORDS, Actor, Id, Text, Time, Value, same
from runfold.errors import InvalidEvent, UnknownEventType, UnreadableEvent, UnreadableTime, UsageError, event_at, shortened

_new = object.__new__  # looked up once: it is called for every event that is read
MOST_TYPE_CHARACTERS = 100
"""The longest event type or pattern that can be asked for."""


class Event(BaseModel):
    """A fact that happened. It does not say where or when it was recorded."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    type: ClassVar[str]
    schema_version: ClassVar[int]
    derived: ClassVar[frozenset[str]] = frozenset()
    """Fields that the ledger derives itself: two events that differ only there are equal."""
    undisclosed: ClassVar[set[str]] = set()
    """Fields that HTTP never shows, whatever the scopes of the key."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return failing_fast(handler(source))

    def __init_subclass__(cls, type: str | None = None, version: int = 1, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if type is not None:
            cls.type, cls.schema_version = type, version
            event_types.register(cls)

    def differs_from(self, other: "Event") -> str | None:
        """Return the first field in which the other event differs, or None when both are equal."""
        if self.type != other.type:
            return f"type ({other.type})"
        names = type(self).model_fields.keys() - self.derived
        return next((name for name in sorted(names) if not same(getattr(self, name), getattr(other, name))), None)


def is_of_type(name: str, wanted: str) -> bool:
    """Return whether an event type matches a pattern, in which `*` stands for any text, as in `approval.*`."""
    first, *rest = wanted.split("*")
    if not rest or not name.startswith(first):
        return name == wanted
    at = len(first)
    for part in rest[:-1]:
        if (found := name.find(part, at)) < 0:
            return False
        at = found + len(part)
    return len(name) - at >= len(rest[-1]) and name.endswith(rest[-1])


Fields = dict[str, Any]
Upcast = Callable[[Fields], Fields]


class EventTypes:
    """The explicit registry: stored name → class. A name that is not here is never imported, only reported."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Event]] = {}
        self._upcasts: dict[tuple[str, int], Upcast] = {}
        self._validators: dict[tuple[str, int], Callable[[bytes], Event]] = {}
        """What reads today's shapes, by type and version, once each was read."""

    def register(self, event_class: type[Event]) -> None:
        """Register a class. Two classes under one name are a programming error."""
        if event_class.type in self._classes:
            raise ValueError(f"event type {event_class.type!r} is registered twice")
        self._classes[event_class.type] = event_class

    def upcast(self, type: str, from_version: int) -> Callable[[Upcast], Upcast]:
        """Decorator: the function turns the fields of `from_version` into those of the version after it."""

        def add(function: Upcast) -> Upcast:
            self._upcasts[type, from_version] = function
            return function

        return add

    def __getitem__(self, type: str) -> type[Event]:
        return self._classes[type]

    def __contains__(self, type: str) -> bool:
        return type in self._classes

    def all(self) -> Mapping[str, type[Event]]:
        """Return every class by its stored name."""
        return self._classes

    def patterns(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Types as they are looked for: a type or a pattern as it is, the beginning of types as a pattern. Raises UsageError."""
        found = tuple(f"{name}*" if self._is_beginning(name) else name for name in wanted)
        self.require(found)
        return found

    def _is_beginning(self, name: str) -> bool:
        return bool(name) and "*" not in name and name not in self and any(known.startswith(name) for known in self._classes)

    def require(self, wanted: Iterable[str]) -> None:
        """Raise UsageError for a type, such as `tool.called` or `approval.*`, that no event has.

        It would find nothing, which looks as if nothing had happened.
        """
        for name in dict.fromkeys(wanted):
            if len(name) <= MOST_TYPE_CHARACTERS and any(is_of_type(known, name) for known in self._classes):
                continue
            kinds = sorted({f"{known.partition('.')[0]}.*" for known in self._classes})
            near = get_close_matches(name[:MOST_TYPE_CHARACTERS], self._classes) or kinds
            raise UsageError(f"unknown event type {name[:80]!r}; expected one of {', '.join(near)}", type=name)

    def read(self, type: str, schema_version: int, data: bytes, position: int | None = None) -> Event:
        """Stored bytes → event of today's shape. Raises UnknownEventType, UnreadableEvent."""
        try:
            validate = self._validators.get((type, schema_version))
            return self._read_first(type, schema_version, data, position) if validate is None else validate(data)
        except ValidationError as error:
            has_new_field = error.errors(include_url=False)[0]["type"] == "extra_forbidden"
            raise UnreadableEvent(type, position, refusal(error).args[0], has_new_field=has_new_field) from None

    def _read_first(self, type: str, schema_version: int, data: bytes, position: int | None) -> Event:
        """Return an event of a shape that is not today's, or that was not read before."""
        event_class = self._classes.get(type)
        if event_class is None or schema_version > event_class.schema_version:
            raise UnknownEventType(type, schema_version, position)
        if schema_version < event_class.schema_version:
            return self._read_old(event_class, schema_version, data, position)
        validate = self._validators[type, schema_version] = event_class.__pydantic_validator__.validate_json
        return validate(data)  # type: ignore[no-any-return]

    def _read_old(self, event_class: type[Event], version: int, data: bytes, position: int | None) -> Event:
        try:
            fields: Fields = json.loads(data)
            for step in range(version, event_class.schema_version):
                upcast = self._upcasts.get((event_class.type, step))
                if upcast is None:
                    raise UnknownEventType(event_class.type, version, position)
                fields = upcast(fields)
            return event_class.model_validate_json(json.dumps(fields))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            if isinstance(error, ValidationError):
                raise
            raise UnreadableEvent(event_class.type, position, f"as version {version} it is {error!r}") from error


event_types = EventTypes()


def refusal(error: ValidationError, event_type: str | None = None) -> InvalidEvent:
    """Translate pydantic's error into InvalidEvent, with the path of the first invalid field."""
    first = error.errors(include_url=False)[0]
    inner = first.get("ctx", {}).get("at", "")
    path = ".".join([*(str(part) for part in first["loc"]), *([inner] if inner else [])])
    reason = PATTERN_WORDS.get(first.get("ctx", {}).get("pattern", ""), first["msg"])
    return InvalidEvent(path, reason, event_type or error.title)


class Context(NamedTuple):
    """The keys that readers need, stored beside every event so that no fold has to look anything up."""

    run_id: str | None = None
    """The run whose stream it is, or that asked for the approval."""
    parent_run_id: str | None = None
    """The run that this one continues, branches, retries, or was spawned by."""
    agent_id: str | None = None
    """Who runs."""
    user_id: str | None = None
    """Whose thread it is."""
    goal_id: str | None = None
    """What the run is for."""
    call_id: str | None = None
    """The tool call that it is about."""
    decision_id: str | None = None
    """The decision that it is about."""
    call_run_id: str | None = None
    """The run that asked for the call: this one, or one of its past."""
    tool_name: str | None = None
    """The tool of the call."""
    action: str | None = None
    """What the approval that it is about was asked for."""
    step_name: str | None = None
    """The step that it is about."""
    node_id: str | None = None
    """The node of the graph to which the step or the decision belongs."""
    provider: str | None = None
    """The provider to which the model call went."""
    request_model: str | None = None
    """The model that was asked for."""
    message_role: str | None = None
    """The role of the message that it is about."""
    decision_type: str | None = None
    """The kind of the decision that it is about."""
    severity: str | None = None
    """How bad the problem that it is about is."""
    source: str | None = None
    """The import that began the stream; None where none did."""

    def facts(self) -> dict[str, str]:
        """Return the fields that are known, as they are stored."""
        return {name: value for name, value in zip(self._fields, self, strict=True) if value is not None}


class Metadata(Value):
    """Who recorded the event, when by their own clock, and what it belongs to."""

    actor: Actor
    occurred_at: Time | None = None
    causation_id: Id | None = None
    correlation_id: Id | None = None
    traceparent: Text | None = None
    request_digest: Text | None = None
    """The digest of the request under an idempotency key, to notice a different request under the same key."""


class _NoMoment(ValueError):
    """A time of the producer's that nobody can read."""


_UNREADABLE = (LookupError, RecursionError, TypeError, ValueError)
"""What comes of reading what Runfold did not write."""


def _facts(text: str) -> Fields:
    facts = json.loads(text)
    if not isinstance(facts, dict):
        raise TypeError("it is no JSON object")
    return facts


@lru_cache(maxsize=8192)
def _context(text: str) -> Context:
    facts = _facts(text)
    try:
        return Context(**facts)
    except TypeError:  # a newer version of the program knows more
        return Context(**{name: facts[name] for name in Context._fields if name in facts})


@lru_cache(maxsize=8192)
def _metadata(text: str) -> Metadata:
    try:
        return Metadata.model_validate_json(text)
    except ValidationError:  # a newer version of the program knows more
        return _metadata_of_newer(_facts(text))


def _metadata_of_newer(facts: Fields) -> Metadata:
    """Return what is known here of who recorded an event and when; of what is not, nothing is said."""
    actor = facts["actor"] if isinstance(facts.get("actor"), dict) else {}
    said = Actor.model_construct(kind=actor.get("kind", "unknown"), id=str(actor.get("id", "unknown")))
    return Metadata.model_construct(
        **{name: facts[name] for name in Metadata.model_fields if isinstance(facts.get(name), str) and name != "occurred_at"},
        actor=said,
        occurred_at=_occurred_at(json.dumps(facts)),
    )


@lru_cache(maxsize=8192)
def _occurred_at(text: str) -> datetime | None:
    """Return the part of the metadata that every fold asks for, in a sixth of the time."""
    said = json.loads(text).get("occurred_at") if '"occurred_at"' in text else None
    try:
        return None if said is None else datetime.fromisoformat(said).astimezone(UTC)
    except (OverflowError, TypeError, ValueError):
        raise _NoMoment(f"occurred_at is {shortened(repr(said))}") from None


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
            return _context(self.context_json)
        except _UNREADABLE as error:
            raise self._unreadable("context", error) from None

    @property
    def metadata(self) -> Metadata:
        """Return who recorded the event, when by their own clock, and what it belongs to.

        Raises UnreadableEvent, UnreadableTime.
        """
        try:
            return _metadata(self.metadata_json)
        except _UNREADABLE as error:
            raise self._unreadable("metadata", error) from None

    @property
    def happened_at(self) -> datetime:
        """The producer's time where it gave one, else the store's. Raises UnreadableEvent, UnreadableTime."""
        try:
            return _occurred_at(self.metadata_json) or self.recorded_at
        except _UNREADABLE as error:
            raise self._unreadable("metadata", error) from None

    def facts_beside(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return context and metadata as they are stored. Raises UnreadableEvent."""
        try:
            return _facts(self.context_json), _facts(self.metadata_json)
        except _UNREADABLE as error:
            raise self._unreadable("context or metadata", error) from None

    def _unreadable(self, what: str, error: Exception) -> UnreadableEvent | UnreadableTime:
        """Return the error to be raised over what stands beside the event, which says of which event it is."""
        if isinstance(error, _NoMoment):
            return UnreadableTime(event_at(self.position, self.version, self.stream), str(error))
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        return UnreadableEvent(self.type, self.position, f"its {what} is not what Runfold stores: {why}")

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


class AlreadyRecorded(Exception):
    """What a command would create stands at this version of that stream: compare, and answer with it."""

    def __init__(self, thing: str, id: str, stream: str, version: int, proposed: Event) -> None:
        super().__init__(f"{thing} {id} is recorded in {stream} at version {version}")
        self.thing, self.id, self.stream, self.version, self.proposed = thing, id, stream, version, proposed


Events = list[Event]
