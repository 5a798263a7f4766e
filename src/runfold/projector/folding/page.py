"""A stretch of the log, read for the projections that are to take it in, in a thread of its own."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Self

from runfold.domain.recorded import Recorded
from runfold.errors import Damage
from runfold.projector.connection import connect
from runfold.store.codec import COLUMNS, decode
from runfold.store.datastore import Datastore
from runfold.store.unlocked import Rows, Unlocked

_QUERY = (
    f"SELECT {COLUMNS} FROM runfold.log WHERE notification_id > %b AND notification_id <= %b AND (topic = ANY(%b)) IS TRUE"
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


class Asked(NamedTuple):
    """A page that is on its way."""

    after: int
    up_to: int
    types: frozenset[str]
    rows: Future[Rows]


class Pages:
    """Reads pages, on a connection of its own: one may be asked for while the page before it is folded."""

    def __init__(self, datastore: Datastore) -> None:
        self._datastore = datastore
        self._open: Unlocked | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._asked: Asked | None = None

    def ask(self, after: int, up_to: int, types: frozenset[str]) -> Asked:
        """Begin to read a page."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="runfold-pages")
        self._asked = Asked(after, up_to, types, self._thread.submit(self._rows, after, up_to, types))
        return self._asked

    def read(self, after: int, up_to: int, types: frozenset[str]) -> Page:
        """A page; a shorter one where that was asked for. Raises psycopg.Error.

        Positions are dense, and nobody asks beyond the head, so nothing can be missing.
        """
        asked, self._asked = self._asked, None
        if asked is None or asked.after != after or asked.up_to > up_to or asked.types != types:
            asked, self._asked = self.ask(after, up_to, types), None
        events: list[Recorded] = []
        unread: list[Unread] = []
        for row in asked.rows.result():
            _take_in(row, events, unread)
        return Page(after, asked.up_to, events, unread)

    def close(self) -> None:
        """Give connection and thread back; what is asked for after that begins anew."""
        self._asked = None
        if self._thread is not None:
            self._thread.submit(self._close).result()
            self._thread.shutdown()
            self._thread = None

    def _rows(self, after: int, up_to: int, types: frozenset[str]) -> Rows:
        if self._open is None or self._open.connection.closed:
            self._open = Unlocked(connect(self._datastore))
        return self._open.unmade_rows(_QUERY, [after, up_to, sorted(types)])

    def _close(self) -> None:
        if self._open is not None:
            self._open.connection.close()
        self._open = None


def _take_in(row: tuple[Any, ...], events: list[Recorded], unread: list[Unread]) -> None:
    try:
        events.append(decode(row))
    except Damage as error:
        unread.append(Unread(row[0], row[3], error))
