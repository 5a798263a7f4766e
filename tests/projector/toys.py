"""Small projections to test the projector with. Their rows show whether an event was missed, doubled or taken out of order."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from runfold.domain.message import MessageAdded
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCompleted, RunCreated, RunStarted
from runfold.domain.tool_call import ToolCalled, ToolFailed, ToolSucceeded
from runfold.projections.projection import AnyProjection, Key, Projection, Row

INCOMPRESSIBLE = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(200))
"""A text that is longer than an index takes, however PostgreSQL packs it."""


class TallyRow(Row):
    """What a run did."""

    run_id: str
    """The run."""
    calls: int = 0
    """Tool calls asked for."""
    messages: int = 0
    """Messages added."""
    seen: tuple[int, ...] = ()
    """The positions of its events, in the order in which they came."""


class Tally(Projection[TallyRow]):
    """One row per run: what it did, and the positions of it."""

    name, row, key, partition = "tally", TallyRow, ("run_id",), "thread"
    events = (RunCreated, MessageAdded, ToolCalled)
    indexes = (("calls", "run_id"),)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        return ((recorded.stream,),)

    def evolve(self, row: TallyRow, recorded: Recorded) -> TallyRow | None:
        seen = (*row.seen, recorded.position)
        match recorded.event:
            case ToolCalled():
                return row.but(calls=row.calls + 1, seen=seen)
            case MessageAdded():
                return row.but(messages=row.messages + 1, seen=seen)
        return row.but(seen=seen)


class ToolRow(Row):
    """How a tool is used."""

    tool: str
    """Its name."""
    day: date
    """The UTC day."""
    calls: int = 0
    """How many times it was called."""
    chain: int = 0
    """Made of all positions in their order: one more, one less or two in another order give another number."""


class Tools(Projection[ToolRow]):
    """One row per tool and day, over all threads."""

    name, row, key = "tools", ToolRow, ("tool", "day")
    events = (ToolCalled,)
    indexes = (("calls",), ("day", "calls"))

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        assert isinstance(recorded.event, ToolCalled)
        yield recorded.event.name, recorded.happened_at.astimezone(UTC).date()

    def evolve(self, row: ToolRow, recorded: Recorded) -> ToolRow:
        return row.but(calls=row.calls + 1, chain=(row.chain * 31 + recorded.position) % (2**61 - 1))


class OpenCallRow(Row):
    """A tool call without an answer."""

    call_id: str
    """The call."""
    asked_position: int = 0
    """Where it was asked."""


class OpenCalls(Projection[OpenCallRow]):
    """One row per tool call that waits for its answer; an answered one goes away."""

    name, row, key, partition = "open_calls", OpenCallRow, ("call_id",), "thread"
    events = (ToolCalled, ToolSucceeded, ToolFailed)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        return ((recorded.event.call_id,),)  # type: ignore[attr-defined]  # all three have one

    def evolve(self, row: OpenCallRow, recorded: Recorded) -> OpenCallRow | None:
        return row.but(asked_position=recorded.position) if isinstance(recorded.event, ToolCalled) else None


class EndedRow(Row):
    """A run that ended well."""

    run_id: str
    """The run."""


class Ended(Projection[EndedRow]):
    """One row per run that ended well. Runs seldom end, so there is little for it to see."""

    name, row, key = "ended", EndedRow, ("run_id",)
    events = (RunCompleted,)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        return ((recorded.stream,),)

    def evolve(self, row: EndedRow, recorded: Recorded) -> EndedRow:
        return row.but()


class Place(TypedDict):
    """A fact that says of each of its parts that there may be none."""

    at: int | None
    said: str | None


class EveryType(Row):
    """A row with a column of every type."""

    text_key: str
    number_key: int
    day_key: date
    text: str = ""
    """What it's called: "so" & 'so'."""
    text_or_none: str | None = None
    number: int = 0
    number_or_none: int | None = None
    flag: bool = False
    flag_or_none: bool | None = None
    ratio: float = 0.0
    ratio_or_none: float | None = None
    amount: Decimal = Decimal(0)
    amount_or_none: Decimal | None = None
    moment: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    moment_or_none: datetime | None = None
    day: date = date(2026, 1, 1)
    day_or_none: date | None = None
    choice: Literal["a", "b"] = "a"
    choice_or_none: Literal["a", "b"] | None = None
    texts: tuple[str, ...] = ()
    texts_or_none: tuple[str, ...] | None = None
    numbers: tuple[int, ...] = ()
    numbers_or_none: tuple[int, ...] | None = None
    facts: dict[str, Any] = Field(default_factory=dict)
    facts_or_none: dict[str, Any] | None = None
    places: dict[str, Place] = Field(default_factory=dict)
    places_or_none: dict[str, Place] | None = None


class Everything(Projection[EveryType]):
    """Rows with every type of column; it is written to by hand."""

    name, row, key, events = "everything", EveryType, ("text_key", "number_key", "day_key"), (RunStarted,)
    indexes = (("moment", "text"), ("facts",), ("texts",))

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        return ()


TOYS: dict[str, AnyProjection] = {toy.name: toy for toy in (Tally(), Tools(), OpenCalls(), Ended())}


class SecondTally(Tally):
    """The same again, in another version: it counts calls by twos."""

    version = 2

    def evolve(self, row: TallyRow, recorded: Recorded) -> TallyRow | None:
        after = super().evolve(row, recorded)
        return after.but(calls=2 * after.calls - row.calls) if after else None


class PricedTally(Tally):
    """The same with something else that it depends on."""

    depends_on = "prices of May"


class WideRow(TallyRow):
    """With a column more."""

    errors: int = 0
    """Errors."""


class WideTally(Tally):
    """The same with a column more."""

    version, row = 2, WideRow  # type: ignore[assignment]


class ThirdTally(Tally):
    """The same without that column again."""

    version = 3


class OtherEventsTally(Tally):
    """The same, of fewer events, and still in the same version."""

    events = Tally.events[1:]  # type: ignore[assignment]
