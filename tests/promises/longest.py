"""The longest of everything that an event may say: texts that no compression makes shorter."""

import random
import string
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson
from hypothesis import Phase, find, settings
from pydantic import BaseModel, ValidationError

from runfold.domain.catalogue import event_types
from runfold.domain.context import Context
from runfold.domain.event import Event
from runfold.domain.recorded import Recorded
from runfold.domain.values import LABEL_LENGTH
from runfold.errors import InvalidEvent
from tests.promises.any_event import any_of

RARE = range(0x20000, 0x2A6D0)
"""Characters of four bytes."""
ID_LENGTH = 200


def longest_events(seed: int) -> list[Recorded]:
    """One event of each class, in one run; positions count from 1."""
    dice = random.Random(seed)  # noqa: S311
    run_id, thread_id = _id(dice, "run_"), _id(dice, "thread_")
    context = dict.fromkeys(Context._fields, "")
    facts = {name: _rare(dice, LABEL_LENGTH) for name in context} | {"run_id": run_id, "parent_run_id": _id(dice, "run_")}
    facts |= {name: _id(dice) for name in ("call_id", "decision_id", "call_run_id")}
    metadata = orjson.dumps({"actor": {"kind": "human", "id": _rare(dice, LABEL_LENGTH)}}).decode()
    ids, found = dict[str, str](), []
    for position, event_class in enumerate(sorted(event_types.all().values(), key=_begins_late), 1):
        event = _longest(_any(event_class), dice, ids)
        now, context_json = datetime(2026, 1, 31, tzinfo=UTC), orjson.dumps(facts).decode()
        found.append(
            Recorded(position, run_id, position, event, b"\0" * 16, "default", thread_id, now, 1, context_json, metadata)
        )
    return found


@cache
def _any(event_class: type[Event]) -> Event:
    first = settings(database=None, derandomize=True, phases=[Phase.generate], max_examples=500)
    return find(any_of(event_class), lambda event: bool(getattr(event, "votes", True)), settings=first)  # type: ignore[no-any-return]  # it is one of them


def _begins_late(event_class: type[Event]) -> tuple[bool, str]:
    return event_class.type not in {"thread.created", "run.created"}, event_class.type


def _longest(model: Any, dice: random.Random, ids: dict[str, str]) -> Any:
    """The same with the longest of each text. A field of one name has one id in all events."""
    fields = dict(model.__dict__)
    for name, value in fields.items():
        for longer in _longer(name, value, dice, ids):
            try:
                type(model)(**{**fields, name: longer})
            except (ValidationError, InvalidEvent, TypeError):
                continue
            fields[name] = longer
            break
    return type(model)(**fields)


def _longer(name: str, value: Any, dice: random.Random, ids: dict[str, str]) -> list[Any]:
    """What a field might hold instead, the longest first."""
    if isinstance(value, BaseModel):
        return [_longest(value, dice, ids)]
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return [tuple([_longest(each, dice, ids) for each in value])]
    if value is None or isinstance(value, str):
        prefix = value.partition("_")[0] + "_" if value and "_" in value else ""
        own = ids.setdefault(name, _id(dice))
        return [_rare(dice, 20_000), _rare(dice, LABEL_LENGTH), own, _id(dice, prefix)]
    return []


def _rare(dice: random.Random, length: int) -> str:
    return "".join(map(chr, dice.choices(RARE, k=length)))


def _id(dice: random.Random, prefix: str = "") -> str:
    return prefix + "".join(dice.choices(string.ascii_letters + string.digits, k=ID_LENGTH - len(prefix)))
