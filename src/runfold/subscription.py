"""The ordered feed after a position: every event that is wanted, once, in order, for ever.

Positions are dense and become visible in order, so reading on from the last one misses nothing. A hint wakes a waiting
reader at once; without one it polls, often while there is traffic and seldom when it is quiet.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Self

import psycopg

from runfold.domain.event import Recorded
from runfold.errors import LedgerUnavailable
from runfold.store.hint import CHANNEL
from runfold.store.reader import Filter
from runfold.store.recorder import Recorder

BUSY_SECONDS = 0.005
QUIET_SECONDS = 0.25
PAGE = 500


class Subscription:
    """Iterate it. `position` is the last position looked at, wanted or not: resume after it.

    With `follow` off it ends at the head. While the database is away it waits and tries again, for `patience` seconds.
    """

    def __init__(
        self, recorder: Recorder, wanted: Filter, *, after: int = 0, follow: bool = True, patience: float = 300.0
    ) -> None:
        self._recorder = recorder
        self._wanted = wanted
        self._follow = follow
        self._patience = patience
        self._page: deque[Recorded] = deque()
        self._scanned = after
        self._stopped = threading.Event()
        self._listener: psycopg.Connection[object] | None = None
        self._wait = BUSY_SECONDS
        self.position = after

    def __iter__(self) -> Iterator[Recorded]:
        return self

    def __next__(self) -> Recorded:
        while not self._page:
            if self._stopped.is_set():
                raise StopIteration
            if not self._fill():
                if not self._follow:
                    self.stop()
                    raise StopIteration
                self._pause()
        recorded = self._page.popleft()
        self.position = recorded.position if self._page else self._scanned
        return recorded

    def stop(self) -> None:
        """End the iteration; from another thread too, within a moment."""
        self._stopped.set()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _fill(self) -> bool:
        """Read the next page. False when everything up to the head has been looked at."""
        given_up = time.monotonic() + self._patience
        while True:
            try:
                reader = self._recorder.reader
                head = reader.head().position
                if head <= self._scanned:
                    return False
                found = reader.page(self._wanted, after=self._scanned, up_to=head, limit=PAGE)
            except LedgerUnavailable as error:
                if not self._follow or not error.retriable or time.monotonic() > given_up:
                    raise
                if self._stopped.wait(QUIET_SECONDS):
                    return False
            else:
                self._page.extend(found)
                self._scanned = found[-1].position if len(found) == PAGE else head
                if not found:
                    self.position = self._scanned
                self._wait = BUSY_SECONDS
                return True

    def _pause(self) -> None:
        """Wait for a hint, or for the next poll."""
        try:
            if self._listener is None:
                self._listener = self._recorder.store.connect()
                self._listener.execute(f"LISTEN {CHANNEL}")
                return  # what came before it listened is read first
            for _ in self._listener.notifies(timeout=self._wait, stop_after=1):
                return
        except psycopg.Error:
            self._listener = None
            self._stopped.wait(self._wait)
        self._wait = min(self._wait * 2, QUIET_SECONDS)
