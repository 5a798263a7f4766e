"""An agent's events, made sure of: each is an AG-UI event, or the stream is broken."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

Event = dict[str, Any]
_FORMER = re.compile(r"THINKING(_TEXT_MESSAGE)?_(START|CONTENT|END)\Z")


class BrokenStreamError(Exception):
    """What an agent sent breaks a rule of AG-UI in a way that nothing after it can be trusted."""

    def __init__(self, rule: str, fact: str) -> None:
        super().__init__(f"{rule}: {fact}")
        self.rule, self.fact = rule, fact


def read(given: Any) -> Event:
    """Return what an agent yielded as an event. Raises BrokenStreamError."""
    if isinstance(given, BaseModel):
        return given.model_dump(mode="json", by_alias=True, exclude_none=True)
    if not isinstance(given, dict) or not isinstance(given.get("type"), str) or not given["type"]:
        raise BrokenStreamError("event-has-a-type", "an event is a JSON object with a `type`")
    check = checks().get(given["type"])
    if check is not None:
        try:
            check(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BrokenStreamError("event-has-its-fields", f"{given['type']}: {where}: {first['msg']}") from None
    return given


@cache
def checks() -> dict[str, Callable[[Any], Any]]:
    import ag_ui.core  # noqa: PLC0415  only who serves agents has it

    found: dict[str, Callable[[Any], Any]] = {}
    for name in dir(ag_ui.core):
        kind = getattr(ag_ui.core, name)
        if isinstance(kind, type) and issubclass(kind, BaseModel) and name.endswith("Event") and name != "BaseEvent":
            default = kind.model_fields["type"].default if "type" in kind.model_fields else None
            if default is not None:
                found[getattr(default, "value", str(default))] = TypeAdapter(kind).validate_python
    return found


def modern(event: Event, id: str) -> Event:
    """Return an event of AG-UI's former thinking as one of reasoning; any other as it is."""
    found = _FORMER.match(event["type"])
    if found is None:
        return event
    stem = "REASONING_MESSAGE" if found[1] else "REASONING"
    return {**event, "type": f"{stem}_{found[2]}", "messageId": event.get("messageId") or id, "role": "reasoning"}
