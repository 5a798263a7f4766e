"""Named subscriptions in the database.

Every operation begins by locking its subscription's row, so that what consumers do comes one after the other; all but one, which
acknowledges the whole of a lease and locks that lease alone. Whoever else ends a lease locks it first. Events are looked
for in the log after `looked_up_to`; what of them is not acknowledged stands in tables, a bounded number of them. So a consumer,
a server or a database that dies loses nothing: what was given and not acknowledged is given again when its lease ends.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, Unpack
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from runfold.commands.caller import Caller
from runfold.domain.recorded import Recorded
from runfold.domain.security import AUDITED
from runfold.errors import AccessDenied, HistoryChanged, SubscriptionNotFound, UsageError
from runfold.feed.asked import After, Asked, EventFilter, find
from runfold.feed.tail import Tail
from runfold.queries.lists.where import number, seconds
from runfold.store import epochs
from runfold.store.cursor import MOST_POSITION, cursor_of
from runfold.store.datastore import Connection
from runfold.store.reading.reader import Head
from runfold.store.reading.tenant_reader import TenantReader
from runfold.subscriptions import answers
from runfold.subscriptions.answers import at
from runfold.subscriptions.standing import standing, within
from runfold.subscriptions.stored import Item, Kept, Stored, Waiting, hash_of
from runfold.subscriptions.views import (
    MOST,
    MOST_WAIT_SECONDS,
    Answered,
    Delivery,
    Order,
    ParkedEvent,
    Promise,
    SubscriptionView,
    Taken,
    checked_name,
)

MOST_WAITING = 5000
"""When so many wait, no more are looked for until some are answered."""
PRUNED_EACH = 10_000
"""Positions that are looked through before answers that are old are forgotten."""
LOOKS = 4
"""Stretches of the log that one take looks through."""
LOOK_AGAIN_SECONDS, WAITING_SECONDS = 1.0, 0.05
"""Until it is looked again whether anything is to be given: where nothing waits, and where something waits for others."""


class KeptSubscriptions:
    """The subscriptions of one tenant, for one caller."""

    def __init__(self, reader: TenantReader, tail: Tail, caller: Caller) -> None:
        self._reader, self._tail, self._caller = reader.tolerant(), tail, caller

    def put(self, name: str, promise: Promise, in_order_of: Order, after: After, **wanted: Unpack[EventFilter]) -> None:
        """Make it, or change its promise.

        Raises UsageError where it is there and wants something else, AccessDenied where it is somebody else's.
        """
        asked = Asked.of(after, **wanted)
        if asked.recorded_from is not None or asked.recorded_to is not None:
            raise UsageError("a named subscription goes on for ever; begin it `after` a time instead")
        found = find(self._reader, asked, self._without)
        fields = asked.fields() | ({"thread_id": found.within.thread_id} if found.within.thread_id else {})
        with self._open(name) as stored:
            given = {"owner": str(self._caller.actor), "audited": self._caller.may("audit:read")}
            given |= {"wanted": Jsonb(fields), "in_order_of": in_order_of, "looked_up_to": found.after, "epoch": found.epoch}
            stored.rows("put", **given, **promise.model_dump())
            kept = self._locked(stored, name)
            if (kept.wanted, kept.in_order_of) != (_plain(fields), in_order_of):
                raise UsageError(
                    f"subscription {name} is there, and narrowed by {_in_words(kept.wanted)}, in order of {kept.in_order_of};"
                    " delete it first, or choose another name",
                    name=name,
                )

    def all(self, after: str = "", limit: int = MOST) -> list[SubscriptionView]:
        """Return them by name."""
        number("limit", limit, 1, MOST)
        with self._transaction() as connection:
            stored = Stored(connection, self._reader.tenant, after and checked_name(after))
            rows = stored.rows("all", after=after, owner=self._whose, audited=self._caller.may("audit:read"), limit=limit)
            return standing(self._reader, stored, [Kept(*row) for row in rows])

    def view(self, name: str) -> SubscriptionView:
        """One of them. Raises SubscriptionNotFound."""
        with self._open(name) as stored:
            (view,) = standing(self._reader, stored, [self._known(stored.row("one"), name)])
        return view

    def delete(self, name: str) -> None:
        """Forget it and where it is. Raises SubscriptionNotFound."""
        with self._open(name) as stored:
            self._locked(stored, name)
            stored.forget()
            stored.rows("delete")

    # What consumers do

    def take(self, name: str, limit: int = 100, consumer: str | None = None, wait_seconds: float = 0.0) -> Taken:
        """Give events to a consumer, waiting for some if there are none.

        Raises SubscriptionNotFound, AccessDenied, UsageError, and HistoryChanged where the ledger was put back.
        """
        seconds("wait_seconds", wait_seconds, 0, MOST_WAIT_SECONDS)
        until = time.monotonic() + wait_seconds
        while True:
            taken, head, are_waiting = self.take_now(name, limit, consumer)
            left = until - time.monotonic()
            if taken.deliveries or left <= 0:
                return taken
            pause = WAITING_SECONDS if are_waiting else LOOK_AGAIN_SECONDS
            self._tail.wait(head.position, head.epoch, min(left, pause), lambda: False)

    def acknowledge(self, name: str, lease: UUID, positions: Sequence[int]) -> Answered:
        """They are done."""
        if positions and self._acknowledged_whole(name, lease, wanted := sorted({*positions})):
            return Answered(acknowledged=wanted)
        with self._open(name) as stored:
            self._locked(stored, name)
            return answers.acknowledge(stored, lease, positions)

    def _acknowledged_whole(self, name: str, lease: UUID, positions: Sequence[int]) -> bool:
        """Acknowledge all that a take gave, as most answers do, without keeping others from taking; whether it was all."""
        checked_name(name)
        with self._reader.datastore.reading(self._reader.tenant) as connection:
            stored = Stored(connection, self._reader.tenant, name)
            return stored.acknowledge_whole(lease, positions, self._whose, audited=self._caller.may("audit:read"))

    def reject(
        self,
        name: str,
        lease: UUID,
        positions: Sequence[int],
        reason: str | None = None,
        delay_seconds: float | None = None,
        park: bool = False,
    ) -> Answered:
        """They are to be given again later, or parked; what follows them in order is given back."""
        if delay_seconds is not None:
            seconds("delay_seconds", delay_seconds, 0, 86_400)
        with self._open(name) as stored:
            return answers.reject(stored, self._locked(stored, name), lease, positions, reason, delay_seconds, park)

    def extend(self, name: str, lease: UUID) -> Answered:
        """They take longer: the lease begins anew."""
        with self._open(name) as stored:
            return answers.extend(stored, self._locked(stored, name), lease)

    def release(self, name: str, lease: UUID) -> Answered:
        """They are given back, unanswered."""
        with self._open(name) as stored:
            self._locked(stored, name)
            return answers.release(stored, lease)

    # Those that are set aside

    def parked(self, name: str, after: int = 0, limit: int = MOST) -> list[ParkedEvent]:
        """Return those that are set aside, by position."""
        number("after", after, 0, MOST_POSITION)
        number("limit", limit, 1, MOST)
        with self._open(name) as stored:
            self._known(stored.row("one"), name)
            rows = stored.rows("parked", after=after, limit=limit)
        return [
            ParkedEvent(position=position, attempts=attempts, reason=reason, consumer=consumer, parked_at=since)
            for position, attempts, reason, consumer, since in rows
        ]

    def replay(self, name: str, positions: Sequence[int] | None = None) -> list[int]:
        """Give these of the parked ones, or all, again; returns which."""
        with self._open(name) as stored:
            self._locked(stored, name)
            wanted = None if positions is None else list(positions)
            return sorted(each for (each,) in stored.rows("replay", positions=wanted))

    def discard(self, name: str, positions: Sequence[int]) -> list[int]:
        """Give these of the parked ones never again; returns which."""
        with self._open(name) as stored:
            self._locked(stored, name)
            return sorted(each for (each,) in stored.rows("discard", positions=list(positions)))

    def reset(self, name: str, after: After) -> None:
        """Go on after another place: what consumers hold is theirs no longer, and what is parked is forgotten."""
        found = find(self._reader, Asked.of(after), self._without)
        with self._open(name) as stored:
            self._locked(stored, name)
            stored.forget()
            stored.rows("looked", looked_up_to=found.after, epoch=found.epoch)

    # Taking

    def take_now(self, name: str, limit: int, consumer: str | None) -> tuple[Taken, Head, bool]:
        """Give what there is just now, and say where the log ended and whether anything waits for something else than the log.

        Raises what `take` does.
        """
        number("limit", limit, 1, MOST)
        lease = uuid4()
        with self._open(name) as stored:
            kept = self._locked(stored, name)
            head = self._head(kept)
            waiting, held = self._waiting(stored, kept)
            again = [each.item for each in waiting if not each.is_early and hash_of(each.item.key) not in held][:limit]
            stored.no_longer_wait(again)
            wait = stored.count_waiting()
            new, behind, looked_up_to = self._found(kept, head, limit - len(again), MOST_WAITING - wait, held)
            stored.wait([Item(each.position, _key(kept, each), 0, False) for each in behind])
            given = [item._replace(attempts=item.attempts + 1) for item in again]
            items = sorted([*given, *(Item(each.position, _key(kept, each), 1, False) for each in new)])
            if items:
                stored.add_lease(lease, consumer, kept.lease_seconds, items)
            if looked_up_to != kept.looked_up_to:
                stored.rows("looked", looked_up_to=looked_up_to, epoch=head.epoch)
                if looked_up_to // PRUNED_EACH > kept.looked_up_to // PRUNED_EACH:
                    stored.prune_answers()
        events = self._reader.at_positions(at(again)) | {each.position: each for each in new}
        deliveries = [Delivery(events[item.position], item.attempts, item.replayed) for item in items]
        return Taken(lease, kept.lease_seconds, deliveries), head, bool(again or wait or behind)

    def _waiting(self, stored: Stored, kept: Kept) -> tuple[list[Waiting], set[int | None]]:
        """Return what waits, now that leases which are over have ended, and of which streams nothing may be given (hashes)."""
        held, is_any_over = stored.held()
        for lease in stored.leases_over() if is_any_over else ():
            parked = [item for item in lease.items if item.attempts >= kept.most_attempts]
            stored.keep_of_lease(lease, lease.items)
            stored.park(parked, lease.consumer, f"nobody answered for {kept.lease_seconds:g} seconds")
            stored.wait([item for item in lease.items if item.attempts < kept.most_attempts])
        waiting = list(stored.waiting())
        held.update(hash_of(each.item.key) for each in waiting if each.is_early)
        held.discard(None)
        return waiting, held

    def _found(
        self, kept: Kept, head: Head, wanted: int, room: int, held: set[int | None]
    ) -> tuple[list[Recorded], list[Recorded], int]:
        """Look on in the log: what is given, what waits for what is held, and up to where was looked."""
        new: list[Recorded] = []
        behind: list[Recorded] = []
        position, wanted_of_log = kept.looked_up_to, within(self._reader, kept)
        for _ in range(LOOKS):
            if position >= head.position or len(new) >= wanted or len(behind) >= room:
                break
            limit = min(wanted - len(new), room - len(behind))
            stretch = self._reader.stretch(wanted_of_log, after=position, up_to=head.position, limit=limit)
            for each in stretch.events:
                (behind if held and hash_of(_key(kept, each)) in held else new).append(each)
            position = stretch.position
        return new, behind, position

    def _head(self, kept: Kept) -> Head:
        """Return the head. Raises HistoryChanged where consumers may have seen what is no more."""
        head = epochs.still(self._reader, kept.looked_up_to, kept.epoch)
        if head.epoch != kept.epoch and self._lost_any(kept.epoch, head):
            raise HistoryChanged(cursor_of(kept.looked_up_to, kept.epoch), kept.looked_up_to, str(head.epoch))
        return head

    def _lost_any(self, epoch: UUID, head: Head) -> bool:
        """Whether a later history does not hold all that was in the one that the subscription was of."""
        for each in epochs.lineage_of(self._reader, head):
            if each.id == epoch:
                return False
            if each.lost_position is None or each.lost_position > each.from_position:
                return True
        return True

    # Whose they are

    @property
    def _whose(self) -> str | None:
        """Return whose they must be; None where anybody's will do."""
        return None if self._caller.may("admin") else str(self._caller.actor)

    @property
    def _without(self) -> tuple[str, ...]:
        return () if self._caller.may("audit:read") else AUDITED

    def _fault(self, name: str, kept: Kept) -> str | None:
        """Return why a subscription is not the caller's to use; None where it is."""
        if self._caller.may("admin"):
            return None
        if kept.owner != str(self._caller.actor):
            return f"subscription {name} is {kept.owner}'s; use a key of theirs, or one with the scope admin"
        if kept.audited and not self._caller.may("audit:read"):
            return (
                f"subscription {name} was made with audit:read, and takes security.* too; use a key that has the scope audit:read"
            )
        return None

    def _known(self, row: tuple[Any, ...] | None, name: str) -> Kept:
        if row is None:
            raise SubscriptionNotFound(name)
        kept = Kept(*row)
        if (fault := self._fault(name, kept)) is not None:
            raise AccessDenied(fault)
        return kept

    # Asking the database

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._reader.datastore.reading(self._reader.tenant) as connection, connection.transaction():
            yield connection

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[Stored]:
        """Begin a transaction about a subscription. Raises UsageError for what can be no name."""
        checked_name(name)
        with self._transaction() as connection:
            yield Stored(connection, self._reader.tenant, name)

    def _locked(self, stored: Stored, name: str) -> Kept:
        return self._known(stored.row("locked"), name)


def _key(kept: Kept, recorded: Recorded) -> str | None:
    """Within what its order matters."""
    match kept.in_order_of:
        case "stream":
            return recorded.stream
        case "thread":
            return recorded.thread_id
        case _:
            return None


def _in_words(fields: dict[str, Any]) -> str:
    """What a subscription is narrowed by, for people."""
    said = {name: value if isinstance(value, list) else [value] for name, value in fields.items()}
    narrowed = {name: values for name, values in said.items() if (name, values) != ("types", ["*"])}
    return " and ".join(f"{name} {', '.join(map(str, values))}" for name, values in narrowed.items()) or "nothing"


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """As JSON has them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
