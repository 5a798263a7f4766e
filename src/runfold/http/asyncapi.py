"""The AsyncAPI document: what Runfold sends by itself, in which channels, made from the classes of the events."""

import inspect
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from runfold.delivery.bodies import JSON
from runfold.domain.event import Event
from runfold.domain.webhook import OWN_TYPES
from runfold.feed.event_json import CLOUDEVENT
from runfold.http.routes.events import EventView

_SCHEMAS = "#/components/schemas/"
_SIGNED = {
    "webhook-id": "The event's id: the same each time that it is sent.",
    "webhook-timestamp": "When it was sent, in seconds since 1970.",
    "webhook-signature": "Signatures as Standard Webhooks has them (`v1,…`), one for each secret in use, with a space between.",
}


class ThinEvent(BaseModel):
    """Which event it is, and where it can be read."""

    event_id: str
    type: str
    position: int
    cursor: str
    """Where to go on after it."""
    stream: str
    version: int
    thread_id: str
    run_id: str | None = None
    recorded_at: str
    link: str


class RunCallback(BaseModel):
    """How a run has ended, for the address that it named."""

    run_id: str
    status: str
    completed_at: str
    metadata: dict[str, Any]
    """The run's; with `result` (`messages`, `stop_reason`, `usage`) where that was asked for."""


class StepCallback(BaseModel):
    """A step has ended."""

    step_id: str


def asyncapi(events: Mapping[str, type[Event]]) -> dict[str, Any]:
    """Return the document for some event types."""
    schemas = _schemas(events)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Runfold",
            "version": metadata.version("runfold"),
            "description": "What Runfold sends by itself: events as they are recorded, to who follows them and to webhooks, and "
            "the ends of runs and steps to addresses that were named. Each comes at least once, under the same id.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "channels": _channels(events),
        "operations": {
            f"send_{name}": {"action": "send", "channel": {"$ref": f"#/channels/{name}"}}
            for name in ("events", "webhooks", "callbacks", "steps")
        },
        "components": {
            "messages": {**{name: _message(name, event) for name, event in events.items()}, **_others()},
            "schemas": schemas,
        },
    }


def _channels(events: Mapping[str, type[Event]]) -> dict[str, Any]:
    """Return the ways on which something is sent, by name."""
    types = [name for name in events if not any(name.startswith(own.rstrip("*")) for own in OWN_TYPES)]
    return {
        "events": {
            "address": "/events",
            "title": "The feed",
            "description": "A stream of all events, with `Accept: text/event-stream`; `Last-Event-ID` resumes it. With "
            "`format=cloudevents` each is a CloudEvent.",
            "messages": {**_references(events), "cloudevent": _reference("followed")},
        },
        "webhooks": {
            "address": None,
            "title": "Webhooks",
            "description": "A POST for each event that the webhook's filter lets pass, in our own words or as a CloudEvent.",
            "messages": {**_references(types), "thin": _reference("thin"), "cloudevent": _reference("cloudevent")},
        },
        "callbacks": {
            "address": None,
            "title": "callback_url of runs",
            "description": "A POST once the run has ended.",
            "messages": {"callback": _reference("callback")},
        },
        "steps": {
            "address": None,
            "title": "RUNFOLD_STEP_WEBHOOK_URL",
            "description": "A POST for each step that has ended.",
            "messages": {"step": _reference("step")},
        },
    }


def _schemas(events: Mapping[str, type[Event]]) -> dict[str, Any]:
    """Return the schemas of what is sent, by name, and those that they refer to."""
    models: dict[str, type[BaseModel]] = {"event": EventView, "thin": ThinEvent, "callback": RunCallback, "step": StepCallback}
    inputs: list[tuple[str, Literal["serialization"], TypeAdapter[Any]]] = []
    inputs += [(f"{name}.data", "serialization", TypeAdapter(event)) for name, event in events.items()]
    inputs += [(name, "serialization", TypeAdapter(model)) for name, model in models.items()]
    found, rest = TypeAdapter.json_schemas(inputs, ref_template=f"{_SCHEMAS}{{model}}")
    named: dict[str, Any] = {str(name): schema for (name, _), schema in found.items()}
    cloudevent = {
        "type": "object",
        "description": "A CloudEvent 1.0; its data is the event's, or which event it is.",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": {"const": "1.0"},
            **{name: {"type": "string"} for name in ("id", "source", "type", "subject", "time", "datacontenttype", "dataschema")},
            **{name: {"type": "string"} for name in ("sequence", "partitionkey", "cursor", "threadid", "runid", "traceparent")},
            "streamversion": {"type": "integer"},
            "data": {"type": "object"},
        },
    }
    return {**dict(sorted({**named, "cloudevent": cloudevent}.items())), **rest.get("$defs", {})}


def _message(name: str, event: type[Event]) -> dict[str, Any]:
    holds = {"type": "object", "properties": {"type": {"const": name}, "data": {"$ref": f"{_SCHEMAS}{name}.data"}}}
    return {
        "name": name,
        "summary": inspect.cleandoc(event.__doc__ or "").split("\n")[0],
        "contentType": JSON,
        "payload": {"allOf": [{"$ref": f"{_SCHEMAS}event"}, holds]},
    }


def _others() -> dict[str, Any]:
    headers = {"type": "object", "properties": {name: {"type": "string", "description": text} for name, text in _SIGNED.items()}}
    of = {
        "thin": ("Which event it is, and where it can be read.", JSON),
        "cloudevent": ("An event as a CloudEvent.", CLOUDEVENT),
        "callback": ("How a run has ended.", JSON),
        "step": ("A step has ended.", JSON),
    }
    followed = {"summary": "An event of the feed as a CloudEvent.", "contentType": CLOUDEVENT}
    return {
        "followed": {"name": "cloudevent", **followed, "payload": {"$ref": f"{_SCHEMAS}cloudevent"}},
    } | {
        name: {
            "name": name,
            "summary": summary,
            "contentType": media_type,
            "headers": headers,
            "payload": {"$ref": f"{_SCHEMAS}{name}"},
        }
        for name, (summary, media_type) in of.items()
    }


def _references(names: Iterable[str]) -> dict[str, Any]:
    return {name: _reference(name) for name in names}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{name}"}
