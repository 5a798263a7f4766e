"""Reading the log: by position, by stream, by thread, by time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple, Self
from uuid import UUID

import psycopg
import psycopg_pool

from runfold.domain.recorded import Recorded
from runfold.errors import LedgerUnavailable
from runfold.store.codec import COLUMNS, unread, unread_or_raw
from runfold.store.datastore import EVERY_TENANT, Datastore, unavailable
from runfold.store.reading import filter as filtering
from runfold.store.reading.by_type import NEAR, SPARSE, is_of_tenant_alone, narrows_by_type, stretch_by_type
from runfold.store.reading.filter import Filter, is_all, range_of, size_of
from runfold.store.reading.stretches import AHEAD, Found, stretches
from runfold.store.unlocked import Row, Unlocked

_HEAD = "head.position, nullif(head.recorded_at, '-infinity'), head.epoch"
PAGE = 2000
STRETCH = 1000
"""Events that are read at once for who reads all there is."""
SEARCHED = 20_000
"""Positions that one query looks through where no index fits what is wanted."""
LATEST = 2**62


class Head(NamedTuple):
    """The last position, when it was given out, and the random id of this log."""

    position: int
    recorded_at: datetime | None
    epoch: UUID


class Stretch(NamedTuple):
    """Some events, how far the log was looked through for them, and how many bytes of payload they are."""

    events: list[Recorded]
    position: int
    size: int = 0


class Reader:
    """The log, read-only, of all tenants. What is asked of streams and threads, a `TenantReader` answers."""

    def __init__(self, datastore: Datastore) -> None:
        self.datastore = datastore
        self.tenant = EVERY_TENANT
        self.when_short: Callable[[], object] = lambda: None
        """Called when the log ends before what is known of it, to find out why."""
        self._read: Callable[[tuple[Any, ...]], Recorded] = unread
        self._page_bytes: int | None = None
        self._is_unlocked = False
        self._known_head = 0

    def unlocked(self) -> Self:
        """Return the same, for a thread that reads while others compute. Nothing interrupts what it asks."""
        other = copy(self)
        other._is_unlocked = True
        return other

    def tolerant(self) -> Self:
        """Return the same, which gives what only a newer Runfold knows as it is stored: to be handed on, never to be folded."""
        other = copy(self)
        other._read = unread_or_raw
        return other

    def within(self, page_bytes: int) -> Self:
        """Return the same, of which no stretch holds more payload than that, unless its first event does."""
        other = copy(self)
        other._page_bytes = page_bytes
        return other

    def knowing(self, head: Head) -> Self:
        """Return the same for who has just asked for the head: how far the log goes is not asked again for what is before it."""
        other = copy(self)
        other._known_head = head.position
        return other

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> Sequence[Row]:
        """All rows of a query as tuples; asked once more where the server was restarted meanwhile.

        Whether the connection lives is asked only then: most live. Raises LedgerUnavailable.
        """
        try:
            return self._rows(query, parameters, is_believed=True)
        except LedgerUnavailable as error:
            waited_in_vain = isinstance(error.__cause__, psycopg_pool.PoolTimeout) and not self.datastore.can_revive
            if not error.retriable or waited_in_vain:
                raise
            self.datastore.revive()
            return self._rows(query, parameters, is_believed=False)

    def _rows(self, query: str, parameters: Sequence[Any], *, is_believed: bool) -> Sequence[Row]:
        with self.datastore.reading(self.tenant, is_unlocked=self._is_unlocked, is_believed=is_believed) as connection:
            if self._is_unlocked:
                return connection.unlocked.unmade_rows(query, parameters, told=unavailable)
            with connection.cursor(binary=True, row_factory=psycopg.rows.tuple_row) as cursor:
                return cursor.execute(query, parameters, prepare=True).fetchall()

    def page(
        self, wanted: Filter | None = None, *, after: int = 0, up_to: int = LATEST, limit: int = PAGE, descending: bool = False
    ) -> list[Recorded]:
        """At most `limit` events after one position and up to another, in order. Raises UnknownEventType, UnreadableEvent."""
        return [self._read(row).readable() for row in self.raw_page(wanted, after, up_to, limit, descending=descending)]

    def raw_page(self, wanted: Filter | None, after: int, up_to: int, limit: int, *, descending: bool = False) -> list[Row]:
        """Return the rows of a page as they are stored; `decode` reads them."""
        found: list[Row] = []
        while len(found) < limit and after < up_to:
            more, end = self.raw_stretch(wanted, after, up_to, limit - len(found), descending=descending)
            found += more
            if end == (up_to if descending else after):
                break
            after, up_to = (after, end) if descending else (end, up_to)
        return found

    def stretch(self, wanted: Filter | None = None, *, after: int = 0, up_to: int = LATEST, limit: int = PAGE) -> Stretch:
        """At most `limit` events, in order, and no more of them than memory should hold; go on after its position.

        It may hold fewer, or none, though there are more: no more than so many positions are looked through at once.
        Each event is read when it is asked for.
        """
        found, end = self.raw_stretch(wanted, after, up_to, limit)
        return Stretch([self._read(row) for row in found], end, size_of(found))

    def stretch_back(self, wanted: Filter | None = None, *, after: int = 0, up_to: int = LATEST, limit: int = PAGE) -> Stretch:
        """The same from the end on, the last event first; go on up to its position, unless that is `after`."""
        found, end = self.raw_stretch(wanted, after, up_to, limit, descending=True)
        return Stretch([self._read(row) for row in found], end, size_of(found))

    def events(self, wanted: Filter | None = None, *, after: int = 0, up_to: int = LATEST) -> Iterator[Recorded]:
        """All of them, each stretch in a transaction of its own, each event read when it is asked for."""
        here = self.within(max(1, (self._page_bytes or filtering.PAGE_BYTES) // (1 + AHEAD)))

        def read(reader: Reader, position: int) -> Found:
            rows, end = reader.raw_stretch(wanted, position, up_to, STRETCH)
            return Found(rows, end, is_full=not is_all(rows, STRETCH, reader._page_bytes))

        for found in stretches(partial(read, here), after, up_to, partial(read, here.unlocked())):
            yield from map(self._read, found)

    def raw_stretch(
        self, wanted: Filter | None, after: int, up_to: int, limit: int, *, descending: bool = False
    ) -> tuple[Sequence[Row], int]:
        """Return rows, and the position up to which these are all; descending, from which on."""
        wanted = wanted or Filter()
        if self.tenant != EVERY_TENANT:
            wanted = replace(wanted, tenant_id=self.tenant)
        positions = limit if wanted == Filter() else SEARCHED
        if wanted == Filter() and up_to - after > limit and not descending:
            found, end = self.raw_stretch(wanted, after, after + limit, limit)
            if not is_all(found, limit, self._page_bytes):
                return found, end  # where the log ends makes no difference then
        by_type = narrows_by_type(wanted)
        if up_to > self._known_head and not wanted.is_of_thread and up_to - after > (NEAR if by_type else positions):
            up_to = min(up_to, max(after, self.head().position))  # there is no looking through what is not there yet
        if by_type and up_to - after > NEAR:
            return stretch_by_type(self.rows, wanted, after, up_to, limit, descending=descending, most_bytes=self._page_bytes)
        place = range_of(wanted, after, up_to, positions, descending=descending)
        found = self.rows(place.query("DESC" if descending else "ASC", self._page_bytes), place.parameters(limit))
        if not is_all(found, limit, self._page_bytes):
            return found, found[-1][0] - descending
        if len(found) * SPARSE < SEARCHED and is_of_tenant_alone(wanted):
            after, up_to = (after, place.end) if descending else (place.end, up_to)
            if up_to - after > NEAR and len(found) < limit:
                more, end = stretch_by_type(
                    self.rows, wanted, after, up_to, limit - len(found), descending=descending, most_bytes=self._page_bytes
                )
                return [*found, *more], end
        return found, place.end

    def news(self, asking: Unlocked, after: int, limit: int = PAGE) -> tuple[Stretch, Head]:
        """Return the events after a position, as `stretch` does, and the last position as of the same moment: one round trip
        over a connection of one's own, for who asks again and again. Raises LedgerUnavailable.
        """
        place = range_of(Filter(), after, after + limit, limit)
        query = f"SELECT {_HEAD}, log.* FROM runfold.head AS head LEFT JOIN LATERAL ({place.query()}) AS log ON true"
        with self.datastore.asking(asking.connection):
            found = asking.rows(query, place.parameters(limit))
        rows = sorted((row[3:] for row in found if row[3] is not None), key=itemgetter(0))
        return Stretch([self._read(row) for row in rows], rows[-1][0] if rows else after, size_of(rows)), Head(*found[0][:3])

    def key_streams(self, stream: str) -> dict[str, list[Recorded]]:
        """Return the events of a key whose tenant is not known yet, for each tenant that has a key of that name."""
        query = f"SELECT {COLUMNS} FROM runfold.log WHERE originator_id = %b ORDER BY tenant_id, originator_version"
        found: dict[str, list[Recorded]] = {}
        for row in self.rows(query, [stream]):
            recorded = self._read(row)
            found.setdefault(recorded.tenant_id, []).append(recorded)
        return found

    def keys(self, tenant_id: str | None = None, up_to: int = LATEST) -> list[Recorded]:
        """Return what happened to a tenant's keys, or to everybody's, in order: those made, those revoked."""
        whose, values = ("", []) if tenant_id is None else (" AND tenant_id = %b", [tenant_id])
        query = (
            f"SELECT {COLUMNS} FROM runfold.log WHERE topic IN ('security.key_created', 'security.key_revoked'){whose}"
            " AND (notification_id <= %b) IS TRUE ORDER BY tenant_id, notification_id"
        )
        return [self._read(row) for row in sorted(self.rows(query, [*values, up_to]), key=lambda row: int(row[0]))]

    def webhooks(self, tenant_id: str | None = None, after: int = 0, up_to: int = LATEST) -> list[Recorded]:
        """Return what happened to a tenant's webhooks, or to everybody's, after a position, in order."""
        whose, values = ("", []) if tenant_id is None else (" AND tenant_id = %b", [tenant_id])
        query = (
            f"SELECT {COLUMNS} FROM runfold.log WHERE topic LIKE 'webhook.%%'{whose}"
            " AND notification_id > %b AND notification_id <= %b ORDER BY notification_id"
        )
        return [self._read(row) for row in self.rows(query, [*values, after, up_to])]

    def by_event_ids(self, event_ids: Iterable[bytes]) -> list[Recorded]:
        """The events that have one of some ids, in order."""
        query = f"SELECT {COLUMNS} FROM runfold.log WHERE event_id = ANY(%b::uuid[])"
        found = self.rows(query, [[UUID(bytes=event_id) for event_id in event_ids]])
        return [self._read(row) for row in sorted(found, key=lambda row: int(row[0]))]

    def under(self, event_id: Callable[[int], bytes]) -> list[Recorded]:
        """The events of a command that was asked for under a key, in order; none where it was not. `event_id` names the nth."""
        found: list[Recorded] = []
        asked = 10  # most commands have fewer events
        while page := self.by_event_ids(event_id(len(found) + number) for number in range(asked)):
            found += page
            if len(page) < asked:
                break
            asked = PAGE
        return found

    def at_positions(self, positions: Iterable[int]) -> dict[int, Recorded]:
        """The events at some positions, by position: the words to rows of read models. Raises UnreadableEvent."""
        wanted = sorted(set(positions))
        query = f"SELECT {COLUMNS} FROM runfold.log WHERE notification_id = ANY(%b::bigint[])"
        return {row[0]: self._read(row) for row in self.rows(query, [wanted])} if wanted else {}

    def head(self) -> Head:
        """The last position."""
        (row,) = self.rows(f"SELECT {_HEAD} FROM runfold.head AS head")
        return Head(*row)

    def position_at(self, moment: datetime) -> int:
        """The last position recorded not after a moment; 0 before the first."""
        ((position,),) = self.rows("SELECT runfold.position_at(%b)", [moment])
        return int(position)

    def recorded_at(self, position: int) -> datetime | None:
        """When the event at a position was recorded, whosever it is; None where there is none."""
        found: datetime | None
        ((_, found),) = self.rows("SELECT %b::bigint AS position, runfold.recorded_at(%b)", [position, position])
        return found

    def unsafe_settings(self) -> dict[str, str]:
        """Settings under which a crash loses acknowledged events, with their values."""
        names = ["fsync", "full_page_writes", "synchronous_commit"]
        return dict(self.rows("SELECT name, setting FROM pg_settings WHERE name = ANY(%b) AND setting = 'off'", [names]))
