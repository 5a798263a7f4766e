"""Reading the log: by position, by stream, by thread, by time."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

import psycopg
import psycopg_pool

from runfold.domain.event import Recorded, is_of_type
from runfold.errors import LedgerUnavailable, UsageError
from runfold.store.codec import COLUMNS, decode
from runfold.store.datastore import EVERY_TENANT, Datastore

PAGE = 2000
PAGE_BYTES = 16 * 1024 * 1024
"""No stretch of the log holds more payload than this, unless its first event does."""
LATEST = 2**62
TREE_TYPES = frozenset({"run.created", "thread.head_named", "thread.head_moved"})
"""As in the index `log_tree`."""


class Head(NamedTuple):
    """The last position, when it was given out, and the random id of this log."""

    position: int
    recorded_at: datetime | None
    epoch: UUID


@dataclass(frozen=True)
class Filter:
    """Which events are wanted. What is not set does not narrow. A type may end in `.*`."""

    stream: str | None = None
    thread_id: str | None = None
    run_id: str | None = None
    tenant_id: str | None = None
    agent_id: str | None = None
    types: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Types that are passed over, whatever else is wanted."""

    def conditions(self) -> Iterator[tuple[str, Any]]:
        """SQL conditions, each with its one parameter."""
        if self.stream is not None:
            yield "originator_id = %b", self.stream
        if self.thread_id is not None:
            yield "thread_id = %b", self.thread_id
        if self.run_id is not None:
            yield "context ->> 'run_id' = %b", self.run_id
        if self.tenant_id is not None:
            yield "tenant_id = %b", self.tenant_id
        if self.agent_id is not None:
            yield "context ->> 'agent_id' = %b", self.agent_id
        if self.types:
            yield "topic LIKE ANY(%b)", [_like(name) for name in self.types]
        if self.without:
            yield "topic NOT LIKE ALL(%b)", [_like(name) for name in self.without]

    def takes(self, recorded: Recorded) -> bool:
        """Whether an event is wanted: the same answer as the conditions give."""
        if self.run_id is not None or self.agent_id is not None:
            context = recorded.context
            if self.run_id not in {None, context.run_id} or self.agent_id not in {None, context.agent_id}:
                return False
        return (
            self.stream in {None, recorded.stream}
            and self.thread_id in {None, recorded.thread_id}
            and self.tenant_id in {None, recorded.tenant_id}
            and (not self.types or any(is_of_type(recorded.type, name) for name in self.types))
            and not any(is_of_type(recorded.type, name) for name in self.without)
        )


def _where(wanted: Filter | None, after: int, up_to: int) -> tuple[str, list[Any]]:
    conditions = list((wanted or Filter()).conditions())
    where = " AND ".join(["notification_id > %b", "notification_id <= %b", *(text for text, _ in conditions)])
    return where, [after, up_to, *(value for _, value in conditions)]


def _short_of(where: str, order: str) -> str:
    """A query for rows up to the one with which they are PAGE_BYTES."""
    return (
        f"SELECT {COLUMNS} FROM ("
        f"SELECT *, sum(octet_length(state)) OVER (ORDER BY {order}) - octet_length(state) AS bytes_before"
        f" FROM runfold.log WHERE {where} ORDER BY {order} LIMIT %b) AS log"
        f" WHERE bytes_before < {PAGE_BYTES} ORDER BY {order}"
    )


def _size(rows: list[tuple[Any, ...]]) -> int:
    return sum(len(row[5]) for row in rows)


def _is_all(rows: list[tuple[Any, ...]], limit: int) -> bool:
    return len(rows) < limit and _size(rows) < PAGE_BYTES


def _like(name: str) -> str:
    return name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")


class Stretch(NamedTuple):
    """Some events, how far the log was looked through for them, and how many bytes of payload they are."""

    events: list[Recorded]
    position: int
    size: int = 0


