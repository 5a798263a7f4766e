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
        self._patience = patience
        self._page: deque[Recorded] = deque()
        self._asked = Cursor.parse(after)
        self._epoch: UUID | None = None
        self._reached = 0
        """How far the ledger was seen to go. A bare position may be beyond it."""
        self._stopped = threading.Event()
        self.position = self._scanned = self._asked.position

    def __iter__(self) -> Iterator[Recorded]:
        return self

    def __next__(self) -> Recorded:
        while not self._page or self._stopped.is_set():
            if self._stopped.is_set():
                raise StopIteration
            if not self._fill():
                if not self._follow:
                    self.stop()
                    raise StopIteration
                self._tail.wait(self._scanned, self._epoch, LOOK_AGAIN_SECONDS, self._stopped.is_set)
        recorded = self._page.popleft()
        self.position = recorded.position if self._page else self._scanned
        return recorded

    @property
    def cursor(self) -> str:
        """`position` with its history, as text: what to resume after. Raises HistoryChanged, LedgerUnavailable."""
        return cursor_of(self.position, self._epoch or self._begun())

    def stop(self) -> None:
        """End the iteration; from another thread too, at once."""
        self._stopped.set()
        self._tail.nudge()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _fill(self) -> bool:
        """Get the next page. False when everything up to the head has been looked at."""
        newest = self._tail.after(self._scanned, self._epoch) if self._follow else None
        if newest is None or (not newest and self._is_failing()):
            return self._read()
        if newest:
            self._take([recorded for recorded in newest if self._wanted.takes(recorded)], newest[-1].position)
        return bool(newest)

    def _read(self) -> bool:
        given_up = time.monotonic() + self._patience
        while True:
            try:
                head = epochs.still(self._reader, self._reached, self._epoch or self._begun())
                self._epoch = head.epoch
                if head.position <= self._scanned:
                    return False
                found = self._reader.stretch(self._wanted, after=self._scanned, up_to=head.position, limit=PAGE)
                self._epoch = epochs.still(self._reader, found.position, self._epoch).epoch
            except LedgerUnavailable as error:
                if not self._follow or not error.retriable or time.monotonic() > given_up:
                    raise
                if self._stopped.wait(LOOK_AGAIN_SECONDS):
                    return False
            else:
                for recorded in found.events[-1:]:
                    self._tail.saw(recorded)
                self._take(found.events, found.position)
                return True

    def _begun(self) -> UUID:
        """The history that it begins in. Raises HistoryChanged, LedgerUnavailable."""
        epochs.position_of(self._reader, self._asked)
        self._epoch = self._reader.head().epoch
        self._reached = self._scanned if self._asked.epoch is not None else 0
        return self._epoch

    def _take(self, found: list[Recorded], scanned: int) -> None:
        self._page.extend(found)
        self._scanned = self._reached = scanned
        if not found:
            self.position = scanned

    def _is_failing(self) -> bool:
        since = self._tail.failing_since
        return since is not None and time.monotonic() - since > LOOK_AGAIN_SECONDS
