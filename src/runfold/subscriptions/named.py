"""A named subscription as consumers use it, in the database's own process and over HTTP alike."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Self, Unpack
from uuid import UUID

from runfold.domain.values import texts
from runfold.errors import LedgerError, UsageError
from runfold.feed.asked import After, EventFilter
from runfold.feed.following import passes
from runfold.logs import logger
from runfold.queries.lists.where import number
from runfold.store.cursor import MOST_POSITION
from runfold.subscriptions.views import (
    MOST,
    Answered,
    Delivery,
    Keeps,
    Order,
    ParkedEvent,
    SubscriptionView,
    Taken,
    checked_name,
    checked_order,
    promise_of,
)

WAIT_SECONDS = 2.0
"""For how long a consumer waits for events before it looks whether it was stopped."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds until a consumer asks again where the database or the server is away, twice as many each time."""


class NamedSubscription:
    """The events of a subscription whose place the ledger keeps; several consumers share them.

    Each event is given to one consumer, until that acknowledges it, rejects it, or says nothing for `lease_seconds`. So it is
    handled at least once; what may have been handled before is marked (`Delivery.is_redelivery`). Within a stream (or a thread,
    or nothing, by choice) an event is not given before those in front of it are acknowledged or parked.
    """

    def __init__(self, name: str, place: Keeps) -> None:
        self.name = checked_name(name)
        self._place = place

    def put(
        self,
        *,
        after: After = 0,
        in_order_of: Order = "stream",
        lease_seconds: float = 30.0,
        retry_seconds: float = 1.0,
        most_attempts: int = 10,
        **wanted: Unpack[EventFilter],
    ) -> SubscriptionView:
        """Make the subscription, which begins after a place: a position, a cursor, a time of the ledger, or `now`.

        Where it is there it stays where it is, and its promise is changed. Raises UsageError where it wants something else,
        and InvalidEvent for a number out of range.
        """
        promise = promise_of(lease_seconds, retry_seconds, most_attempts)
        self._place.put(self.name, promise, checked_order(in_order_of), after, **wanted)
        return self.view()

    def view(self) -> SubscriptionView:
        """Return it as it stands. Raises SubscriptionNotFound."""
        return self._place.view(self.name)

    def delete(self) -> None:
        """Forget it, with where it is and what is parked. Raises SubscriptionNotFound."""
        self._place.delete(self.name)

    def reset(self, after: After) -> SubscriptionView:
        """Go on after another place; what consumers hold is theirs no longer, and what is parked is forgotten."""
        self._place.reset(self.name, after)
        return self.view()

    def consume(self, consumer: str | None = None, *, batch: int = 100, follow: bool = True) -> "Consumer":
        """Return the events that are given to one consumer; with `follow` off, until there are no more just now."""
        return Consumer(self, consumer, batch, follow=follow)

    # Step by step

    def take(self, limit: int = 100, *, consumer: str | None = None, wait_seconds: float = 0.0) -> Taken:
        """Take at most so many events, waiting for some where there are none.

        Raises SubscriptionNotFound, UsageError, and HistoryChanged where the ledger was put back to before what consumers may
        have seen: then `reset`.
        """
        texts("consumer", consumer)
        return self._place.take(self.name, limit, consumer, wait_seconds)

    def acknowledge(self, lease: UUID, positions: Iterable[int]) -> Answered:
        """Say that events are done, for ever."""
        return self._place.acknowledge(self.name, _lease(lease), _places(positions))

    def reject(
        self,
        lease: UUID,
        positions: Iterable[int],
        *,
        reason: str | None = None,
        delay_seconds: float | None = None,
        park: bool = False,
    ) -> Answered:
        """Say that events failed: they are given again after a while, and parked after `most_attempts`, or at once with `park`.

        What the consumer holds behind one that is to be given again, in the same order, is given back with it.
        """
        texts("reason", reason)
        return self._place.reject(self.name, _lease(lease), _places(positions), reason, delay_seconds, park)

    def extend(self, lease: UUID) -> Answered:
        """Keep what one take gave for another `lease_seconds`."""
        return self._place.extend(self.name, _lease(lease))

    def release(self, lease: UUID) -> Answered:
        """Give back what is unanswered of one take, as if it had not been taken."""
        return self._place.release(self.name, _lease(lease))

    # What failed too often

    def parked(self, after: int = 0, limit: int = MOST) -> list[ParkedEvent]:
        """Return events that are set aside, by position."""
        return self._place.parked(self.name, after, limit)

    def replay(self, positions: Iterable[int] | None = None) -> list[int]:
        """Have parked events given again, all if none are named; returns their positions."""
        return self._place.replay(self.name, None if positions is None else _places(positions))

    def discard(self, positions: Iterable[int]) -> list[int]:
        """Have parked events never given again; returns their positions."""
        return self._place.discard(self.name, _places(positions))


