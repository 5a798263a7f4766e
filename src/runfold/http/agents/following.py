"""A thread's events as they are recorded, for one client: from the log while it is behind, then from what the process keeps."""

import asyncio

from runfold.access.limits import Pools
from runfold.domain.recorded import Recorded
from runfold.feed.shared import Feed
from runfold.feed.tail import Tail
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import Head
from runfold.store.reading.tenant_reader import TenantReader

MOST_EVENTS, MOST_BYTES = 500, 1024 * 1024
"""No more than these many events, or that much payload, is taken for a client at once: the rest stays in the log until the
client has taken those. One event may be larger."""


class ThreadEvents:
    """Gives the events of a thread after a position, when they are asked for."""

    def __init__(self, feed: Feed, pools: Pools, reader: TenantReader, thread_id: str, after: int) -> None:
        self.wanted = Filter(tenant_id=reader.tenant, thread_id=thread_id)
        self._feed, self._pools, self._reader = feed, pools, reader.within(MOST_BYTES)
        self._thread_id, self._position = thread_id, after
        self._woken = asyncio.Event()
        self.is_stopped = False
        """Whether the server stops."""

    @property
    def position(self) -> int:
        """Return the last position looked at."""
        return self._position

    @property
    def is_caught_up(self) -> bool:
        """Return whether all was given that the process knows of."""
        return self._position >= self._feed.position and not self._feed.fresh.has_more(self._position)

    def join(self, tail: Tail, head: Head) -> None:
        """Begin to hear of what is recorded after the head."""
        self._feed.join(self, tail, head)
        self._feed.fresh.join(self._thread_id, self)

    def leave(self) -> None:
        """Nobody asks any more."""
        self._feed.fresh.leave(self._thread_id, self)
        self._feed.leave(self)

    def pass_over(self, position: int) -> None:
        """Nothing up to a position concerns it."""
        self._position = max(self._position, position)

    def wake(self) -> None:
        """There is something to look at."""
        self._woken.set()

    def stop(self) -> None:
        """The server ends."""
        self.is_stopped = True
        self._woken.set()

    async def next(self, seconds: float) -> list[Recorded]:
        """Return the next events; none where so many seconds brought none, or somebody woke it. Raises LedgerUnavailable."""
        if self._feed.closed:
            self.is_stopped = True
        if self.is_stopped:
            return []
        if not self.is_caught_up:
            return self._from_memory() or await self._from_log()
        self._feed.park(self)
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        finally:
            self._woken.clear()
            if self._feed.unpark(self):
                self.pass_over(self._feed.position)
        return [] if self.is_caught_up or self.is_stopped else self._from_memory() or await self._from_log()

    def _from_memory(self) -> list[Recorded]:
        """Return what is next of that which the tail has read, or, where that is behind, of what this process has stored."""
        found = self._from_feed()
        if found or self._position < self._feed.position:
            return found
        page = self._feed.fresh.page(self._thread_id, self._position, MOST_EVENTS, MOST_BYTES)
        self._position = page.position
        return [recorded for recorded in page.events if self.wanted.takes(recorded)]

    def _from_feed(self) -> list[Recorded]:
        found: list[Recorded] = []
        size, position, last = 0, self._position, self._feed.position
        while position < last and len(found) < MOST_EVENTS and size < MOST_BYTES:
            recorded = self._feed.recorded(position + 1)
            if recorded is None:
                break
            position += 1
            if recorded.thread_id == self._thread_id and self.wanted.takes(recorded):  # of the most, all that is asked
                found.append(recorded)
                size += recorded.payload_bytes
        self._position = position
        return found

    async def _from_log(self) -> list[Recorded]:
        if self.is_caught_up:
            return []
        asked = {"after": self._position, "up_to": self._feed.position, "limit": MOST_EVENTS}
        read = await self._pools.questions.run(self._reader.stretch, self.wanted, **asked)
        self.pass_over(read.position)
        return read.events
