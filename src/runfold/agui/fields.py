"""Whether an AG-UI event has the fields of its type, and none that is null where it should be left out."""

from typing import Any, get_args

from ag_ui.core import BaseEvent, Event
from pydantic import BaseModel, ValidationError

from runfold.agui.rules import Broken
from runfold.errors import shortened

_REQUEST = {"threadId", "runId", "messages"}
"""What a request has, and no event."""
_OUTCOMES = {"RUN_FINISHED": {"success", "interrupt", "cancelled"}, "SUBAGENT_FINISHED": {"success", "suspended"}}


def _models() -> dict[str, type[BaseEvent]]:
    union = get_args(Event)[0]
    return {get_args(model.model_fields["type"].annotation)[0].value: model for model in get_args(union)}


MODELS = _models()
_BY_LETTERS = {name.replace("_", "").lower(): name for name in MODELS}


def require_type(event: Any) -> tuple[str, bool]:
    """Return an event's type, and whether AG-UI has it: what it does not have passes. Raises Broken."""
    if not isinstance(event, dict):
        raise Broken("object", f"it is {type(event).__name__}")
    found = event.get("type")
    if not isinstance(found, str) or not found:
        raise Broken("type", _no_type(event) if found is None else f"its type is {shortened(repr(found), 40)}")
    if found in MODELS:
        return found, True
    if (meant := _BY_LETTERS.get(found.replace("_", "").replace("-", "").lower())) is not None:
        raise Broken("type", f"its type is {shortened(found, 60)!r}, which is written {meant}")
    return found, False


def _no_type(event: dict[str, Any]) -> str:
    if event.keys() >= _REQUEST:
        return "it has none: it is a RunAgentInput, the request of a client; send it to a URL (`--post FILE`), check the answer"
    return "it has none"


def require_fields(kind: str, event: dict[str, Any]) -> BaseEvent:
    """Return an event as its model has it. Raises Broken."""
    outcome = event.get("outcome")
    if kind in _OUTCOMES and isinstance(outcome, dict) and outcome.get("type") not in _OUTCOMES[kind]:
        known = ", ".join(sorted(_OUTCOMES[kind]))
        raise Broken("outcome", f"its outcome is {shortened(repr(outcome.get('type')), 40)}, which is none of {known}")
    try:
        made = MODELS[kind].model_validate(event, strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        steps = [str(step) for step in fault["loc"]]
        if _at(event, fault["loc"]) is None and fault["type"] != "missing":
            raise Broken("no-null", f"{'.'.join(steps)} is null") from None
        raise Broken("fields", f"{'.'.join(steps) or kind}: {fault['msg']}") from None
    if (path := null_in(made)) is not None:
        raise Broken("no-null", f"{path} is null")
    return made


def null_in(model: BaseModel) -> str | None:
    """Return the path of the first field that is null where it should be left out."""
    for name in model.model_fields_set:
        field = type(model).model_fields.get(name)
        if field is None:
            continue
        value, wire_name = getattr(model, name), field.alias or name
        if value is None and not field.is_required() and Any not in (field.annotation, *get_args(field.annotation)):
            return wire_name
        if (inner := _null_within(value)) is not None:
            return f"{wire_name}.{inner}"
    return None


def _null_within(value: Any) -> str | None:
    if isinstance(value, BaseModel):
        return null_in(value)
    if isinstance(value, list):
        found = ((index, null_in(member)) for index, member in enumerate(value) if isinstance(member, BaseModel))
        return next((f"{index}.{path}" for index, path in found if path is not None), None)
    return None


def _at(event: Any, steps: tuple[int | str, ...]) -> Any:
    """What stands at a location; not null where there is nothing."""
    for step in steps:
        if isinstance(event, dict):
            event = event.get(step, "")
        elif isinstance(event, list) and isinstance(step, int) and step < len(event):
            event = event[step]
    return event
