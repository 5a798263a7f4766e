"""Lists that are folded whole, in pages: a cursor holds the position of the first page and how many were had."""

from typing import Generic, TypeVar

from pydantic import BaseModel

from runfold.queries.paging import DEFAULT_LIMIT, MOST, cursor_of, invalid_cursor, read_cursor_parts
from runfold.queries.where import number

T = TypeVar("T")


class Listed(BaseModel, Generic[T]):
    """Some of a list: what is on it, and where the rest begins (null: there is no more)."""

    items: list[T]
    next_cursor: str | None


def page(whole: list[T], position: int, had: int, limit: int | None) -> Listed[T]:
    """The next of a list as of a position. Raises UsageError for a limit that is none."""
    most = number("limit", DEFAULT_LIMIT if limit is None else limit, 1, MOST)
    until = had + most
    return Listed(items=whole[had:until], next_cursor=cursor_of([position, until]) if until < len(whole) else None)


def read_cursor(cursor: str) -> tuple[int, int]:
    """The position that a list was true as of, and how many of it were had. Raises UsageError for what is no cursor."""
    match read_cursor_parts(cursor):
        case [int() as position, int() as had] if position >= 0 and had >= 0:
            return position, had
    raise invalid_cursor(cursor)
