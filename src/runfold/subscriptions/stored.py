"""One subscription in the database, while its row is locked: which events are leased, waiting and parked."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID
from zlib import crc32

import orjson
from psycopg.rows import tuple_row

from runfold.store.datastore import Connection
from runfold.store.queries import named_queries
from runfold.subscriptions.views import Answered, Order

QUERIES = named_queries("runfold.subscriptions", "subscriptions.sql")

KEPT_SECONDS, MOST_ANSWERS = 3600.0, 5000
"""What consumers are told is kept for so long, of each subscription about so many of the last answers."""


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

    def held(self) -> tuple[set[int | None], bool]:
        """Return the hashes of the keys of which consumers have events, and whether the time of any lease is over."""
        hashes: set[int | None] = set()
        is_any_over = False
        for is_over, of_keys, items in self.rows("held"):
            is_any_over |= is_over
            if not is_over:
                hashes.update(of_keys if items is None else (hash_of(key) for _, key, *_ in items))
        return hashes, is_any_over

    def leases_over(self) -> list[Lease]:
        """Return the leases whose time is over, which nobody answers meanwhile."""
        return [_lease(row) for row in self.rows("over")]

    def lease(self, id: UUID) -> Lease | None:
        """Return one, unless all of it is answered or it has ended; nobody else answers it meanwhile."""
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

    # What was answered

    def acknowledge_whole(self, lease: UUID, positions: Sequence[int], owner: str | None, *, audited: bool) -> bool:
        """Acknowledge all of a lease at once; false where these are not all of it, or it is not theirs."""
        given = {"lease": lease, "events": len(positions), "digest": digest_of(positions), "owner": owner, "audited": audited}
        return self.row("acknowledge whole", answer=_json({"acknowledged": list(positions)}), **given) is not None

    def answered(self, lease: UUID) -> list[Answered]:
        """Return what was told of a lease of late."""
        return [Answered.model_validate(told) for (told,) in self.rows("answers", lease=lease, kept_seconds=KEPT_SECONDS)]

    def keep_answer(self, lease: UUID, answer: Answered) -> Answered:
        """Keep what a consumer is told, and tell it."""
        self.rows("add answer", lease=lease, answer=_json(answer.model_dump(exclude_defaults=True)))
        return answer

    def prune_answers(self) -> None:
        """Keep the answers of late alone."""
        self.rows("prune answers", most=MOST_ANSWERS, kept_seconds=KEPT_SECONDS)

    # What waits

    def count_waiting(self) -> int:
        """Return how many wait."""
        return int(self.row("count waiting")[0])

    def waiting(self) -> Iterator[Waiting]:
        """Return those that wait, in order; most of those that wait for what consumers have are left out."""
        for *item, is_early in self.rows("waiting"):
            yield Waiting(Item(*item), is_early)

    def wait(self, items: Sequence[Item], seconds: Sequence[float] | float = 0.0, *, at_random: bool = False) -> None:
        """Let events wait, each for some seconds."""
        if items:
            pauses = [seconds] * len(items) if isinstance(seconds, float) else list(seconds)
            hashes = _json([hash_of(item.key) for item in items])
            self.rows("add waiting", seconds=_json(pauses), hashes=hashes, at_random=at_random, items=_items(items))

    def no_longer_wait(self, items: Sequence[Item]) -> None:
        """Let events wait no longer: they are given."""
        if items:
            self.rows("drop waiting", positions=[item.position for item in items])

    def park(self, items: Sequence[Item], consumer: str | None, reason: str | None) -> None:
        """Set events aside."""
        if items:
            self.rows("park", consumer=consumer, reason=reason, items=_items(items))

    def forget(self) -> None:
        """Forget everything that is leased, waiting or parked."""
        for what in ("forget leases", "forget answers", "forget waiting", "forget parked"):
            self.rows(what)


def hash_of(key: str | None) -> int | None:
    """Return a small number for a stream or a thread. Where two have the same, one waits for the other, and that is all."""
    return None if key is None else crc32(key.encode()) - 2**31


def digest_of(positions: Sequence[int]) -> bytes:
    """Return a digest of some positions, which are in order."""
    return sha256(b",".join(b"%d" % position for position in positions)).digest()


def _lease(row: tuple[Any, ...]) -> Lease:
    lease_id, consumer, items = row
    return Lease(lease_id, consumer, [Item(*item) for item in items])


def _columns(items: Sequence[Item]) -> dict[str, Any]:
    positions = sorted(item.position for item in items)
    hashes = {hash_of(item.key) for item in items} - {None}
    return {
        "first": positions[0] if positions else 0,
        "events": len(items),
        "items": _items(items),
        "key_hashes": f"{{{','.join(map(str, hashes))}}}",
        "digest": digest_of(positions),
    }


def _items(items: Sequence[Item]) -> str:
    return _json([list(item) for item in items])


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
