"""A read model with a column of every type, empty ones among them, and with keys of every type that a key may have."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from runfold.domain.recorded import Recorded
from runfold.domain.thread import ThreadCreated
from runfold.projections.projection import Key, Projection, Row
from runfold.queries.lists.column_values import NONE

NAME = "tests.queries.every_column:EveryColumn"
LARGEST, SMALLEST = 2**63 - 1, -(2**63)
DAYS = (date(2026, 2, 1), date(1, 1, 1), date(9999, 12, 31), date(2024, 2, 29))
NUMBERS = (0, -1, LARGEST, SMALLEST, 7)

VALUES: dict[str, tuple[Any, ...]] = {
    "name": (None, "", "-", "refund", "Straße, 100% _ = \\ ' \" \n ☃", "null"),
    "limit": (None, 0, LARGEST, SMALLEST, -7),
    "share": (None, 0.0, 0.1, -1.5e300, 5e-324, 3.0),
    "price": (None, Decimal(0), Decimal("9.90"), Decimal("-1E-30"), Decimal("123456789012345678901234567890.5")),
    "at": (
        None,
        datetime(2026, 1, 31, 9, 30, tzinfo=UTC),
        datetime(1, 1, 2, tzinfo=UTC),
        datetime(9999, 12, 30, 1, 2, 3, 4, UTC),
    ),
    "is_done": (None, True, False),
    "on": (None, *DAYS),
    "extra": (None, {}, {"size": "L", "n": [1, None, {"é": 0.5}]}),
    "tags": ((), ("a",), ("a", "b", ""), ("-", "ü, {x}")),
    "counts": (None, (), (1, LARGEST), (SMALLEST, 1)),
    "status": ("open", "done"),
}
"""What stands in each column; as these have another number of values each, all come together in time."""


class EveryRow(Row):
    """One thread."""

    status: Literal["open", "done"]
    """A word of two."""
    day: date
    """A day."""
    number: int
    """Any number."""
    thread_id: str
    """The thread."""
    name: str | None = None
    """Text."""
    limit: int | None = None
    """A number."""
    share: float | None = None
    """A part."""
    price: Decimal | None = None
    """An amount."""
    at: datetime | None = None
    """A moment."""
    is_done: bool | None = None
    """Whether."""
    on: date | None = None
    """A day, or none."""
    extra: dict[str, Any] | None = None
    """Anything."""
    tags: tuple[str, ...] = ()
    """Words."""
    counts: tuple[int, ...] | None = Field(None)
    """Numbers."""


class EveryColumn(Projection[EveryRow]):
    """One row per thread, with whatever can stand in a column."""

    name, version, row, key = "every_column", 1, EveryRow, ("status", "day", "number", "thread_id")
    events = (ThreadCreated,)
    indexes = (("name",), ("on", "is_done"))

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        position = recorded.position
        status = VALUES["status"][position % 2]
        return ((status, DAYS[position // 2 % len(DAYS)], NUMBERS[position // 8 % len(NUMBERS)], recorded.thread_id),)

    def evolve(self, row: EveryRow, recorded: Recorded) -> EveryRow:
        chosen = {name: values[recorded.position % len(values)] for name, values in VALUES.items() if name != "status"}
        return row.but(**chosen)


SAID: dict[str, tuple[Any, ...]] = {
    **{name: values for name, values in VALUES.items() if name not in {"tags", "counts"}},
    "day": DAYS,
    "number": (*NUMBERS, 12345),
    "tags": ("a", "", "nowhere", "-", "ü, {x}"),
    "counts": (None, 1, LARGEST, 12345),
    "thread_id": ("thread_1", "", "nobody", "thread_1' OR true --"),
    "price": (*VALUES["price"], 3, Decimal("9.9000")),
    "share": (*VALUES["share"], 3, -0.0),
    "at": (*VALUES["at"], datetime(2026, 1, 31, 14, 30, tzinfo=timezone(timedelta(hours=5)))),
}
"""What each column is asked for: all that stands in it, and more that might."""

WRONG: dict[str, tuple[Any, ...]] = {
    "name": (7, b"x", "a\0b", "\ud800", {"a": 1}),
    "limit": ("7", 1.0, True, 2**63, SMALLEST - 1),
    "share": ("0.5", float("nan"), float("inf"), True, Decimal("0.5"), 10**400),
    "price": ("9.90", 9.9, Decimal("NaN"), Decimal("Infinity"), Decimal("1E+999999"), True),
    "at": ("2026-01-31", datetime(2026, 1, 31), date(2026, 1, 31), datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))),
    "is_done": ("true", 1, 0),
    "on": ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC), 20260131),
    "day": ("today", datetime(2026, 1, 31, tzinfo=UTC)),
    "number": ("1", 1.5, 2**64),
    "status": (True,),
    "extra": (object(), {"a": float("nan")}, {"a": "\0"}),
    "tags": (7, ("a", 7)),
    "counts": ("1", 2**63),
    "thread_id": (None.__class__, 1),
}
"""What none of them holds."""

WRONG_TEXTS: dict[str, tuple[str, ...]] = {
    "limit": ("x", "", "1.0", "٣", "9" * 30),
    "share": ("x", "", "nan", "inf"),
    "price": ("x", "", "NaN", "1E+999999"),
    "at": ("x", "", "2026-13-01", "0"),
    "is_done": ("yes", "", "1"),
    "on": ("x", "", "2026-02-30"),
    "day": ("-", "2026"),
    "number": ("-", "0x1"),
    "extra": ("{", "", "nan"),
    "counts": ("x", "1,2"),
}
"""The same as text."""


def matches(row: EveryRow, name: str, asked: Any) -> bool:
    """Whether a row is found by a value of a column, as anybody would say it in Python."""
    found = getattr(row, name)
    if isinstance(found, tuple):
        return asked in found
    return bool(found == asked) and (found is None) == (asked is None)


def as_text(value: Any) -> str:
    """A value as somebody would type it."""
    if value is None or isinstance(value, str):
        return NONE if value is None else value
    if isinstance(value, bool | dict):
        return json.dumps(value)
    return value.isoformat() if isinstance(value, date) else f"{value:f}" if isinstance(value, Decimal) else repr(value)


def advised(said: str) -> list[str]:
    """The values that a refusal shows as examples."""
    advice = said.rpartition(", not ")[0]
    examples = [advice.partition("such as ")[2].partition(", or")[0]] if "such as " in advice else []
    examples += ["true", "false"] if "true or false" in advice else []
    examples += [NONE] if f"or {NONE} for" in advice else []
    assert examples, said
    return examples