class Reader:
    """The log, read-only: everybody's, or what the database shows of it to one `tenant`."""

    def __init__(self, datastore: Datastore) -> None:
        self.datastore = datastore
        self.tenant = EVERY_TENANT
        self.when_short: Callable[[], object] = lambda: None
        """Called when the log ends before what is known of it, to find out why."""

    def of(self, tenant_id: str) -> Self:
        """The same for one tenant: of others' events the database shows it none. Raises UsageError for what is no tenant."""
        if tenant_id in {"", EVERY_TENANT}:
            raise UsageError(f"{tenant_id!r} is no tenant; give the name of one")
        bound = copy.copy(self)
        bound.tenant = tenant_id
        return bound

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query as tuples; asked once more where the server was restarted meanwhile.

        Raises LedgerUnavailable.
        """
        try:
            return self._rows(query, parameters)
        except LedgerUnavailable as error:
            waited_in_vain = isinstance(error.__cause__, psycopg_pool.PoolTimeout) and not self.datastore.can_revive
            if not error.retriable or waited_in_vain:
                raise
            self.datastore.revive()
            return self._rows(query, parameters)

    def _rows(self, query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        with (
            self.datastore.reading(self.tenant) as connection,
            connection.cursor(binary=True, row_factory=psycopg.rows.tuple_row) as cursor,
        ):
            return cursor.execute(query, parameters, prepare=True).fetchall()

    def page(
        self, wanted: Filter | None = None, *, after: int = 0, up_to: int = LATEST, limit: int = PAGE, descending: bool = False
    ) -> list[Recorded]:
        """At most `limit` events after one position and up to another, in order. Raises UnknownEventType, UnreadableEvent."""
        where, values = _where(wanted, after, up_to)
        direction = "DESC" if descending else "ASC"
        query = f"SELECT {COLUMNS} FROM runfold.log WHERE {where} ORDER BY notification_id {direction} LIMIT %b"
        return [decode(row) for row in self.rows(query, [*values, limit])]

    def stretch(self, wanted: Filter | None = None, *, after: int = 0, up_to: int = LATEST, limit: int = PAGE) -> Stretch:
        """At most `limit` events, in order, and no more of them than memory should hold; go on after its position.

        Raises UnknownEventType, UnreadableEvent.
        """
        found, is_all = self._stretch(wanted, after, up_to, limit)
        return Stretch([decode(row) for row in found], max(after, up_to) if is_all else found[-1][0], _size(found))

    def events(self, wanted: Filter | None = None, *, after: int = 0, up_to: int = LATEST) -> Iterator[Recorded]:
        """All of them, each stretch in a transaction of its own, each event read when it is asked for."""
        is_all = False
        while not is_all:
            found, is_all = self._stretch(wanted, after, up_to, PAGE)
            for row in found:
                yield decode(row)
            after = found[-1][0] if found else after

    def _stretch(self, wanted: Filter | None, after: int, up_to: int, limit: int) -> tuple[list[tuple[Any, ...]], bool]:
        """Rows, and whether they are all that there are."""
        where, values = _where(wanted, after, up_to)
        found = self.rows(_short_of(where, "notification_id"), [*values, limit])
        return found, _is_all(found, limit)

    def stream(
        self,
        stream: str,
        *,
        after_version: int = 0,
        up_to_version: int = LATEST,
        up_to: int = LATEST,
        types: tuple[str, ...] = (),
    ) -> Iterator[Recorded]:
        """A stream's events in order, page by page."""
        where = "originator_id = %b AND originator_version > %b AND originator_version <= %b AND notification_id <= %b"
        query = _short_of(where + (" AND topic LIKE ANY(%b)" if types else ""), "originator_version")
        likes = [[_like(name) for name in types]] if types else []
        is_all = False
        while not is_all:
            found = self.rows(query, [stream, after_version, up_to_version, up_to, *likes, PAGE])
            for row in found:
                yield decode(row)
            is_all = _is_all(found, PAGE)
            after_version = found[-1][2] if found else after_version

    def tree(self, thread_id: str, *, after: int = 0, up_to: int = LATEST) -> list[Recorded]:
        """The events that shape a thread's tree: runs created, heads named and moved."""
        query = (
            f"SELECT {COLUMNS} FROM runfold.log WHERE thread_id = %b AND notification_id > %b AND notification_id <= %b"
            " AND topic IN ('run.created', 'thread.head_named', 'thread.head_moved') ORDER BY notification_id"
        )
        return [decode(row) for row in self.rows(query, [thread_id, after, up_to])]

    def threads_created(self, tenant_id: str, limit: int, up_to: int = LATEST) -> list[Recorded]:
        """The first events of a tenant's threads, newest first."""
        query = (
            f"SELECT {COLUMNS} FROM runfold.log WHERE tenant_id = %b AND topic = 'thread.created' AND notification_id <= %b"
            " ORDER BY notification_id DESC LIMIT %b"
        )
        return [decode(row) for row in self.rows(query, [tenant_id, up_to, limit])]

    def keys(self, tenant_id: str | None = None, up_to: int = LATEST) -> list[Recorded]:
        """What happened to a tenant's keys, or to everybody's, in order: those made, those revoked."""
        whose, values = ("", []) if tenant_id is None else (" AND tenant_id = %b", [tenant_id])
        query = (
            f"SELECT {COLUMNS} FROM runfold.log WHERE topic IN ('security.key_created', 'security.key_revoked'){whose}"
            " AND notification_id <= %b ORDER BY notification_id"
        )
        return [decode(row) for row in self.rows(query, [*values, up_to])]

    def by_event_ids(self, event_ids: Iterable[bytes]) -> list[Recorded]:
        """The events that have one of some ids, in order."""
        query = f"SELECT {COLUMNS} FROM runfold.log WHERE event_id = ANY(%b::uuid[]) ORDER BY notification_id"
        return [decode(row) for row in self.rows(query, [[UUID(bytes=event_id) for event_id in event_ids]])]

    def under(self, event_id: Callable[[int], bytes]) -> list[Recorded]:
        """The events of a command that was asked for under a key, in order; none where it was not. `event_id` names the nth."""
        found: list[Recorded] = []
        while page := self.by_event_ids(event_id(len(found) + number) for number in range(PAGE)):
            found += page
            if len(page) < PAGE:
                break
        return found

    def ends(self, streams: Sequence[str]) -> dict[str, tuple[int, int]]:
        """The last version of each stream, and its position. Streams without events are left out."""
        query = (
            "SELECT asked.stream, last.originator_version, last.notification_id FROM unnest(%b::text[]) AS asked (stream)"
            " CROSS JOIN LATERAL (SELECT e.originator_version, e.notification_id FROM runfold.log AS e"
            " WHERE e.originator_id = asked.stream ORDER BY e.originator_version DESC LIMIT 1) AS last"
        )
        return {stream: (version, position) for stream, version, position in self.rows(query, [list(streams)])}

    def at_positions(self, positions: Iterable[int]) -> dict[int, Recorded]:
        """The events at some positions, by position: the words to rows of read models. Raises UnreadableEvent."""
        wanted = sorted(set(positions))
        query = f"SELECT {COLUMNS} FROM runfold.log WHERE notification_id = ANY(%b::bigint[])"
        return {row[0]: decode(row) for row in self.rows(query, [wanted])} if wanted else {}

    def head(self) -> Head:
        """The last position."""
        (row,) = self.rows("SELECT position, nullif(recorded_at, '-infinity'), epoch FROM runfold.head")
        return Head(*row)

    def position_at(self, moment: datetime) -> int:
        """The last position recorded not after a moment; 0 before the first."""
        ((position,),) = self.rows("SELECT runfold.position_at(%b)", [moment])
        return int(position)

    def unsafe_settings(self) -> dict[str, str]:
        """Settings under which a crash loses acknowledged events, with their values."""
        names = ["fsync", "full_page_writes", "synchronous_commit"]
        return dict(self.rows("SELECT name, setting FROM pg_settings WHERE name = ANY(%b) AND setting = 'off'", [names]))
