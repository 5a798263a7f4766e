"""The ordered feed after a position: every event that is wanted, once, in order, for ever.

Positions are dense and become visible in order, so reading on from the last one misses nothing.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Self
from uuid import UUID

from runfold.domain.event import Recorded
from runfold.errors import LedgerUnavailable
from runfold.feed.following import Complete, Failed, Following, Retries, Span, Wait
from runfold.feed.tail import Tail
from runfold.store import epochs
from runfold.store.cursor import Cursor, Place, cursor_of
from runfold.store.filter import Filter
from runfold.store.reader import Reader

PAGE = 500
LOOK_AGAIN_SECONDS = 1.0


class Subscription:
    """Iterate it. `position` is the last position looked at, wanted or not, and `cursor` says of which history: resume after it.

    With `follow` off it ends at the head. While the database is away it waits and tries again, for `patience` seconds. Where
    the ledger was put back to an older copy, so that what was given here is no longer what it holds, it raises HistoryChanged.
    """

    def __init__(
        self, reader: Reader, tail: Tail, wanted: Filter, *, after: Place = 0, follow: bool = True, patience: float = 300.0
    ) -> None:
        self._reader = reader
        self._tail = tail
        self._wanted = wanted
        self._follow = follow
        self._page: deque[Recorded] = deque()
        self._asked = Cursor.parse(after)
        retries = Retries(lambda _: LOOK_AGAIN_SECONDS, patience if follow else 0.0)
        self._state: Following[UUID | None] = Following(
            self._asked.position, None, retries, is_seen=self._asked.epoch is not None
        )
        self._stopped = threading.Event()
        self.position = self._asked.position

    def __iter__(self) -> Iterator[Recorded]:
        return self

    def __next__(self) -> Recorded:
        while not self._page or self._stopped.is_set():
            if self._stopped.is_set():
                raise StopIteration
            self._go_on()
        recorded = self._page.popleft()
        self.position = recorded.position if self._page else self._state.position
        return recorded

    @property
    def cursor(self) -> str:
        """`position` with its history, as text: what to resume after. Raises HistoryChanged, LedgerUnavailable."""
        return cursor_of(self.position, self._state.epoch or self._begun())

    def stop(self) -> None:
        """End the iteration; from another thread too, at once."""
        self._stopped.set()
        self._tail.nudge()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _go_on(self) -> None:
        """Do what comes next. Raises LedgerError where it cannot go on."""
        match self._state.step(now := time.monotonic()):
            case Complete():
                self.stop()
            case Failed(error):
                raise error
            case Wait():
                self._tail.wait(self._state.position, self._state.epoch, LOOK_AGAIN_SECONDS, self._stopped.is_set)
                self._look()
            case _ if (pause := self._state.retry_at - now) > 0:
                self._stopped.wait(pause)
            case _:
                self._look()

    def _look(self) -> None:
        """See what is new: in what all share of the newest events, or in the log."""
        after = self._state.position
        newest = self._tail.after(after, self._state.epoch) if self._follow else None
        if newest is None or (not newest and self._is_failing()):
            self._read()
        elif newest:
            self._take(Span(after, newest[-1].position, self._state.epoch, [each for each in newest if self._wanted.takes(each)]))
        else:
            self._state.goes_to(after, self._state.epoch)

    def _read(self) -> None:
        began = time.monotonic()
        try:
            found = self._found(self._state.position)
        except LedgerUnavailable as error:
            self._state.failed(error, time.monotonic(), began)
        else:
            for recorded in found.events[-1:]:
                self._tail.saw(recorded)
            self._take(found)

    def _found(self, after: int) -> Span[Recorded]:
        """Return what stands in the log after a position. Raises HistoryChanged, LedgerUnavailable."""
        head = epochs.still(self._reader, self._state.reached, self._state.epoch or self._begun())
        self._confirmed(head.epoch)
        if head.position <= after:
            self._state.goes_to(after, head.epoch)
            if not self._follow:
                self._state.ends_at(after)
            return Span(after, after, head.epoch)
        found = self._reader.stretch(self._wanted, after=after, up_to=head.position, limit=PAGE)
        self._confirmed(epochs.still(self._reader, found.position, head.epoch).epoch)
        return Span(after, found.position, self._state.epoch, found.events)

    def _begun(self) -> UUID:
        """Return the history that it begins in. Raises HistoryChanged, LedgerUnavailable."""
        epochs.position_of(self._reader, self._asked)
        return self._confirmed(self._reader.head().epoch)

    def _confirmed(self, epoch: UUID) -> UUID:
        self._state.confirmed(epoch)
        return epoch

    def _take(self, span: Span[Recorded]) -> None:
        self._page.extend(self._state.looked(span))
        if not self._page:
            self.position = self._state.position

    def _is_failing(self) -> bool:
        since = self._tail.failing_since
        return since is not None and time.monotonic() - since > LOOK_AGAIN_SECONDS
