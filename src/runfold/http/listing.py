"""Pages of lists that are computed whole.

A cursor holds the first page's position, the number of items served so far, and which list they are of.
"""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from runfold.domain.values import digest
from runfold.errors import UsageError
from runfold.queries.lists.paging import DEFAULT_LIMIT, MOST, cursor_of, invalid_cursor, read_cursor_parts
from runfold.queries.lists.where import number

T = TypeVar("T")


class Listed(BaseModel, Generic[T]):
    """One page of a list. `next_cursor` begins the next page, and is null on the last one."""

    items: list[T]
    next_cursor: str | None


def list_of(name: str, asked: Mapping[str, Any]) -> str:
    """Return a word for a list with its ids, filters and order: in another one the same place is another item's."""
    narrowed = sorted(pair for pair in asked.items() if pair != ("order", "asc"))  # which is the order of who says none
    return digest(repr((name, narrowed))).removeprefix("sha256:")[:12]


def rows_of(limit: int | None) -> int:
    """Return how many items a page has at most. Raises UsageError for a limit out of range."""
    return number("limit", DEFAULT_LIMIT if limit is None else limit, 1, MOST)


def page(whole: list[T], position: int, had: int, limit: int | None, of: str) -> Listed[T]:
    """Return the page after the first `had` items of a list as of a position. Raises UsageError for a limit out of range."""
    until = had + rows_of(limit)
    return Listed(items=whole[had:until], next_cursor=cursor_of([position, until, of]) if until < len(whole) else None)


def read_cursor(cursor: str, of: str) -> tuple[int, int]:
    """Return the position of a list's first page, and the number of items served so far.

    Raises UsageError for a bad cursor, and for one of another list, or of the same with other filters or the other way round.
    """
    match read_cursor_parts(cursor):
        case [int() as position, int() as had, str() as known] if position >= 0 and had >= 0:
            if known != of:
                fact = "the cursor is of another list, or of this one with other filters or in the other order"
                raise UsageError(f"{fact}; go on as the page before was asked for, or begin without a cursor", name="cursor")
            return position, had
    raise invalid_cursor(cursor)
