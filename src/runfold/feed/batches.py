"""The events of a subscription in batches, each of at most a size and an age."""

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Protocol, Self

from runfold.domain.recorded import Recorded
from runfold.errors import LedgerError, UsageError
from runfold.feed.ahead import Ahead
from runfold.feed.looked import Looked


@dataclass(frozen=True)
class EventBatch:
    """Holds events in order, and the `cursor` after which to go on when they are dealt with."""

    events: tuple[Recorded, ...]
    cursor: str
    is_caught_up: bool
    """With it, all that was recorded when the subscription began has been given."""

    def __iter__(self) -> Iterator[Recorded]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)


class Batched(Protocol):
    """A subscription, as what makes batches of it sees it."""

    @property
    def is_caught_up(self) -> bool:
        """Return whether all that was recorded when it began has been given."""

    @property
    def cursor(self) -> str:
        """Return what to resume after."""

    def ahead(self) -> Ahead:
        """Return what looks ahead for it."""

    def take_in(self, found: Looked | LedgerError | None) -> None:
        """Take in what was looked ahead."""

    def at_hand(self, most: int) -> list[Recorded]:
        """Return what is there to be given, and go on to the end of it."""

    @property
    def is_ended(self) -> bool:
        """Return whether nothing more comes, for whatever reason."""

    def require_more(self) -> bool:
        """Raise StopIteration, or the error with which it ended, where nothing more comes."""


class Batches:
    """Iterate it, with `for` or `async for`: it gives batches of one event at least."""

    def __init__(self, subscription: Batched, size: int, seconds: float) -> None:
        """Raises UsageError for a size that is no number of events, or seconds that are no time."""
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise UsageError(f"the size of a batch is {size!r}; it takes 1 event or more")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0:
            raise UsageError(f"a batch waits for {seconds!r} seconds; it takes 0 or more")
        self._subscription, self._size, self._seconds = subscription, size, seconds
        self._events: list[Recorded] = []
        self._until = 0.0
        self._is_caught_up = False
        """Said in a batch: the first that says so waits for nothing more."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> EventBatch:
        while (batch := self._whole()) is None:
            self._subscription.take_in(self._subscription.ahead().take(self._left()))
        return batch

    def __aiter__(self) -> AsyncIterator[EventBatch]:
        return self

    async def __anext__(self) -> EventBatch:
        try:
            while (batch := self._whole()) is None:
                self._subscription.take_in(await self._subscription.ahead().take_soon(self._left()))
        except StopIteration:
            raise StopAsyncIteration from None
        return batch

    def _whole(self) -> EventBatch | None:
        """Return the batch that is due now; None where there is more to wait for. Raises what ended the subscription."""
        before = len(self._events)
        self._events += self._subscription.at_hand(self._size - before)
        if self._events and not before:
            self._until = time.monotonic() + self._seconds
        if not self._events:
            self._subscription.require_more()
            return None
        has_caught_up = self._subscription.is_caught_up and not self._is_caught_up
        if len(self._events) < self._size and not (
            has_caught_up or time.monotonic() >= self._until or self._subscription.is_ended
        ):
            return None
        self._is_caught_up = self._subscription.is_caught_up
        batch = EventBatch(tuple(self._events), self._subscription.cursor, self._subscription.is_caught_up)
        self._events = []
        return batch

    def _left(self) -> float | None:
        return max(0.0, self._until - time.monotonic()) if self._events else None
