"""What an event is, and the registry of all types."""

import json
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema

from runfold.domain.first_fault import failing_fast, told_fault
from runfold.domain.values import PATTERN_WORDS, same
from runfold.errors import InvalidEvent, UnknownEventType, UnreadableEvent, UsageError

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


def refusal(error: ValidationError, event_type: str | None = None, given: Any = None) -> InvalidEvent:
    """Translate pydantic's error into InvalidEvent, with the path of the first invalid field in `given`, where that is known."""
    way, first = told_fault(error, given)
    inner = first.get("ctx", {}).get("at", "")
    path = ".".join([*way, *([inner] if inner else [])])
    reason = PATTERN_WORDS.get(first.get("ctx", {}).get("pattern", ""), first["msg"])
    return InvalidEvent(path, reason, event_type or error.title)


class AlreadyRecorded(Exception):
    """What a command would create stands at this version of that stream: compare, and answer with it."""

    def __init__(self, thing: str, id: str, stream: str, version: int, proposed: Event) -> None:
        super().__init__(f"{thing} {id} is recorded in {stream} at version {version}")
        self.thing, self.id, self.stream, self.version, self.proposed = thing, id, stream, version, proposed


Events = list[Event]
