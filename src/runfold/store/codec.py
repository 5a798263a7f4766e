"""Event ↔ stored row. Plain JSON; types come from the registry alone, so that no stored name is ever imported."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import orjson

from runfold.domain.catalogue import event_types
from runfold.domain.event import Event, EventTypes
from runfold.domain.raw_event import read_or_raw
from runfold.domain.recorded import Recorded
from runfold.errors import InvalidEvent, shortened

StreamKey = tuple[str, str]
"""A stream's tenant and its name: which stream it is, for two tenants may use the same names."""


class Row(NamedTuple):
    """An event as the append function takes it: one value a column."""

    stream: str
    version: int
    type: str
    schema_version: int
    state: bytes
    key_id: str | None
    tenant_id: str
    thread_id: str
    event_id: bytes
    context: str
    metadata: str


class Limits(NamedTuple):
    """The largest that is taken, in bytes of JSON."""

    string_bytes: int
    event_bytes: int


COLUMNS = (
    "notification_id, originator_id, originator_version, topic, schema_version, state, "
    "tenant_id, thread_id, uuid_send(event_id), recorded_at, context::text, metadata::text, salt"
)
"""What `decode` takes, in its order."""


def encode(event: Event, limits: Limits) -> bytes:
    """The payload's JSON bytes. Raises InvalidEvent for what is too large."""
    _, _, to_json = form_of(type(event))
    state = to_json(event, exclude_none=True)
    if len(state) > limits.event_bytes:
        raise InvalidEvent("", f"is {len(state)} bytes of JSON; an event takes {limits.event_bytes}", event.type)
    if len(state) > limits.string_bytes:
        _check_strings(orjson.loads(state), limits.string_bytes, event.type)
    return state


class Form(NamedTuple):
    """How events of a class are stored: under which name and version, and what writes them."""

    type: str
    schema_version: int
    to_json: Callable[..., bytes]


@cache
def form_of(kind: type[Event]) -> Form:
    """Return how events of a class are stored: looked up once, for models are slow to tell what stands in their class."""
    return Form(kind.type, kind.schema_version, kind.__pydantic_serializer__.to_json)


def decode(columns: tuple[Any, ...], types: EventTypes = event_types) -> Recorded:
    """A stored row → recorded event, which is read. Raises UnknownEventType, UnreadableEvent."""
    return Recorded.unread(columns, types.read).readable()


def unread(columns: tuple[Any, ...]) -> Recorded:
    """Return the same before its event is read; asking for that raises UnknownEventType, UnreadableEvent."""
    return Recorded.unread(columns, _read)


def unread_or_raw(columns: tuple[Any, ...]) -> Recorded:
    """Return the same, as it is stored where only a newer Runfold knows the event; asking for it raises UnreadableEvent."""
    return Recorded.unread(columns, read_or_raw)


def as_recorded(row: Row, position: int, recorded_at: datetime, event: Event) -> Recorded:
    """Return a row that was stored as the log has it; `event` is what it holds, and nobody changes it.

    Of its salt nothing is known, and its context and metadata are as they were sent: the database writes them otherwise.
    """
    return Recorded.unread((position, *row[:5], *row[6:9], recorded_at, *row[9:], None), _read, event)


_read = event_types.read


def dump(facts: Mapping[str, Any]) -> str:
    """Context or metadata → JSON text."""
    return orjson.dumps(facts, default=_jsonable).decode()


def _jsonable(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in metadata")


def _check_strings(value: Any, limit: int, event_type: str) -> None:
    if found := _too_long(value, limit):
        size, steps = found
        raise InvalidEvent(".".join(reversed(steps)), f"is {size} bytes; a string takes {limit}", event_type)


def _too_long(value: Any, limit: int) -> tuple[int, list[str]] | None:
    """The first string that is too long: its bytes, and the way to it, the innermost step first."""
    match value:
        case str():
            size = len(value.encode())
            return (size, []) if size > limit else None
        case dict():
            for key, member in value.items():
                if found := _too_long(key, limit):
                    return found[0], [f"{shortened(key, 40)} (key)"]
                if found := _too_long(member, limit):
                    found[1].append(shortened(key))
                    return found
        case list():
            for index, member in enumerate(value):
                if found := _too_long(member, limit):
                    found[1].append(str(index))
                    return found
    return None
