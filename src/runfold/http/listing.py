"""Lists that are folded whole, in pages: a cursor holds the position of the first page and how many were had."""

import base64
from typing import Generic, TypeVar

import orjson
from pydantic import BaseModel

from runfold.errors import UsageError

T = TypeVar("T")

DEFAULT_LIMIT, MOST = 100, 1000


class Listed(BaseModel, Generic[T]):
    """Some of a list: what is on it, and where the rest begins (null: there is no more)."""

    items: list[T]
    next_cursor: str | None


def page(whole: list[T], position: int, had: int, limit: int | None) -> Listed[T]:
    """The next of a list as of a position. Raises UsageError for a limit that is none."""
    most = DEFAULT_LIMIT if limit is None else limit
    if not 1 <= most <= MOST:
        raise UsageError(f"limit is {most}; ask for 1 to {MOST}")
    until = had + most
    return Listed(items=whole[had:until], next_cursor=_cursor(position, until) if until < len(whole) else None)


def _cursor(position: int, had: int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([position, had])).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[int, int]:
    """The position that a list was true as of, and how many of it were had. Raises UsageError for what is no cursor."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position, had = orjson.loads(raw)
    except (ValueError, TypeError):
        position = had = None
    if type(position) is not int or type(had) is not int or position < 0 or had < 0:
        shown = repr(cursor)[:60]
        raise UsageError(f"{shown} is no cursor; give `next_cursor` of the page before, or none for the first page")
    return position, had
