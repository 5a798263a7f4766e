"""Projections that come to other rows in other processes, one of each kind."""

import os
import random
import time
from collections.abc import Iterable
from datetime import datetime

from runfold.domain.recorded import Recorded
from runfold.domain.tool_call import ToolCalled, ToolSucceeded
from runfold.projections.projection import Key, Projection, Row

AT_IMPORT = os.environ.get("RUNFOLDS_REGION", "here")
_GENERATOR = random.Random()  # noqa: S311


class UseRow(Row):
    """How a tool was used."""

    tool: str
    """Its name."""
    said: str = ""
    """Whatever."""


class Pure(Projection[UseRow]):
    """One row for each tool, with what was last asked of it."""

    name, row, key, events = "uses", UseRow, ("tool",), (ToolCalled,)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        yield (recorded.event.name,)  # type: ignore[attr-defined]  # it has one

    def evolve(self, row: UseRow, recorded: Recorded) -> UseRow:
        return row.but(said=self.word(row, recorded))

    def word(self, row: UseRow, recorded: Recorded) -> str:
        return f"{row.said[-40:]} {recorded.position}"


class SetOrder(Pure):
    """With words in the order of a set."""

    def word(self, row: UseRow, recorded: Recorded) -> str:
        return " ".join({"now", "then", "here", "there", row.tool})


class Hashed(Pure):
    """With a number that each process makes by itself."""

    def word(self, row: UseRow, recorded: Recorded) -> str:
        return str(hash(row.tool) % 1000)


class Environment(Pure):
    """With what the environment says while it folds."""

    def word(self, row: UseRow, recorded: Recorded) -> str:
        return os.environ.get("RUNFOLDS_OTHER_REGION", "here")


class ImportedEnvironment(Pure):
    """With what the environment said when its module was read."""

    def word(self, row: UseRow, recorded: Recorded) -> str:
        return AT_IMPORT


class LocalTime(Pure):
    """With a time of the zone in which the machine is."""

    def word(self, row: UseRow, recorded: Recorded) -> str:
        return datetime.fromtimestamp(86400.0).isoformat()


class Clock(Pure):
    """With the time."""

    def word(self, row: UseRow, recorded: Recorded) -> str:
        return str(time.time() // 1e9)


class Chance(Pure):
    """With chance."""

    def word(self, row: UseRow, recorded: Recorded) -> str:
        return str(random.random() < 2)  # noqa: S311


class OwnChance(Pure):
    """With chance of a generator of its own."""

    def word(self, row: UseRow, recorded: Recorded) -> str:
        return str(_GENERATOR.random())


class Counting(Pure):
    """With how many events it has seen."""

    seen = 0

    def word(self, row: UseRow, recorded: Recorded) -> str:
        self.seen += 1
        return str(self.seen)


class Remembering(Pure):
    """With the tool of a call that another event named."""

    events = (ToolCalled, ToolSucceeded)  # type: ignore[assignment]

    def __init__(self) -> None:
        self.tools: dict[str, str] = {}

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        if isinstance(recorded.event, ToolCalled):
            self.tools[recorded.event.call_id] = recorded.event.name
        yield (self.tools.get(recorded.event.call_id, "unknown"),)  # type: ignore[attr-defined]  # both have one


class RememberingStrictly(Remembering):
    """The same, which fails where it has not heard of a call."""

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        if isinstance(recorded.event, ToolCalled):
            self.tools[recorded.event.call_id] = recorded.event.name
        yield (self.tools[recorded.event.call_id],)  # type: ignore[attr-defined]  # both have one
