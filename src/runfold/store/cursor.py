"""A place in the log: a position, and of which history it is.

`1234@1f2e3d4c` is position 1234 of the history whose epoch begins with these digits. A bare position is taken as of the
present history, and is not checked.
"""

import re
from functools import lru_cache
from typing import NamedTuple, Self
from uuid import UUID

from runfold.errors import UsageError

SHOWN_DIGITS = 8
"""The number of digits of an epoch in a cursor."""
MOST_POSITION = 2**62
END = ".end"
"""Stands behind the cursor of the end of a stream: a client that connects again with it has been told that this is the end."""
_TEXT = re.compile(r"([0-9]{1,40})(?:@([0-9A-Fa-f-]{8,36}))?(?:\.end)?")


class Cursor(NamedTuple):
    """A position and the first digits of its epoch, in hex; None for a bare position."""

    position: int
    epoch: str | None = None

    @classmethod
    def parse(cls, given: "Place") -> Self:
        """Parse a position, or a cursor as text. Raises UsageError."""
        if isinstance(given, tuple):
            return cls(*given)
        if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
            return cls(min(given, MOST_POSITION))
        found = _TEXT.fullmatch(given) if isinstance(given, str) and len(given) <= 80 else None
        if found is None:
            raise UsageError(
                f"{str(given)[:60]!r} is not a position or a cursor; pass a position such as 1234,"
                " or a cursor such as 1234@1f2e3d4c"
            )
        return cls(min(int(found[1]), MOST_POSITION), found[2] and found[2].replace("-", "").lower())

    def __str__(self) -> str:
        return str(self.position) if self.epoch is None else f"{self.position}@{self.epoch}"


Place = int | str | Cursor
"""A bare position, a cursor as text, or a cursor."""


@lru_cache(maxsize=64)
def name_of(epoch: UUID) -> str:
    """Return the first digits of an epoch, as a cursor has them."""
    return epoch.hex[:SHOWN_DIGITS]


def cursor_of(position: int, epoch: UUID) -> str:
    """Write a position of a history as text."""
    return f"{position}@{name_of(epoch)}"
