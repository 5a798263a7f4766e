"""Pages of lists that are computed whole: a cursor holds the first page's position and the number of items served so far."""

from typing import Generic, TypeVar

from pydantic import BaseModel

from runfold.queries.paging import DEFAULT_LIMIT, MOST, cursor_of, invalid_cursor, read_cursor_parts
from runfold.queries.where import number

T = TypeVar("T")


class Listed(BaseModel, Generic[T]):
    """One page of a list. `next_cursor` begins the next page, and is null on the last one."""

    items: list[T]
    next_cursor: str | None


def page(whole: list[T], position: int, had: int, limit: int | None) -> Listed[T]:
    """Return the page after the first `had` items of a list as of a position. Raises UsageError for a limit out of range."""
    most = number("limit", DEFAULT_LIMIT if limit is None else limit, 1, MOST)
    until = had + most
    return Listed(items=whole[had:until], next_cursor=cursor_of([position, until]) if until < len(whole) else None)


def read_cursor(cursor: str) -> tuple[int, int]:
    """Return the position of a list's first page, and the number of items served so far. Raises UsageError for a bad cursor."""
    match read_cursor_parts(cursor):
        case [int() as position, int() as had] if position >= 0 and had >= 0:
            return position, had
    raise invalid_cursor(cursor)
