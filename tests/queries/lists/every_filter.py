"""What each parameter of each list is given: values that there are, others that there might be, and what is none."""

import inspect
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, get_args, get_type_hints

from runfold.queries.lists.parameters import ListParameter, parameters_of
from runfold.queries.reading import Reading

LISTS = ("threads", "runs", "tool_calls", "decisions", "problems", "approvals", "failures", "attention", "goals", "usage")
OF_PAGES = frozenset({"cursor", "limit", "order", "order_by", "min_position", "wait_seconds", "include_superseded", "content"})
"""Parameters that narrow nothing."""

TEXTS = ("nobody", "", "ü ☃ ' OR true -- %_\\*", "x" * 5000)
MOMENTS = (
    datetime(2026, 3, 1, 6, 2, tzinfo=UTC),
    datetime(2026, 3, 1, 11, 2, tzinfo=timezone(timedelta(hours=5))),
    datetime(1, 1, 2, tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
)
ODD: dict[Any, tuple[Any, ...]] = {
    str: TEXTS,
    int: (0, 1, 2, 2**31, 2**63 - 1),
    float: (0, 0.5),
    bool: (True, False),
    datetime: MOMENTS,
    date: (date(2026, 3, 1), date.min, date.max),
    timedelta: ("90s", "0s", timedelta(days=36500), "1500ms", "9999999d"),
}
"""By kind: what may be asked for, whether there is any or not."""

WRONG: dict[Any, tuple[Any, ...]] = {
    str: (7, b"x", "a\0b", "\ud800", 0.5, datetime(2026, 3, 1, tzinfo=UTC)),
    int: ("3", 1.5, True, [1]),
    float: ("1", float("nan"), float("inf"), True, -1.0),
    bool: ("true", 1, 0, "yes"),
    datetime: (
        "2026-03-01",
        datetime(2026, 3, 1),
        date(2026, 3, 1),
        7,
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    ),
    date: ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC), 20260301),
    timedelta: ("soon", "", "90", -1, 0.5),
}
"""By kind: what is refused."""

WORDLESS = ("cursor", "prices")
"""Text that is looked into rather than compared."""


def described(question: str) -> dict[str, ListParameter]:
    """The parameters of a list."""
    hints = get_type_hints(inspect.unwrap(getattr(Reading, question)), include_extras=True)
    return dict(parameters_of(get_args(hints["asked"])[0]))


def column_of(parameter: ListParameter) -> str | None:
    """The column that a parameter stands for."""
    return None if parameter.compares is None else parameter.compares[1] or parameter.name


def values_for(parameter: ListParameter, rows: list[Any]) -> list[Any]:
    """What it is asked for: words of a few, else what its column holds, and odd values of its kind."""
    if parameter.kind is str and parameter.words:
        return [*parameter.words, *list(parameter.aliases)[:2]]
    column = column_of(parameter)
    found = dict.fromkeys(value for row in rows if column and (value := getattr(row, column, None)) is not None)
    limits = (parameter.least or 0, parameter.most or 2**63)
    odd = [value for value in ODD[parameter.kind] if parameter.kind is not int or limits[0] <= value <= limits[1]]
    return [*list(found)[:2], *odd]


def wrong_for(parameter: ListParameter) -> list[Any]:
    """What it refuses."""
    words = ["", "no such word", 7] if parameter.kind is str and parameter.words else []
    beyond = [parameter.least - 1] if parameter.kind is int and parameter.least is not None else []
    beyond += [parameter.most + 1] if parameter.kind is int and parameter.most is not None else []
    return [*words, *beyond, *(() if words else WRONG[parameter.kind])]


def expected(rows: list[Any], parameter: ListParameter, asked: Any) -> list[Any] | None:
    """The rows that anybody would take by looking at them one by one; None where their columns do not say."""
    column = column_of(parameter)
    if column is None or any(not hasattr(row, column) for row in rows):
        return None
    comparison = parameter.compares[0] if parameter.compares else "="
    given = [asked] if not isinstance(asked, list) else asked
    wanted = [parameter.aliases.get(value, value) for value in given]
    found = [(row, getattr(row, column)) for row in rows]
    match comparison:
        case "=":
            return [row for row, value in found if value in wanted]
        case ">=":
            return [row for row, value in found if value is not None and value >= asked]
        case "<=":
            return [row for row, value in found if value is not None and value <= asked]
