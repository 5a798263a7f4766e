"""Whether a fold is pure, looked at now and then while it works: folded twice it gives the same, it asks for no clock, and
it leaves alone what it is given.

What only shows from one process to another (the order of a set, say) is found by trial.py.
"""

import copy
import os
import random
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple, TypeVar, cast

from pydantic import BaseModel

from runfold.domain.recorded import Recorded
from runfold.errors import ImpureProjection
from runfold.projections.fold import FoldFailed, Standings, fold, touched
from runfold.projections.projection import AnyProjection, Key, Row
from runfold.uncollected import uncollected

SAMPLE = 100
"""How many events of a page are folded again."""
_FORBIDDEN = {
    "time": {
        "time",
        "time_ns",
        "monotonic",
        "monotonic_ns",
        "perf_counter",
        "perf_counter_ns",
        "process_time",
        "process_time_ns",
        "localtime",
        "gmtime",
    },
    "posix": {"urandom", "getpid", "times"},
    "_uuid": {"generate_time_safe"},
    "io": {"open"},
    "_io": {"open"},
    "_socket": {"getaddrinfo", "gethostname"},
}
_SHARED_CHANCE = cast("Any", random.random).__self__
"""What `random.random()` draws from. A generator that a fold seeds by itself is as pure as its seed."""
_ENVIRONMENT = {type(os.environ).__getitem__.__code__, type(os.environ).__iter__.__code__, type(os.environ).copy.__code__}
_UNCHANGEABLE = frozenset({str, int, float, bool, type(None), bytes, Decimal, datetime, date, timedelta})
T = TypeVar("T")


class _Answer(NamedTuple):
    keys: list[Key]
    changed: Standings


class _Guarded:
    """A projection, and a look at what its evolve was given: afterwards it must be as it was."""

    def __init__(self, projection: AnyProjection) -> None:
        self._projection = projection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._projection, name)

    def evolve(self, row: Row, recorded: Recorded) -> Row | None:
        given = {"row": row.__dict__, "event": recorded.event.__dict__}
        kept = _copied(given)
        after = self._projection.evolve(row, recorded)
        for what, fields in given.items():
            if fields != kept[what]:
                fields.clear()
                fields.update(kept[what])  # others are given it too
                raise ImpureProjection(self._projection.name, f"evolve changes the {what} that it is given")
        return cast("Row | None", after)


def _copied(value: Any) -> Any:
    """Return a value that shares nothing with it that could change: a tenth of what `deepcopy` takes for the same."""
    kind = type(value)
    if kind in _UNCHANGEABLE:
        return value
    if kind is dict:
        return {name: _copied(member) for name, member in value.items()}
    if kind is tuple or kind is list:
        return kind([_copied(member) for member in value])
    if isinstance(value, BaseModel) and not value.__pydantic_private__ and not value.__pydantic_extra__:
        other = value.model_copy()
        other.__dict__.update(_copied(value.__dict__))
        return other
    return copy.deepcopy(value)


def require_pure(projection: AnyProjection, events: Iterable[Recorded], before: Mapping[Key, Row | None]) -> None:
    """Fold some of a page twice, and watch what is called. Raises ImpureProjection, FoldFailed."""
    wanted = {event.type for event in projection.events}
    sample = list(islice((recorded for recorded in events if recorded.type in wanted), SAMPLE))
    asked: list[str] = []
    first = watched(lambda: _answer(projection, sample, before), asked)
    if asked:
        raise ImpureProjection(projection.name, f"it {asked[0]}")
    _require_same(projection.name, first, _answer(projection, sample, before))


def _answer(projection: AnyProjection, sample: list[Recorded], before: Mapping[Key, Row | None]) -> _Answer:
    guarded = cast("AnyProjection", _Guarded(projection))
    touches = touched(guarded, sample)
    try:
        return _Answer([key for key, _ in touches], fold(guarded, touches, before.get))
    except FoldFailed as failed:
        if isinstance(failed.cause, ImpureProjection):
            raise failed.cause from None
        raise


def _require_same(name: str, first: _Answer, second: _Answer) -> None:
    if first.keys != second.keys:
        raise ImpureProjection(name, "the same events touched other rows the second time")
    for key in first.changed.keys() | second.changed.keys():
        one, other = first.changed.get(key), second.changed.get(key)
        fields, others = (standing.row.__dict__ if standing and standing.row else {} for standing in (one, other))
        for column in fields.keys() | others.keys():
            if fields.get(column) != others.get(column):
                said = f"{column} = {fields.get(column)!r}, and then {others.get(column)!r}"
                raise ImpureProjection(name, f"the same events gave the row {key[1:]} {said}")


def watched(function: Callable[[], T], asked: list[str]) -> T:
    """Call a function, and note what it asks for that no fold may: a clock, chance, the environment."""
    if sys.getprofile() is not None:  # a profiler is at work, and there can be only one
        return function()

    def look(frame: types.FrameType, event: str, called: Any) -> None:
        if event == "c_call" and (name := _forbidden(called)) and not _is_importing(frame):
            asked.append(f"calls {name}")
        elif event == "call" and frame.f_code in _ENVIRONMENT and not _is_importing(frame):
            name = frame.f_locals.get("key")
            asked.append(f"reads os.environ[{name!r}]" if name is not None else "reads os.environ")

    with uncollected():  # what others do when memory is collected would look as if the fold had done it
        sys.setprofile(look)
        try:
            return function()
        finally:
            sys.setprofile(None)


def _forbidden(called: Any) -> str | None:
    owner, name = getattr(called, "__self__", None), getattr(called, "__name__", "")
    if isinstance(owner, type) and issubclass(owner, date) and name in {"now", "today", "utcnow"}:
        return f"{owner.__name__}.{name}"
    if owner is _SHARED_CHANCE:
        return f"random.{name}"
    module = getattr(called, "__module__", None) or (owner.__name__ if isinstance(owner, types.ModuleType) else "")
    return f"{module.removeprefix('_')}.{name}" if name in _FORBIDDEN.get(module, ()) else None


def _is_importing(frame: types.FrameType | None) -> bool:
    """What a module does when it is first loaded is no part of the fold."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
