"""The ordered feed after a place: every event that is wanted, once, in order, for ever; from the log or from a server."""

import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NoReturn, Self

from runfold.domain.recorded import Recorded
from runfold.errors import LedgerError, SubscriptionEnded
from runfold.feed.ahead import Ahead
from runfold.feed.batches import Batches
from runfold.feed.looked import Looked, Source
from runfold.store.cursor import Cursor


class Subscription:
    """Iterate it, with `for` or `async for`, or take its `batches`. It waits for more until `stop()`.

    `position` is the last position looked at, wanted or not, and `cursor` says of which history: resume after it. With `follow`
    off it ends at the head; of one run it ends with the run, unless that was switched off. Where the ledger was put back to an
    older copy, so that what was given here is no longer what it holds, it raises HistoryChanged. After an error it has ended:
    asked for more, it raises SubscriptionEnded, which says after which cursor to go on.
    """

    def __init__(self, source: Source, when_caught_up: Callable[[str], object] | None = None) -> None:
        """`when_caught_up` is called once, with the cursor, when all that was recorded before has been taken."""
        self.is_caught_up = False
        """All that was recorded when it began has been taken, and it was asked for more."""
        self._source, self._when_caught_up = source, when_caught_up
        self._place = self._looked_up_to = source.begun
        self._page: deque[Recorded] = deque()
        self._ahead: Ahead | None = None
        self._stopped = threading.Event()
        self._is_over = False
        self._error: LedgerError | None = None
        self._is_told = False

    # Event by event

    def __iter__(self) -> Iterator[Recorded]:
        return self

    def __next__(self) -> Recorded:
        while not self.require_more():
            self.take_in(self._look())
        return self._given(self._page.popleft())

    def __aiter__(self) -> AsyncIterator[Recorded]:
        return self

    async def __anext__(self) -> Recorded:
        """Return the next event, which a thread of its own looks for."""
        try:
            while not self.require_more():
                self.take_in(await self.ahead().take_soon())
        except StopIteration:
            raise StopAsyncIteration from None
        return self._given(self._page.popleft())

    # Batch by batch

    def batches(self, size: int = 500, seconds: float = 1.0) -> Batches:
        """Return its events in batches: each of at most `size`, and at most `seconds` after its first event came.

        Each has its `cursor`: store it with what you derive from the batch. `for` and `async for` take them. Raises UsageError.
        """
        return Batches(self, size, seconds)

    # Where it is

    @property
    def position(self) -> int:
        """Return the last position looked at."""
        return self._place.position

    @property
    def cursor(self) -> str:
        """Return `position` with its history, as text: what to resume after."""
        return str(self._place)

    def stop(self) -> None:
        """End the iteration; from another thread too, at once."""
        self._stopped.set()
        if self._ahead is not None:
            self._ahead.stop()
        self._source.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._ahead is None:
            self._source.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    # How it goes on, event by event and batch by batch

    def ahead(self) -> Ahead:
        """Return what looks ahead for it, in a thread that begins with the first call."""
        if self._ahead is None:
            self._ahead = Ahead(self._source)
            weakref.finalize(self, self._ahead.stop)
        return self._ahead

    def take_in(self, found: Looked | LedgerError | None) -> None:
        """Take in what was found, if anything was."""
        if isinstance(found, LedgerError):
            self._error = found
        elif found is not None:
            self._page.extend(found.events)
            self._looked_up_to, self._is_over = found.place, found.is_over
            if not self._page:
                self._place = found.place
            if found.is_caught_up:
                self._caught_up()

    def at_hand(self, most: int) -> list[Recorded]:
        """Return at most so many of the events that are there to be given, and go on to the end of them."""
        if self._stopped.is_set():
            return []
        given = [self._page.popleft() for _ in range(min(most, len(self._page)))]
        if given:
            self._given(given[-1])
        return given

    def _given(self, last: Recorded) -> Recorded:
        """Note that an event is given: it goes on after that, or after all that was looked at where no other is at hand."""
        self._place = Cursor(last.position, self._looked_up_to.epoch) if self._page else self._looked_up_to
        return last

    @property
    def is_ended(self) -> bool:
        """Return whether nothing more comes than what is at hand."""
        return self._stopped.is_set() or self._is_over or self._error is not None

    def require_more(self) -> bool:
        """Return whether there is an event at hand. Raises StopIteration, or an error, where none is to come."""
        if self._stopped.is_set():
            raise StopIteration
        if self._page:
            return True
        if self._error is not None:
            self._raise_once(self._error)
        if self._is_over:
            raise StopIteration
        return False

    def _raise_once(self, error: LedgerError) -> NoReturn:
        if not self._is_told:
            self._is_told = True
            raise error
        raise SubscriptionEnded(getattr(error, "cursor", self.cursor), error) from error

    def _look(self) -> Looked | LedgerError | None:
        if self._ahead is not None:
            return self._ahead.take()
        try:
            return self._source.look()
        except LedgerError as error:
            return error

    def _caught_up(self) -> None:
        self.is_caught_up = True
        if self._when_caught_up is not None:
            self._when_caught_up(self.cursor)
