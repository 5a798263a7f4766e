"""What this process has just stored, at hand for those who follow it here before the log's tail has read it."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from runfold.domain.recorded import Recorded
from runfold.event_loops import running_loop, tell_loop
from runfold.store.appending.appends import Append
from runfold.store.codec import as_recorded

MOST_EVENTS, MOST_BYTES = 5000, 16 * 1024 * 1024
"""No more is kept than these many events of that much payload, but for the last: who is behind waits for the tail."""


class Waking(Protocol):
    """Somebody who follows a thread."""

    def wake(self) -> None:
        """There is something to look at."""


class FreshPage(NamedTuple):
    """Events of a thread, and the position up to which these are all."""

    events: list[Recorded]
    position: int


class Fresh:
    """The last events that this process has stored, without a gap: where others have stored something between, what was before
    is for the tail to bring. Everything but `stored` happens on the event loop.

    Their context and metadata are as they were sent to the database, which writes them with other spaces.
    """

    def __init__(self) -> None:
        self._following: dict[str, set[Waking]] = {}
        self._events: deque[Recorded] = deque()
        self._of_threads: dict[str, deque[Recorded]] = {}
        self._bytes = 0
        self._coming: deque[list[Recorded]] = deque()
        self._loop: asyncio.AbstractEventLoop

    def has_more(self, position: int) -> bool:
        """Return whether the event after a position is here."""
        return bool(self._events) and self._events[0].position <= position + 1 <= self._events[-1].position

    def page(self, thread_id: str, after: int, most_events: int, most_bytes: int) -> FreshPage:
        """Return a thread's events after a position: so many, or of so much payload, at most, but for the last one. None of
        them, and no further position, where the next event of all is not here.
        """
        found, size = list[Recorded](), 0
        if not self.has_more(after):
            return FreshPage(found, after)
        for recorded in self._of_threads.get(thread_id, ()):
            if recorded.position > after:
                found.append(recorded)
                size += recorded.payload_bytes
                if len(found) == most_events or size >= most_bytes:
                    return FreshPage(found, recorded.position)
        return FreshPage(found, self._events[-1].position)

    def join(self, thread_id: str, waking: Waking) -> None:
        """Wake it each time something of a thread is stored, and keep what is, until it leaves."""
        self._loop = asyncio.get_running_loop()
        self._following.setdefault(thread_id, set()).add(waking)

    def leave(self, thread_id: str, waking: Waking) -> None:
        """Keep nothing more for it."""
        following = self._following.get(thread_id, set())
        following.discard(waking)
        if not following:
            self._following.pop(thread_id, None)
        if not self._following:
            self.clear()

    def forget(self, up_to: int) -> None:
        """Keep nothing up to a position: the tail has read it."""
        while self._events and self._events[0].position <= up_to:
            self._drop_first()

    def clear(self) -> None:
        """Keep nothing: nobody follows, or the history is another one."""
        self._coming.clear()
        self._clear_events()

    def stored(self, appends: Sequence[Append]) -> None:
        """Take what was stored, from any thread. What failed is passed over."""
        if not self._following:
            return
        self._coming.append([recorded for append in appends if append.error is None for recorded in _events_of(append)])
        if running_loop() is self._loop:  # mostly: there is nothing to wait for
            self._take()
            return
        tell_loop(self._loop, self._take)

    def _take(self) -> None:
        threads: set[str] = set()
        while self._coming:
            for recorded in self._coming.popleft():
                if self._events and recorded.position != self._events[-1].position + 1:
                    self._clear_events()
                self._events.append(recorded)
                self._of_threads.setdefault(recorded.thread_id, deque()).append(recorded)
                self._bytes += recorded.payload_bytes
                threads.add(recorded.thread_id)
        while len(self._events) > MOST_EVENTS or (self._bytes > MOST_BYTES and len(self._events) > 1):
            self._drop_first()
        for thread_id in threads:
            for waking in self._following.get(thread_id, ()):
                waking.wake()

    def _drop_first(self) -> None:
        first = self._events.popleft()
        self._bytes -= first.payload_bytes
        of_thread = self._of_threads[first.thread_id]
        of_thread.popleft()
        if not of_thread:
            del self._of_threads[first.thread_id]

    def _clear_events(self) -> None:
        self._events.clear()
        self._of_threads.clear()
        self._bytes = 0


def _events_of(append: Append) -> Iterator[Recorded]:
    assert append.recorded_at is not None, "it is stored"  # noqa: S101
    for position, (row, event) in enumerate(zip(append.rows, append.events, strict=True), append.first_position):
        yield as_recorded(row, position, append.recorded_at, event)
