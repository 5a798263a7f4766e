"""What PostgreSQL holds and Python cannot: a time of infinity, before the year 1 or after 9999, which only a superuser can have
written beside an event. Whoever reads the row of it is told of which event it is."""

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg.pq import Format
from psycopg.pq.abc import PGresult

from runfold.errors import event_at

P = ParamSpec("P")
R = TypeVar("R")
_TIME = 1184
"""What PostgreSQL knows a time with a zone by."""
_TEXT = 25
_FIRST, _AFTER_LAST = -63_082_281_600_000_000, 252_455_616_000_000_000
"""The first microsecond of the year 1, and of 10000, from 2000 on, where PostgreSQL counts from."""
_READABLE = re.compile(rb"(?!0000)\d{4}-.*(?<! BC)")
_POSITION, _STREAM, _VERSION = ("notification_id", "position"), ("originator_id", "stream"), ("originator_version", "version")


class UnreadRow(psycopg.DataError):
    """A row that holds what cannot be read. Its words are the driver's."""

    def __init__(self, why: str, place: str, *, is_event: bool) -> None:
        super().__init__(why)
        self.place, self.is_event = place, is_event
        """Of what it is, in words, and whether that is an event."""


def _naming(fetch: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Return a way of fetching that says of which event it is what cannot be read."""

    @wraps(fetch)
    def fetched(cursor: Any, /, *arguments: P.args, **named_arguments: P.kwargs) -> R:
        try:
            return fetch(cursor, *arguments, **named_arguments)
        except psycopg.DataError as error:
            raise named(error, cursor.pgresult) from None

    return fetched


class ReadingCursor(psycopg.Cursor[Any]):
    """A cursor that says of which event it is what cannot be read."""

    fetchone = _naming(psycopg.Cursor.fetchone)
    fetchmany = _naming(psycopg.Cursor.fetchmany)
    fetchall = _naming(psycopg.Cursor.fetchall)
    __next__ = _naming(psycopg.Cursor.__next__)


class ReadingServerCursor(psycopg.ServerCursor[Any]):
    """The same, of which the rows stay in the server until they are read."""

    fetchone = _naming(psycopg.ServerCursor.fetchone)
    fetchmany = _naming(psycopg.ServerCursor.fetchmany)
    fetchall = _naming(psycopg.ServerCursor.fetchall)
    __next__ = _naming(psycopg.ServerCursor.__next__)


def named(error: psycopg.DataError, result: PGresult | None) -> psycopg.DataError:
    """Return an error that the driver raised over a row of a result, with the words for that row; one of the server as it is."""
    if error.sqlstate is not None or result is None:
        return error
    columns = {bytes(result.fname(at) or b"").decode(): at for at in reversed(range(result.nfields))}
    times = [at for at in range(result.nfields) if result.ftype(at) == _TIME]
    row = next((row for row in range(result.ntuples) if any(_is_unreadable(result, row, at) for at in times)), None)
    found = [None if row is None else _value(result, row, columns, names) for names in (_POSITION, _STREAM, _VERSION)]
    position, stream, version = found
    where = _of_table(result, row, columns) if position is None else f"the event at position {position}"
    if position is not None and stream is not None and version is not None:
        where = event_at(position, version, stream)
    return UnreadRow(str(error), where, is_event=position is not None)


def _of_table(result: PGresult, row: int | None, columns: Mapping[str, int]) -> str:
    """Return which row of a table other than the log it is, by the ids in it."""
    ids = {name: at for name, at in columns.items() if name.endswith("_id") and result.ftype(at) == _TEXT}
    said = {name: None if row is None else result.get_value(row, at) for name, at in ids.items()}
    words = ", ".join(f"{name} {value.decode()}" for name, value in said.items() if value)
    return f"the row of {words}" if words else "a row"


def _is_unreadable(result: PGresult, row: int, column: int) -> bool:
    value = result.get_value(row, column)
    if value is None:
        return False
    if result.fformat(column) == Format.BINARY:
        return not _FIRST <= int.from_bytes(value, signed=True) < _AFTER_LAST
    return _READABLE.fullmatch(value) is None


def _value(result: PGresult, row: int, columns: dict[str, int], names: tuple[str, str]) -> str | None:
    column = next((columns[name] for name in names if name in columns), None)
    value = None if column is None else result.get_value(row, column)
    if value is None or column is None:
        return None
    is_number = result.fformat(column) == Format.BINARY and result.ftype(column) in {20, 23}
    return str(int.from_bytes(value, signed=True)) if is_number else bytes(value).decode()
