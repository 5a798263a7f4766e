"""A stretch of the log, read for the projections that are to take it in."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

from psycopg.rows import tuple_row

from runfold.domain.event import Recorded
from runfold.errors import Damage
from runfold.store.codec import COLUMNS, decode
from runfold.store.datastore import Connection

_QUERY = (
    f"SELECT {COLUMNS} FROM runfold.log WHERE notification_id > %b AND notification_id <= %b AND topic = ANY(%b)"
    " ORDER BY notification_id"
)


class Unread(NamedTuple):
    """An event whose payload this Runfold cannot read."""

    position: int
    type: str
    error: Damage


class Page(NamedTuple):
    """The events of some types after one position and up to another. Those of other types were looked over as well."""

    after: int
    up_to: int
    events: list[Recorded]
    unread: list[Unread]

    def halves(self) -> "tuple[Page, Page]":
        """The same in two pages; of more than one position only."""
        middle = (self.after + self.up_to) // 2
        return self._cut(self.after, middle), self._cut(middle, self.up_to)

    def _cut(self, after: int, up_to: int) -> Self:
        return type(self)(
            after,
            up_to,
            [recorded for recorded in self.events if after < recorded.position <= up_to],
            [unread for unread in self.unread if after < unread.position <= up_to],
        )


def read_page(connection: Connection, after: int, up_to: int, types: Iterable[str]) -> Page:
    """What stands there. Positions are dense and the head was read first, so nothing can be missing."""
    rows = connection.cursor(binary=True, row_factory=tuple_row).execute(_QUERY, [after, up_to, sorted(types)], prepare=True)
    events: list[Recorded] = []
    unread: list[Unread] = []
    for row in rows.fetchall():
        _take_in(row, events, unread)
    return Page(after, up_to, events, unread)


def _take_in(row: tuple[Any, ...], events: list[Recorded], unread: list[Unread]) -> None:
    try:
        events.append(decode(row))
    except Damage as error:
        unread.append(Unread(row[0], row[3], error))
