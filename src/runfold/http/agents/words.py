"""An agent's events, made sure of: each is an AG-UI event, or the stream is broken."""

import re
from typing import Any

from pydantic import BaseModel, ValidationError

from runfold.agui.fields import MODELS, require_type
from runfold.agui.rules import Broken

Event = dict[str, Any]
_FORMER = re.compile(r"THINKING(_TEXT_MESSAGE)?_(START|CONTENT|END)\Z")


class BrokenStreamError(Exception):
    """What an agent sent breaks a rule of AG-UI in a way that nothing after it can be trusted."""

    def __init__(self, rule: str, fact: str) -> None:
        super().__init__(f"{rule}: {fact}")
        self.rule, self.fact = rule, fact


def read(given: Any, thought: str) -> Event:
    """Return what an agent yielded as an event; one of AG-UI's former thinking as one of reasoning, of the message `thought`.

    Raises BrokenStreamError.
    """
    if isinstance(given, BaseModel):
        return _modern(given.model_dump(mode="json", by_alias=True, exclude_none=True), thought)
    try:
        require_type(given)
    except Broken as broken:
        raise BrokenStreamError(broken.rule, broken.fact) from None
    event = _modern(given, thought)
    if (model := MODELS.get(event["type"])) is not None:
        try:
            model.model_validate(event)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BrokenStreamError("fields", f"{event['type']}: {where}: {first['msg']}") from None
    return event


def _modern(event: Event, thought: str) -> Event:
    found = _FORMER.match(event["type"])
    if found is None:
        return event
    stem = "REASONING_MESSAGE" if found[1] else "REASONING"
    return {**event, "type": f"{stem}_{found[2]}", "messageId": event.get("messageId") or thought, "role": "reasoning"}
