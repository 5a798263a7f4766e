"""Events that a newer Runfold recorded: whoever follows the log is given them as they are stored, and no fold takes them in."""

import json
from typing import Any

from pydantic import model_serializer

from runfold.domain.catalogue import event_types
from runfold.domain.event import Event, EventTypes
from runfold.errors import UnknownEventType, UnreadableEvent


class RawEvent(Event):
    """An event of a type, of a schema version or with fields that only a newer Runfold knows, as it is stored."""

    type: str  # type: ignore[misc]  # of a class that is known it is the class's, and here the event's own
    schema_version: int  # type: ignore[misc]
    """The version of the shape that `data` has."""
    data: dict[str, Any]
    """Its fields as they are stored: nothing is checked, left out or guessed."""
    reason: str
    """Why it cannot be read as what it is."""

    @model_serializer(mode="plain")
    def stored(self) -> dict[str, Any]:
        """Return its fields, which is what there is to show of it."""
        return self.data

    @property
    def disclosed(self) -> dict[str, Any]:
        """Return what HTTP may show: of what concerns keys nothing, for nobody here knows which fields are secret."""
        known = event_types[self.type].undisclosed if self.type in event_types else set()
        return {} if self.type.startswith("security.") else {name: each for name, each in self.data.items() if name not in known}


def read_or_raw(
    type: str, schema_version: int, data: bytes, position: int | None = None, types: EventTypes = event_types
) -> Event:
    """Stored bytes → event of today's shape, or as it is stored where a newer Runfold wrote it.

    What matches no shape of its version, and has no field that is new, is damaged. Raises UnreadableEvent.
    """
    try:
        return types.read(type, schema_version, data, position)
    except UnknownEventType as error:
        return raw(type, schema_version, data, position, str(error))
    except UnreadableEvent as error:
        if not error.has_new_field:
            raise
        return raw(type, schema_version, data, position, str(error))


def raw(type: str, schema_version: int, data: bytes, position: int | None, reason: str) -> RawEvent:
    """Return an event as it is stored. Raises UnreadableEvent for what is no JSON object."""
    try:
        fields = json.loads(data)
    except ValueError as error:
        raise UnreadableEvent(type, position, f"it is no JSON ({error})") from None
    if not isinstance(fields, dict):
        raise UnreadableEvent(type, position, "it is no JSON object")
    return RawEvent(type=type, schema_version=schema_version, data=fields, reason=reason)
