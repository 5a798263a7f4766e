"""One subscription in the database, while its row is locked: which events are leased, waiting and parked."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from runfold.store.datastore import Connection
from runfold.store.queries import named_queries
from runfold.subscriptions.views import Order

QUERIES = named_queries("runfold.subscriptions", "subscriptions.sql")


class Kept(NamedTuple):
    """A subscription's row."""

    name: str
    owner: str
    audited: bool
    wanted: dict[str, Any]
    in_order_of: Order
    lease_seconds: float
    retry_seconds: float
    most_attempts: int
    looked_up_to: int
    epoch: UUID
    created_at: datetime

    @property
    def promise(self) -> dict[str, Any]:
        """Return what consumers are promised."""
        return {"lease_seconds": self.lease_seconds, "retry_seconds": self.retry_seconds, "most_attempts": self.most_attempts}


class Item(NamedTuple):
    """An event that is leased or waits: its position, within what its order matters, and how often it was given."""

    position: int
    key: str | None
    attempts: int
    replayed: bool


class Waiting(NamedTuple):
    """One that waits, and whether it is not to be given yet."""

    item: Item
    is_early: bool


class Lease(NamedTuple):
    """What one take gave and is not answered yet, by position."""

    id: UUID
    consumer: str | None
    is_over: bool
    items: Sequence[Item]

    def of(self, positions: Iterable[int]) -> list[Item]:
        """Return those of its events that stand at these positions."""
        wanted = {*positions}
        return [item for item in self.items if item.position in wanted]


class Stored:
    """Asks the database of one subscription of a tenant."""

    def __init__(self, connection: Connection, tenant: str, name: str) -> None:
        self._connection = connection
        self._named = {"tenant": tenant, "name": name}

    def rows(self, query: str, **given: Any) -> list[tuple[Any, ...]]:
        """Carry out a query by its name."""
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(QUERIES[query], {**self._named, **given})
            return cursor.fetchall() if cursor.description else []

    def row(self, query: str, **given: Any) -> Any:
        """Return its first row, or None."""
        return next(iter(self.rows(query, **given)), None)

    def leases(self) -> list[Lease]:
        """Return all leases."""
        return [_lease(row) for row in self.rows("leases")]

    def lease(self, id: UUID) -> Lease | None:
        """Return one, unless all of it is answered or it has ended."""
        row = self.row("lease", lease=id)
        return None if row is None else _lease(row)

    def add_lease(self, id: UUID, consumer: str | None, lease_seconds: float, items: Sequence[Item]) -> None:
        """Note what a take gave."""
        self.rows("add lease", lease=id, consumer=consumer, lease_seconds=lease_seconds, **_columns(items))

    def keep_of_lease(self, lease: Lease, gone: Iterable[Item]) -> list[Item]:
        """Take events out of a lease, which ends with the last of them; returns those that stay."""
        without = {item.position for item in gone}
        left = [item for item in lease.items if item.position not in without]
        self.rows("keep of lease" if left else "drop lease", lease=lease.id, **_columns(left))
        return left

    def waiting(self) -> Iterator[Waiting]:
        """Return those that wait, in order."""
        for *item, is_early in self.rows("waiting"):
            yield Waiting(Item(*item), is_early)

    def wait(self, items: Sequence[Item], seconds: Sequence[float] | float = 0.0, *, at_random: bool = False) -> None:
        """Let events wait, each for some seconds."""
        if items:
            pauses = [seconds] * len(items) if isinstance(seconds, float) else list(seconds)
            self.rows("add waiting", seconds=Jsonb(pauses, dumps=orjson.dumps), at_random=at_random, **_columns(items))

    def no_longer_wait(self, items: Sequence[Item]) -> None:
        """Let events wait no longer: they are given."""
        if items:
            self.rows("drop waiting", positions=[item.position for item in items])

    def park(self, items: Sequence[Item], consumer: str | None, reason: str | None) -> None:
        """Set events aside."""
        if items:
            self.rows("park", consumer=consumer, reason=reason, **_columns(items))

    def forget(self) -> None:
        """Forget everything that is leased, waiting or parked."""
        for what in ("forget leases", "forget waiting", "forget parked"):
            self.rows(what)


def _lease(row: tuple[Any, ...]) -> Lease:
    lease_id, consumer, is_over, items = row
    return Lease(lease_id, consumer, is_over, [Item(*item) for item in items])


def _columns(items: Sequence[Item]) -> dict[str, Any]:
    first = min((item.position for item in items), default=0)
    return {"first": first, "events": len(items), "items": Jsonb([list(item) for item in items], dumps=orjson.dumps)}
