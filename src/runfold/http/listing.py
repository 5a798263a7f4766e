"""Pages of lists that are computed whole: a cursor holds the first page's position and the number of items served so far."""

from typing import Generic, TypeVar

from pydantic import BaseModel

from runfold.errors import UsageError
from runfold.queries.lists.paging import DEFAULT_LIMIT, MOST, cursor_of, invalid_cursor, read_cursor_parts
from runfold.queries.lists.where import number

T = TypeVar("T")


class Listed(BaseModel, Generic[T]):
    """One page of a list. `next_cursor` begins the next page, and is null on the last one."""

    items: list[T]
    next_cursor: str | None


def page(whole: list[T], position: int, had: int, limit: int | None, order: str | None = None) -> Listed[T]:
    """Return the page after the first `had` items of a list as of a position. Raises UsageError for a limit out of range."""
    most = number("limit", DEFAULT_LIMIT if limit is None else limit, 1, MOST)
    until = had + most
    return Listed(items=whole[had:until], next_cursor=cursor_of([position, until, *_way(order)]) if until < len(whole) else None)


def read_cursor(cursor: str, order: str | None = None) -> tuple[int, int]:
    """Return the position of a list's first page, and the number of items served so far.

    Raises UsageError for a bad cursor, and for one of a list that came the other way round.
    """
    match read_cursor_parts(cursor):
        case [int() as position, int() as had, *way] if position >= 0 and had >= 0 and way in ([], ["desc"]):
            if way != _way(order):
                raise UsageError(
                    "the cursor is of the list in the other order; go on in the order of the page before", name="cursor"
                )
            return position, had
    raise invalid_cursor(cursor)


def _way(order: str | None) -> list[str]:
    return [] if order in {None, "asc"} else ["desc"]
