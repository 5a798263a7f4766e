"""The newest events, encoded once for all who stream them, and who waits for which.

One thread reads the log for the process (`feed/tail.py`); one call on the event loop takes what it read; only those whom
an event concerns are woken. So thousands who wait cost nothing, and a hundred who follow cost the database what one does.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol
from uuid import UUID

from anyio import CapacityLimiter, to_thread

from runfold.domain.recorded import Recorded
from runfold.errors import Damage
from runfold.event_loops import tell_loop
from runfold.feed.block import Block
from runfold.feed.frames import Form, Frames, Framing
from runfold.feed.fresh import Fresh
from runfold.feed.tail import Tail
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import Head, Stretch

KEPT_BYTES = 64 * 1024 * 1024
"""Of frames; of what is read for those who are behind; and of the newest, as many are kept as the tail keeps."""
BLOCK, MOST_BLOCKS, AHEAD = 500, 60, 2
READERS = 4
"""Who is behind reads the log in threads: so many at a time, and commands have all the others."""


class Waiting(Protocol):
    """Somebody who has been given everything up to `position` and waits for the next event that is `wanted`."""

    wanted: Filter

    @property
    def position(self) -> int:
        """Return the last position looked at."""

    def pass_over(self, position: int) -> None:
        """Nothing up to a position concerns it."""

    def wake(self) -> None:
        """There is something to look at."""

    def stop(self) -> None:
        """The server ends."""


class Entry:
    """One of the newest events, and its bytes in each form once somebody wanted them."""

    __slots__ = ("frames", "is_kept", "recorded")

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self.frames: dict[Form, bytes] = {}
        self.is_kept = True


class Feed:
    """What all event streams of an application share. Everything but `_told` happens on the event loop."""

    def __init__(self, frames: Frames) -> None:
        """`frames` is how an event is written for all of them."""
        self.frames = frames
        self.position = 0
        """Up to where the newest events are here."""
        self.epoch: UUID | None = None
        """The history that they are of; None while that is not known."""
        self.closed = False
        self.when_closed: list[Callable[[], object]] = []
        """What else is to end when the server stops."""
        self.fresh = Fresh()
        """What this process has stored and the tail has not read yet, for those who are shown only what was stored here."""
        self.sent = 0
        self.dropped = 0
        self.limiter: CapacityLimiter
        self._tail: Tail
        self._loop: asyncio.AbstractEventLoop
        self._all: set[Waiting] = set()
        self._parked: dict[str | None, set[Waiting]] = {}
        self._entries: dict[int, Entry] = {}
        self._blocks: OrderedDict[int, asyncio.Future[Block]] = OrderedDict()
        self._bytes = 0
        """Of the frames of the newest."""
        self._framings: dict[Form, Framing] = {}
        self._is_asked = False

    @property
    def subscribers(self) -> int:
        """Return how many streams are open."""
        return len(self._all)

    @property
    def is_damaged(self) -> bool:
        """Return whether an event stands next that cannot be read; who does not want that one can go on by reading the log."""
        return isinstance(self._tail.failure, Damage)

    def join(self, waiting: Waiting, tail: Tail, head: Head) -> None:
        """One more stream. The first begins to read what is recorded after `head`."""
        if not self._all:
            self._tail, self._loop, self.limiter = tail, asyncio.get_running_loop(), CapacityLimiter(READERS)
            self._clear()
            self.position = tail.watch(self._told, head)
            self.epoch = tail.epoch
        self._all.add(waiting)

    def leave(self, waiting: Waiting) -> None:
        """One stream less. After the last nothing is read any more."""
        self.unpark(waiting)
        self._all.discard(waiting)
        if not self._all:
            self._tail.unwatch(self._told)

    def close(self) -> None:
        """End all streams at once, and those that come later: the server stops. To be called on the event loop."""
        self.closed = True
        for end in self.when_closed:
            end()
        for waiting in self._all:
            waiting.stop()

    def newest(self, position: int) -> Entry | None:
        """Return the event at a position, if it is one of the newest that are here."""
        return self._entries.get(position)

    def block(self, position: int) -> Block | None:
        """Return the neighbours among which a position is, if they were read for somebody and are here."""
        found = self._blocks.get((position - 1) // BLOCK)
        block = found.result() if found is not None and _is_read(found) else None
        return block if block is not None and block.holds(position) else None

    def recorded(self, position: int) -> Recorded | None:
        """Return the event at a position, if it is here."""
        if (entry := self._entries.get(position)) is not None:
            return entry.recorded
        block = self.block(position)
        return None if block is None else block.recorded(position)

    def fetch(self, position: int) -> asyncio.Future[Block] | None:
        """Read a position and its neighbours, once for all who come by.

        None at the end, where not all are there yet, and where there are more bytes before it than are read at once.
        """
        number, index = divmod(position - 1, BLOCK)
        if (number + 1) * BLOCK > self.position:
            return None
        block = self._blocks.pop(number, None)
        if block is None or (block.done() and not _is_read(block)):
            read = partial(self._tail.read, number * BLOCK, (number + 1) * BLOCK)
            block = asyncio.ensure_future(to_thread.run_sync(lambda: _block(read()), limiter=self.limiter))
            block.add_done_callback(self._was_read)
        self._blocks[number] = block
        self._forget()
        return None if _is_read(block) and index >= len(block.result().events) else block

    def fetch_after(self, block: Block, up_to: int) -> None:
        """Read on after a block, no further than to a position, while what is in it is sent.

        Not where so much is read for so many that it might be forgotten before anybody comes to it.
        """
        if block.size * MOST_BLOCKS <= KEPT_BYTES and self.reads_ahead:
            last = block.ends - 1
            for after in range(last, min(last + AHEAD * BLOCK, up_to), BLOCK):
                self.fetch(after + 1)

    @property
    def reads_ahead(self) -> bool:
        """Return whether so few are behind that what is read ahead for each is still there when they come to it."""
        behind = len(self._all) - sum(map(len, self._parked.values()))
        return behind * (1 + AHEAD) <= MOST_BLOCKS

    def framing(self, form: Form) -> Framing:
        """Return what writes the events that are kept."""
        found = self._framings.get(form)
        if found is None:
            assert self.epoch is not None, "events are kept of a history that is known"  # noqa: S101
            found = self._framings[form] = self.frames.framing(self.epoch, form)
        return found

    def frame(self, entry: Entry, form: Form) -> bytes:
        """Return the bytes of one of the newest events, made when they are first asked for. Raises Damage."""
        found = entry.frames.get(form)
        if found is None:
            found = entry.frames[form] = self.framing(form)(entry.recorded)
            entry.recorded.let_go()  # as objects it takes ten times as much as in its bytes, and mostly nobody asks again
            self._bytes += len(found) if entry.is_kept else 0
        return found

    def park(self, waiting: Waiting) -> None:
        """Wake it when an event comes that it wants. Until then it has, in effect, been given everything."""
        self._parked.setdefault(waiting.wanted.thread_id, set()).add(waiting)

    def unpark(self, waiting: Waiting) -> bool:
        """It waits no longer; whether it was still waiting."""
        parked = self._parked.get(waiting.wanted.thread_id, set())
        if waiting not in parked:
            return False
        parked.remove(waiting)
        if not parked:
            del self._parked[waiting.wanted.thread_id]
        return True

    def _told(self) -> None:
        if not self._is_asked:
            self._is_asked = True
            tell_loop(self._loop, self._take)

    def _take(self) -> None:
        """Take what the tail has read, a page at a time so that others come in between."""
        self._is_asked = False
        if not self._all:
            return
        if self.is_damaged:
            self._wake_all()
        if self._tail.epoch != self.epoch:  # each stream finds out whether what it has given is still so
            self._wake_all()
            self._clear()
            self.position, self.epoch = self._tail.position, self._tail.epoch
        if self._tail.position <= self.position:
            return
        page = self._tail.after(self.position, self.epoch)
        if page is None:  # the loop was held up for longer than the tail keeps events: everybody reads the log
            self._wake_all()
            self._clear()
            self.position = self._tail.position
            return
        for recorded in page:
            self._entries[recorded.position] = Entry(recorded)
            for waiting in list(self._concerned(recorded)):
                self.unpark(waiting)
                waiting.pass_over(recorded.position - 1)
                waiting.wake()
        self.position = page[-1].position if page else self.position
        self.fresh.forget(self.position)
        self._forget()
        self._told()

    def _concerned(self, recorded: Recorded) -> Iterator[Waiting]:
        for thread_id in (recorded.thread_id, None):
            for waiting in self._parked.get(thread_id, ()):
                if recorded.position > waiting.position and waiting.wanted.takes(recorded):
                    yield waiting

    def _wake_all(self) -> None:
        for parked in list(self._parked.values()):
            for waiting in list(parked):
                self.unpark(waiting)
                waiting.pass_over(self.position)
                waiting.wake()

    def _forget(self) -> None:
        """Forget what was asked for least recently, until the rest is not too much. What is still being read stays."""
        blocks = [block.result() for block in self._blocks.values() if _is_read(block)]
        read, framed = sum(block.size for block in blocks), sum(block.frame_bytes for block in blocks)
        while len(self._blocks) > MOST_BLOCKS or self._bytes + framed > KEPT_BYTES or read > KEPT_BYTES:
            number = next((number for number, block in self._blocks.items() if block.done()), None)
            if number is None:
                break
            if _is_read(block := self._blocks.pop(number)):
                read, framed = read - block.result().size, framed - block.result().frame_bytes
        while self._entries and (len(self._entries) > self._tail.kept or self._bytes + framed > KEPT_BYTES):
            self._drop(self._entries.pop(next(iter(self._entries))))

    def _was_read(self, block: asyncio.Future[Block]) -> None:
        if not block.cancelled() and block.exception() is None:  # whoever comes by is told why, and perhaps nobody does
            self._forget()

    def _drop(self, entry: Entry) -> None:
        entry.is_kept = False
        self._bytes -= sum(map(len, entry.frames.values()))

    def _clear(self) -> None:
        for entry in self._entries.values():
            self._drop(entry)
        self._entries.clear()
        self._blocks.clear()
        self._framings.clear()
        self.fresh.clear()


def _block(read: Stretch) -> Block:
    return Block(read.events, read.size)


def _is_read(block: asyncio.Future[Block]) -> bool:
    return block.done() and block.exception() is None
