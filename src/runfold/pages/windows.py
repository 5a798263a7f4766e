"""Windows of a list: which of how many are shown, and where the next ones are."""

from collections.abc import Mapping
from typing import NamedTuple

from runfold.errors import UsageError
from runfold.pages.filters import Filters
from runfold.pages.typed import as_number

SIZES = (25, 50, 100, 200)
"""How many rows a page may show; none shows more."""
ROW = "row"
"""The word of an address for the number of the first row of a later page, which its cursor does not tell."""


class Window(NamedTuple):
    """Rows of a list, numbered from 1."""

    first: int
    last: int
    total: int | None
    """How many there are; None where nobody counted."""
    size: int
    next_address: str | None
    first_address: str | None
    """The query string of the first window, where this is another one."""

    @property
    def words(self) -> str:
        """Return which of how many are shown."""
        if self.last < self.first:
            return "none" if self.first == 1 else "no more"
        of = "" if self.total is None else f" of {self.total:,}"
        return f"{self.first:,} to {self.last:,}{of}"


def window(filters: Filters, given: Mapping[str, str], shown: int, next_cursor: str | None, total: int | None = None) -> Window:
    """Return where a page of a list stands. Raises UsageError."""
    first, size = whole(given, ROW, 1, 1, 10**12), size_of(given)
    following = None if next_cursor is None else filters.address(cursor=next_cursor, row=first + shown)
    beginning = filters.address(without=("cursor", ROW)) if "cursor" in given else None
    return Window(first, first + shown - 1, total, size, following, beginning)


def size_of(given: Mapping[str, str], otherwise: int = 50) -> int:
    """Return how many rows are asked for. Raises UsageError."""
    return whole(given, "limit", otherwise, 1, SIZES[-1])


def whole(given: Mapping[str, str], name: str, otherwise: int, least: int, most: int) -> int:
    """Return a whole number of an address. Raises UsageError for another, and for one that is out of range."""
    text = as_number(given.get(name) or str(otherwise))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise UsageError(f"{name} takes a whole number from {least} to {most:,} here, not {text[:60]!r}", name=name)
    return int(text)
