"""What the columns of read models can be asked for, and what stands in a cursor: for each type of column its values, once.

A value is given as Python has it, or as text on the command line and over HTTP. What a column cannot hold is refused with
what it takes; `None`, or `-` where it is text, is the value of a row that has none.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from runfold.domain.json_text import parse_json
from runfold.domain.times import parse_day, parse_time
from runfold.domain.values import INT_LIMIT, json_fault
from runfold.errors import InvalidEvent, UsageError
from runfold.projections.columns import Column, columns_of
from runfold.projections.projection import AnyProjection
from runfold.queries.lists.where import Where

NONE = "-"
"""Text that asks a column that may be empty for the rows in which it is."""
_MOST_DIGITS = 1000
"""A number with more digits before or after its point is none that anybody counts with."""


class ColumnType(NamedTuple):
    """What a type of column takes."""

    said: str
    """In words, with an example."""
    of_python: Callable[[Any], Any]
    """Returns what PostgreSQL is given. Raises ValueError for a value that no such column holds."""
    of_text: Callable[[str], Any]
    """Returns the value that a text says, for `of_python` to look at. Raises ValueError."""
    is_array: bool = False


def _text(given: Any) -> str:
    if not isinstance(given, str) or json_fault(given):
        raise ValueError
    return str(given)


def _whole(given: Any) -> int:
    if type(given) is not int or not -INT_LIMIT <= given < INT_LIMIT:
        raise ValueError
    return given


def _truth(given: Any) -> bool:
    if type(given) is not bool:
        raise ValueError
    return given


def _float(given: Any) -> float:
    if type(given) not in {int, float} or not isfinite(found := float(given)):
        raise ValueError
    return found


def _decimal(given: Any) -> Decimal:
    found = given if isinstance(given, Decimal) else Decimal(_whole(given))  # a float is not exactly what it was written as
    if not found.is_finite() or max(abs(found.adjusted()), len(found.as_tuple().digits)) > _MOST_DIGITS:
        raise ValueError
    return found


def _moment(given: Any) -> datetime:
    if not isinstance(given, datetime) or given.tzinfo is None:
        raise ValueError
    return given.astimezone(UTC)


def _day(given: Any) -> date:
    if type(given) is not date:
        raise ValueError
    return given


def _json(given: Any) -> Jsonb:
    if json_fault(given):
        raise ValueError
    return Jsonb(given)


def _truth_of(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _digits(text: str) -> int:
    if not text.removeprefix("-").isdecimal() or not text.isascii():
        raise ValueError
    return int(text)


_TEXT = ColumnType("text", _text, str)
_NUMBER = ColumnType("a whole number such as 3", _whole, _digits)

TYPES: Mapping[str, ColumnType] = {
    "text": _TEXT,
    "bigint": _NUMBER,
    "boolean": ColumnType("true or false", _truth, _truth_of),
    "double precision": ColumnType("a number such as 0.5", _float, float),
    "numeric": ColumnType("a number such as 9.90", _decimal, Decimal),
    "timestamptz": ColumnType("a time with its zone such as 2026-01-31T09:30:00Z", _moment, parse_time),
    "date": ColumnType("a day such as 2026-01-31", _day, parse_day),
    "jsonb": ColumnType('JSON such as {"size": "L"}', _json, lambda text: parse_json(text, "")),
    "text[]": _TEXT._replace(is_array=True),
    "bigint[]": _NUMBER._replace(is_array=True),
}
"""All types that `projections.columns` makes columns of."""


def column_named(projection: AnyProjection, name: str) -> Column:
    """A column of a read model. Raises UsageError for one that it has not."""
    columns = {column.name: column for column in columns_of(projection.row)}
    if name not in columns:
        raise UsageError(f"unknown column {name[:60]!r} of {projection.name}; expected one of {', '.join(columns)}", name=name)
    return columns[name]


def narrow(where: Where, column: Column, asked: Any) -> None:
    """Let a column have a value, or any of several; an array hold any of them. None is the value of rows that have none.

    Of JSON, of which a list is one value, several stand in a tuple. Raises UsageError for what the column cannot hold.
    """
    kind = TYPES[column.type]
    is_several = isinstance(asked, Iterable) and not isinstance(asked, str | bytes | Mapping)
    given = list(asked) if isinstance(asked, tuple) or (is_several and column.type != "jsonb") else [asked]
    values = [_checked(kind, column, value) for value in given if value is not None]
    has_none = len(values) < len(given)
    if kind.is_array:
        _narrow_array(where, column, values, has_none)
    elif has_none and values:
        where.add(f'(t."{column.name}" IS NULL OR t."{column.name}" = ANY(%b))', values)
    elif given:
        where.one_of(column.name, (None,) if has_none else tuple(values))


def _narrow_array(where: Where, column: Column, values: list[Any], has_none: bool) -> None:
    lacks, has = f't."{column.name}" IS NULL', f't."{column.name}" && %b::{column.type}'
    if values:
        where.add(f"({lacks} OR {has})" if has_none else has, values)
    elif has_none:
        where.add(lacks)


def read_condition(projection: AnyProjection, text: str) -> tuple[str, Any]:
    """`COLUMN=VALUE` → the column and the value. Raises UsageError."""
    name, equals, said = text.partition("=")
    if not equals:
        raise UsageError(f"where takes COLUMN=VALUE, not {text[:60]!r}; write a column's name, = and a value", name="where")
    column = column_named(projection, name)
    if said == NONE and column.nullable:
        return name, None
    try:
        return name, TYPES[column.type].of_text(said)
    except (ValueError, LookupError, InvalidOperation, InvalidEvent, UsageError):
        raise _refused(column, said) from None


def _checked(kind: ColumnType, column: Column, value: Any) -> Any:
    try:
        return kind.of_python(value)
    except (ValueError, TypeError, InvalidOperation, OverflowError, RecursionError):
        raise _refused(column, value) from None


def _refused(column: Column, value: Any) -> UsageError:
    kind = TYPES[column.type]
    taken = f"{'one of its items, ' if kind.is_array else ''}{kind.said}"
    lacking = f", or {NONE} for rows without one" if column.nullable else ""
    return UsageError(f"{column.name} takes {taken}{lacking}, not {repr(value)[:60]}", name=column.name)
