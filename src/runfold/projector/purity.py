"""Whether a fold is pure, looked at now and then while it works: folded twice it gives the same, and it asks for no clock.

What only shows from one process to another (the order of a set, the environment) is left to `runfold check`.
"""

import copy
import random
import sys
import types
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from runfold.domain.event import Recorded
from runfold.errors import ImpureProjection
from runfold.projections.fold import Standings, fold
from runfold.projections.projection import AnyProjection, Key, Row

SAMPLE = 100
"""How many touches of a page are folded again."""
_FORBIDDEN = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime"},
    "posix": {"urandom", "getpid", "times"},
    "io": {"open"}, "_io": {"open"}, "_socket": {"getaddrinfo", "gethostname"},
}  # fmt: skip


def require_pure(projection: AnyProjection, touches: list[tuple[Key, Recorded]], before: Mapping[Key, Row | None]) -> None:
    """Fold some of a page twice, and watch what is called. Raises ImpureProjection, FoldFailed."""
    sample = touches[:SAMPLE]
    known = {key: before.get(key) for key, _ in sample}
    kept = copy.deepcopy({key: row.__dict__ for key, row in known.items() if row is not None})
    asked: list[str] = []
    first = _watched(lambda: fold(projection, sample, known.get), asked)
    if asked:
        raise ImpureProjection(projection.name, f"it calls {asked[0]}")
    for key, fields in kept.items():
        row = known[key]
        if row is not None and row.__dict__ != fields:
            raise ImpureProjection(projection.name, f"evolve changes the row {key[1:]} that it is given")
    _require_same(projection.name, first, fold(projection, sample, known.get))


def _require_same(name: str, first: Standings, second: Standings) -> None:
    for key in first.keys() | second.keys():
        one, other = first.get(key), second.get(key)
        fields, others = (standing.row.__dict__ if standing and standing.row else {} for standing in (one, other))
        for column in fields.keys() | others.keys():
            if fields.get(column) != others.get(column):
                said = f"{column} = {fields.get(column)!r}, and then {others.get(column)!r}"
                raise ImpureProjection(name, f"the same events gave the row {key[1:]} {said}")


def _watched(function: Callable[[], Standings], asked: list[str]) -> Standings:
    if sys.getprofile() is not None:  # a profiler is at work, and there can be only one
        return function()

    def look(_: types.FrameType, event: str, called: Any) -> None:
        if event == "c_call" and (name := _forbidden(called)):
            asked.append(name)

    sys.setprofile(look)
    try:
        return function()
    finally:
        sys.setprofile(None)


def _forbidden(called: Any) -> str | None:
    owner, name = getattr(called, "__self__", None), getattr(called, "__name__", "")
    if isinstance(owner, type) and issubclass(owner, date) and name in {"now", "today", "utcnow"}:
        return f"{owner.__name__}.{name}"
    if isinstance(owner, random.Random):
        return f"random.{name}"
    module = getattr(called, "__module__", None) or (owner.__name__ if isinstance(owner, types.ModuleType) else "")
    return f"{module}.{name}" if name in _FORBIDDEN.get(module, ()) else None