def _lease(given: Any) -> UUID:
    """Return what a take gave, which JSON holds as text. Raises UsageError."""
    try:
        return UUID(str(given))
    except ValueError:
        raise UsageError(f"lease takes the one that `take` gave, not {repr(given)[:60]}", name="lease") from None


def _places(positions: Iterable[int]) -> list[int]:
    return [number("positions", position, 0, MOST_POSITION) for position in positions]


class Consumer:
    """Gives one event after the other: acknowledge each, or reject it, before the next is asked for or later.

    What is acknowledged goes to the ledger with the batch, when its lease is half over, or when the consumer ends; what is not is
    given back then. One that is passed over, and answered once the next batch is here, has until its lease ends. While the
    database or the server is away, one that follows waits and asks again.
    """

    def __init__(self, subscription: NamedSubscription, consumer: str | None, batch: int, *, follow: bool) -> None:
        self._subscription, self._consumer, self._batch, self._follow = subscription, consumer, batch, follow
        self._stopped = threading.Event()
        self._held: deque[Delivery] = deque()
        self._unanswered: dict[int, UUID] = {}
        self._acknowledged: dict[UUID, list[int]] = {}
        self._lease: UUID | None = None
        self._known_until: dict[UUID, float] = {}
        self._renew_at = 0.0
        self._half = 0.0

    def __iter__(self) -> Iterator[Delivery]:
        return self

    def __next__(self) -> Delivery:
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            if self._held and time.monotonic() < self._renew_at:
                return self._held.popleft()
            try:
                if self._held:
                    self._renew()
                else:
                    self._take()
            except LedgerError as error:
                if not (self._follow and passes(error)):
                    raise
                self._stopped.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
        raise StopIteration

    def acknowledge(self, delivery: Delivery) -> None:
        """It is done."""
        position = delivery.recorded.position
        if (lease := self._unanswered.pop(position, None)) is not None:
            self._acknowledged.setdefault(lease, []).append(position)

    def reject(
        self, delivery: Delivery, *, reason: str | None = None, delay_seconds: float | None = None, park: bool = False
    ) -> None:
        """It failed; what comes behind it in order is not given in this batch, either."""
        position = delivery.recorded.position
        if (lease := self._unanswered.get(position)) is None:
            return
        answer = self._subscription.reject(lease, [position], reason=reason, delay_seconds=delay_seconds, park=park)
        self._gone([position, *answer.released])
        self._told(answer)

    def stop(self) -> None:
        """End the iteration, from another thread too: after the event at hand, or when the present wait is over."""
        self._stopped.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Tell the ledger what is acknowledged, and give back the rest."""
        self._stopped.set()
        self._flush()
        for lease in dict.fromkeys(self._unanswered.values()):
            self._subscription.release(lease)
        self._held.clear()
        self._unanswered.clear()

    def _take(self) -> None:
        self._flush()
        self._forget()
        wait_seconds = WAIT_SECONDS if self._follow else 0.0
        taken = self._subscription.take(self._batch, consumer=self._consumer, wait_seconds=wait_seconds)
        self._half = taken.lease_seconds / 2
        self._lease = taken.lease
        self._begin_lease()
        self._held.extend(taken.deliveries)
        self._unanswered |= dict.fromkeys((each.recorded.position for each in taken.deliveries), taken.lease)
        if not taken.deliveries and not self._follow:
            self._stopped.set()

    def _begin_lease(self) -> None:
        """Note that the lease at hand begins now. Whoever answers too late is told so, for as long again."""
        now = time.monotonic()
        self._renew_at = now + self._half
        if self._lease is not None:
            self._known_until[self._lease] = now + 4 * self._half

    def _forget(self) -> None:
        """What was passed over long ago was given to others since."""
        now = time.monotonic()
        over = {lease for lease, until in self._known_until.items() if until < now}
        self._gone([position for position, lease in [*self._unanswered.items()] if lease in over])
        for lease in over:
            del self._known_until[lease]

    def _renew(self) -> None:
        """Half of the lease is over: tell what is done, and keep the rest."""
        self._flush()
        if self._lease is not None:
            kept = set(self._subscription.extend(self._lease).extended)
            self._gone([at for at, lease in [*self._unanswered.items()] if lease == self._lease and at not in kept])
        self._begin_lease()

    def _gone(self, positions: Iterable[int]) -> None:
        """These are answered, or somebody else's by now, or will be."""
        gone = set(positions)
        for position in gone:
            self._unanswered.pop(position, None)
        self._held = deque(each for each in self._held if each.recorded.position not in gone)

    def _flush(self) -> None:
        while self._acknowledged:
            lease, positions = self._acknowledged.popitem()
            try:
                answer = self._subscription.acknowledge(lease, positions)
            except BaseException:
                self._acknowledged[lease] = positions
                raise
            self._told(answer)

    def _told(self, answer: Answered) -> None:
        if answer.lost:
            logger().warning(
                "the lease had ended before the answer came, so these events are given again; raise lease_seconds",
                subscription=self._subscription.name,
                positions=answer.lost[:20],
            )
