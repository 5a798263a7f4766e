"""The newest events, read once for all who follow the log in this process.

One connection listens, one thread reads; a hundred followers cost the database what one does. Whoever is further behind
than what is kept here reads the log by themselves until they have caught up.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from uuid import UUID

import psycopg

from runfold.domain.recorded import Recorded
from runfold.errors import LedgerError, LedgerUnavailable
from runfold.store.datastore import Datastore
from runfold.store.hint import Listener
from runfold.store.reading.history import History
from runfold.store.reading.reader import Head, Reader, Stretch
from runfold.store.unlocked import Unlocked

KEPT, KEPT_BYTES = 5000, 64 * 1024 * 1024
"""No more is kept than these many events of that much payload, but for the last that were read."""
PAGE = 500
BUSY_SECONDS = 0.005
QUIET_SECONDS = 0.25
LINGER_SECONDS = 5.0


class Tail:
    """The end of the log. `position` is how far it has been read, of the history that `epoch` names."""

    def __init__(self, datastore: Datastore, reader: Reader, history: History) -> None:
        self._datastore = datastore
        self._reader = reader.tolerant()
        self._history = history
        self._kept: deque[Recorded] = deque()
        self._read: deque[Stretch] = deque()
        """What is kept, as it was read."""
        self._size = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wanted_until = 0.0
        self._watching: list[Callable[[], object]] = []
        self._closed = False
        self.position = 0
        self.epoch: UUID | None = None
        """None too while the log is shorter than it was, and nobody has begun a new history."""
        self.failing_since: float | None = None
        """Since when it cannot read, by the monotonic clock; followers then read by themselves, and say what is wrong."""
        self.failure: Exception | None = None
        """Why it cannot."""

    def after(self, position: int, epoch: UUID | None) -> list[Recorded] | None:
        """At most a page of events after a position of a history; None where they are not kept here."""
        with self._changed:
            if (
                self._thread is None
                or epoch is None
                or epoch != self.epoch
                or not self._kept
                or not self._kept[0].position - 1 <= position <= self.position
            ):
                return None
            return list(islice(self._kept, position - self._kept[0].position + 1, position - self._kept[0].position + 1 + PAGE))

    def wait(self, position: int, epoch: UUID | None, timeout: float, or_when: Callable[[], bool]) -> None:
        """Wait until there is something after a position, or another history, or something else is so.

        Starts the thread where none runs.
        """
        with self._changed:
            self._wanted_until = time.monotonic() + timeout + LINGER_SECONDS
            self._begin(position, epoch)
            self._changed.wait_for(lambda: self.position > position or self.epoch != epoch or self._closed or or_when(), timeout)

    def watch(self, told: Callable[[], object], head: Head) -> int:
        """Have `told` called each time there is more, or reading fails, until `unwatch`; how far it has been read.

        It is called in the thread that reads, and must not wait. Where none runs, one begins after the head.
        """
        with self._changed:
            self._watching.append(told)
            self._begin(head.position, head.epoch)
            return self.position

    def unwatch(self, told: Callable[[], object]) -> None:
        """Call it no more."""
        with self._changed:
            self._watching.remove(told)

    def _begin(self, position: int, epoch: UUID | None) -> None:
        if self._thread is None and not self._closed:
            self._forget_all()
            self.position, self.epoch = position, epoch
            thread = threading.Thread(target=self._read_on, name="runfold-tail", daemon=True)
            thread.start()
            self._thread = thread  # once it runs: an interrupt before that leaves nothing to be waited for

    @property
    def kept(self) -> int:
        """Return how many events are kept: fewer where they are large."""
        return len(self._kept)

    def read(self, after: int, up_to: int) -> Stretch:
        """Return the events between two positions, from the log, or the first of them if they are large.

        It is asked in a thread in which no interrupt arrives. Raises LedgerError.
        """
        epoch, reader = self.epoch, self._reader.unlocked()
        found = reader.stretch(after=after, up_to=up_to, limit=up_to - after)
        if epoch is None or reader.head().epoch != epoch:
            raise LedgerUnavailable("the ledger was put back to another history meanwhile", "ask again")
        return found

    def saw(self, recorded: Recorded) -> None:
        """Somebody was given an event: that the ledger went so far is noted outside of it."""
        self._history.saw(recorded.position, recorded.event_id_bytes, recorded.recorded_at)

    def nudge(self) -> None:
        """Let all who wait look again whether they should go on."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _read_on(self) -> None:
        listener = Listener(self._datastore)
        pause = BUSY_SECONDS
        try:
            while self._is_wanted():
                try:
                    while self._read_page(listener.asking()):
                        pause = BUSY_SECONDS
                    self.failing_since = self.failure = None
                    listener.wait(pause)
                    pause = min(pause * 2, QUIET_SECONDS)
                except (psycopg.Error, LedgerError) as error:
                    self.failing_since, self.failure = self.failing_since or time.monotonic(), error
                    self._tell()
                    listener.close()
                    self._datastore.revive()
                    time.sleep(QUIET_SECONDS)
        finally:
            listener.close()

    def _is_wanted(self) -> bool:
        with self._changed:
            if not self._closed and (self._watching or time.monotonic() < self._wanted_until):
                return True
            self._thread = None
            return False

    def _read_page(self, asking: Unlocked) -> bool:
        found, head = self._reader.news(asking, self.position, PAGE)
        if head.epoch != self.epoch or (head.position < self.position and self._is_put_back()):
            self._start_over()
        elif found.events:
            with self._changed:
                self._keep(found)
                self.position = found.events[-1].position
                self._changed.notify_all()
            self.saw(found.events[-1])
            self._tell()
            return True
        return False

    def _is_put_back(self) -> bool:
        """Return whether the log is shorter than it was, and not because a standby that is behind answers."""
        return self._reader.rows("SELECT pg_catalog.pg_is_in_recovery()") == [(False,)]

    def _start_over(self) -> None:
        """The history is another one: nothing that is kept here is known to be of it."""
        self._history.check()
        head = self._reader.head()
        with self._changed:
            is_short = head.epoch == self.epoch and head.position < self.position
            self._forget_all()
            self.position, self.epoch = head.position, None if is_short else head.epoch
            self._changed.notify_all()
        self._tell()

    def _forget_all(self) -> None:
        self._kept.clear()
        self._read.clear()
        self._size = 0

    def _keep(self, found: Stretch) -> None:
        self._kept.extend(found.events)
        self._read.append(found)
        self._size += found.size
        while len(self._read) > 1 and (len(self._kept) > KEPT or self._size > KEPT_BYTES):
            oldest = self._read.popleft()
            self._size -= oldest.size
            for _ in oldest.events:
                self._kept.popleft()

    def _tell(self) -> None:
        with self._changed:
            for told in self._watching:
                told()
