"""An event as those outside of the process are given it: in our own words, and as a CloudEvent.

Fields that are disclosed to nobody are left out. Context and metadata go out as they are stored, and so does what happened, once
it was read and where to write it anew would say nothing else.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

import orjson
from pydantic import BaseModel

from runfold.domain.event import Event
from runfold.domain.raw_event import RawEvent
from runfold.domain.recorded import Recorded
from runfold.store.cursor import cursor_of

CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENTS = "application/cloudevents-batch+json"
"""The media types of one CloudEvent, and of several."""
_LF, _CR = b"\n\r"
_SEQUENCE_DIGITS = 19
"""Enough for every position, so that texts sort as the positions do."""


def disclosed_data(recorded: Recorded) -> bytes:
    """Return what happened, as JSON."""
    return _disclosed(recorded, recorded.event)


def _disclosed(recorded: Recorded, event: Event) -> bytes:
    if isinstance(event, RawEvent):
        return orjson.dumps(event.disclosed)
    needed = _needed(type(event))
    if needed is not None and recorded.schema_version == event.schema_version and needed <= event.__pydantic_fields_set__:
        stored: bytes | None = getattr(recorded, "payload", None)
        if stored is not None and not (_LF in stored or _CR in stored) and stored.find(b"null") < 0:  # as all that Runfold writes
            return stored
    return event.__pydantic_serializer__.to_json(event, exclude_none=True, exclude=event.undisclosed or None)


@cache
def _needed(kind: type[Event]) -> frozenset[str] | None:
    """Return the fields that an event has even where none is stored: with these it says as it is stored all that it says.

    None where it may not be shown as it is stored, or where what its fields hold has such fields in turn.
    """
    if kind.undisclosed or any(_says_more(info.annotation) for info in kind.model_fields.values()):
        return None
    return frozenset(name for name, info in kind.model_fields.items() if info.get_default(call_default_factory=True) is not None)


def _says_more(annotation: Any) -> bool:
    """Return whether a model that is named there has fields of its own accord, but for the name of what it is."""
    for model in _models(annotation):
        for info in model.model_fields.values():
            is_name = get_origin(info.annotation) is Literal and len(get_args(info.annotation)) == 1
            has_default = not info.is_required() and info.get_default(call_default_factory=True) is not None
            if (has_default and not is_name) or _says_more(info.annotation):
                return True
    return False


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def event_json(recorded: Recorded) -> bytes:
    """Return the event as `Recorded.as_json` has it, in one line."""
    event, digits = recorded.event, recorded.event_id_bytes.hex("-", 2)  # a UUID of its own takes three times as long to make
    facts: dict[str, Any] = {
        "position": recorded.position,
        "stream": recorded.stream,
        "version": recorded.version,
        "type": recorded.type,
        "event_id": f"{digits[:4]}{digits[5:29]}{digits[30:34]}{digits[35:]}",
        "tenant_id": recorded.tenant_id,
        "thread_id": recorded.thread_id,
        "recorded_at": recorded.recorded_at,
        "schema_version": recorded.schema_version,
        "data_version": event.schema_version,
        "context": orjson.Fragment(recorded.context_json),
        "metadata": orjson.Fragment(recorded.metadata_json),
        "data": orjson.Fragment(_disclosed(recorded, event)),
    }
    if isinstance(event, RawEvent):
        facts["raw"] = True
    return orjson.dumps(facts)


def cloudevent(recorded: Recorded, epoch: UUID, data: bytes | None = None) -> bytes:
    """Return the event as a CloudEvent 1.0 in JSON; `data` stands in it instead of what happened.

    `source` and `id` name it for ever. `sequence` and `partitionkey` are the extensions of those names: the order of the ledger,
    and the stream within which it matters. `cursor` is where to go on after it.
    """
    context, metadata = recorded.facts_beside()
    facts: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(recorded.event_id),
        "source": f"urn:runfold:{recorded.tenant_id}",
        "type": f"runfold.{recorded.type}",
        "subject": recorded.stream,
        "time": recorded.recorded_at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "dataschema": f"urn:runfold:schema:{recorded.type}:{recorded.event.schema_version}",
        "sequence": f"{recorded.position:0{_SEQUENCE_DIGITS}d}",
        "partitionkey": recorded.stream,
        "cursor": cursor_of(recorded.position, epoch),
        "streamversion": recorded.version,
        "threadid": recorded.thread_id,
    }
    if run_id := context.get("run_id"):
        facts["runid"] = run_id
    if traceparent := metadata.get("traceparent"):
        facts["traceparent"] = traceparent
    if data is not None:
        del facts["dataschema"]  # it is that of what happened
    return orjson.dumps({**facts, "data": orjson.Fragment(disclosed_data(recorded) if data is None else data)})
