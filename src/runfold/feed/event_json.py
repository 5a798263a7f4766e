"""An event as those outside of the process are given it: in our own words, and as a CloudEvent.

Fields that are disclosed to nobody are left out. Context and metadata go out as they are stored.
"""

from typing import Any
from uuid import UUID

import orjson

from runfold.domain.event import Recorded
from runfold.domain.raw_event import RawEvent
from runfold.store.cursor import cursor_of

CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENTS = "application/cloudevents-batch+json"
"""The media types of one CloudEvent, and of several."""
_SEQUENCE_DIGITS = 19
"""Enough for every position, so that texts sort as the positions do."""


def disclosed_data(recorded: Recorded) -> bytes:
    """Return what happened, as JSON."""
    event = recorded.event
    if isinstance(event, RawEvent):
        return orjson.dumps(event.disclosed)
    return event.__pydantic_serializer__.to_json(event, exclude_none=True, exclude=event.undisclosed or None)


def event_json(recorded: Recorded) -> bytes:
    """Return the event as `Recorded.as_json` has it, in one line."""
    is_raw = isinstance(recorded.event, RawEvent)
    digits = recorded.event_id_bytes.hex()  # a UUID of its own takes three times as long to make
    return orjson.dumps(
        {
            "position": recorded.position,
            "stream": recorded.stream,
            "version": recorded.version,
            "type": recorded.type,
            "event_id": f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}",
            "tenant_id": recorded.tenant_id,
            "thread_id": recorded.thread_id,
            "recorded_at": recorded.recorded_at,
            "schema_version": recorded.schema_version,
            "data_version": recorded.event.schema_version,
            "context": orjson.Fragment(recorded.context_json),
            "metadata": orjson.Fragment(recorded.metadata_json),
            "data": orjson.Fragment(disclosed_data(recorded)),
            **({"raw": True} if is_raw else {}),
        }
    )


def cloudevent(recorded: Recorded, epoch: UUID, data: bytes | None = None) -> bytes:
    """Return the event as a CloudEvent 1.0 in JSON; `data` stands in it instead of what happened.

    `source` and `id` name it for ever. `sequence` and `partitionkey` are the extensions of those names: the order of the ledger,
    and the stream within which it matters. `cursor` is where to go on after it.
    """
    context, metadata = orjson.loads(recorded.context_json), orjson.loads(recorded.metadata_json)
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
