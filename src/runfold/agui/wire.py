"""AG-UI's events as they go over the wire: JSON objects, made through the models of `ag-ui-protocol`, and their frames."""

from typing import Any, TypeVar

import orjson
from ag_ui.core import BaseEvent, CustomEvent
from pydantic import BaseModel

from runfold.agui.wire_key import CUSTOM, KEY
from runfold.domain.event import Event
from runfold.domain.recorded import Recorded

WireEvent = dict[str, Any]
"""An event as JSON. What is optional and has no value is left out, and never null."""

E = TypeVar("E", bound=BaseEvent)


def wire(kind: type[E], metadata: dict[str, Any] | None = None, **fields: Any) -> WireEvent:
    """Return an event. Raises ValidationError where its fields are not AG-UI's."""
    given = {name: value for name, value in fields.items() if value is not None}
    made = kind(**given, **({"metadata": {KEY: metadata}} if metadata else {}))
    return as_json(made)


def as_json(model: BaseModel) -> dict[str, Any]:
    """Return a model of AG-UI as it goes over the wire."""
    found: dict[str, Any] = model.model_dump(mode="json", by_alias=True)
    return found


def custom(event: Event, metadata: dict[str, Any], subagent: str | None) -> WireEvent:
    """Return an event of the ledger that AG-UI has no words for."""
    value = event.model_dump(mode="json", exclude_none=True)
    return wire(CustomEvent, metadata, name=f"{CUSTOM}{event.type}", value=value, subagent_run_id=subagent)


def place(recorded: Recorded) -> dict[str, Any]:
    """Return where in the ledger stands what an event tells of."""
    return {"position": recorded.position, "stream": recorded.stream, "version": recorded.version}


def frame(event: WireEvent, id: str | None = None) -> bytes:
    """Return an event as a server-sent event: lines end in LF, which is all that AG-UI's own client takes."""
    told = f"id: {id}\n".encode() if id is not None else b""
    return told + b"data: " + orjson.dumps(event) + b"\n\n"
