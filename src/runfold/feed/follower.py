"""One stream's way through the log: from the past in pages, then from what the process keeps of the newest events."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from anyio import to_thread

from runfold.errors import Damage, KeyRefused, LedgerError
from runfold.feed.at_hand import CHUNK_BYTES, AtHand
from runfold.feed.block import Block
from runfold.feed.following import (
    LATEST,
    Alive,
    CaughtUp,
    Complete,
    Confirm,
    Failed,
    FindEnd,
    Following,
    Read,
    Refused,
    Retries,
    Span,
    Step,
    Stopping,
    Wait,
)
from runfold.feed.frames import Frame
from runfold.feed.run_watch import RunWatch
from runfold.feed.shared import Feed
from runfold.feed.wanted import Page, Wanted, read_page
from runfold.logs import logger
from runfold.store import epochs
from runfold.store.reading.reader import Head, Reader

LOOK_AGAIN_SECONDS = 1.0
HISTORY_SECONDS = 0.05
NEAR, NEAR_OF_THREAD = 100_000, 20_000
"""Who is not further behind than this shares what is read with others: after a restart everybody is behind at once.
So does who wants most of what there is, while so few are behind that it is read ahead for each."""
MOST_EVENTS, FEWEST_EVENTS = 500, 10


class Follower:
    """Gives the bytes of one stream, when they are asked for: no more is read than a client takes, and little ahead of it."""

    def __init__(self, feed: Feed, reader: Reader, asked: Wanted, heartbeat_seconds: float) -> None:
        self.wanted = asked.filter
        self.events = 0
        """In what was given last."""
        self.is_over = False
        self.is_gone = False
        self.hurry: Callable[[], None] | None = None
        """What to do where the stream ends while something is being sent."""
        self.refused: KeyRefused | None = None
        """Why its key is good no more."""
        self._feed, self._frames, self._reader, self._asked = feed, feed.frames, reader, asked
        self._run = asked.run
        self._woken = asyncio.Event()
        self._work: asyncio.Future[Any] | None = None
        self._is_alone = self._is_dense = False
        self._at_hand = AtHand(feed, asked, self._read_ahead)
        self._limit = 50
        self._now = asyncio.get_running_loop().time
        self._step: Step = Wait()
        self._state = Following(
            asked.after,
            asked.epoch,
            Retries(lambda _: LOOK_AGAIN_SECONDS),
            head=asked.head,
            goal=asked.goal,
            heartbeat_seconds=heartbeat_seconds,
            now=self._now(),
        )

    @property
    def position(self) -> int:
        """Return the last position looked at, wanted or not."""
        return self._state.position

    @property
    def epoch(self) -> UUID:
        """Return the history that its position is of."""
        return self._state.epoch

    # What others tell it

    def wake(self) -> None:
        """There is something to look at."""
        self._woken.set()

    def pass_over(self, position: int) -> None:
        """Nothing up to a position concerns it."""
        self._state.looked(Span[Frame](self.position, position, self.epoch))

    def stop(self) -> None:
        """The server ends."""
        self._end_now()

    def refuse(self, error: KeyRefused) -> None:
        """The key that it was asked for with is good no more: not one event more is given."""
        self.refused = error
        self._state.refuse(error)
        self._end_now()

    def gone(self) -> None:
        """The client hung up."""
        self.is_gone = True
        self._woken.set()

    def _end_now(self) -> None:
        self._woken.set()
        if self.hurry is not None:
            self.hurry()

    # What it gives

    async def next(self) -> bytes:
        """Return what to send next, however long that takes. `is_over` says that it was the last."""
        self.events = 0
        while not (given := self._go_on()):
            if self.is_gone:
                return b""
            await self._wait()
        self._state.gave(self._now())
        return given

    def _go_on(self) -> bytes:
        """Do what comes next: what there is to give at this moment."""
        if self._feed.closed:
            self._state.stop()
        self._state.goes_to(LATEST if self._feed.is_damaged else max(self._feed.position, self._asked.head), self._feed.epoch)
        self._step = self._state.step(self._now())
        match self._step:
            case Read(after, up_to):
                given = self._from_memory(after, up_to) if self._work is None else b""
                if self.position > after:
                    return given or self._go_on()  # nothing of that was to be shown
                ask = partial(read_page, self._reader, self._frames, self._asked, after, up_to, self._limit, self.epoch)
                return self._from_log(ask)
            case Confirm():
                return self._from_log(partial(epochs.still, self._reader, self.position, self.epoch))
            case FindEnd():
                # What was recorded in the same transaction as the run's end still follows: up to where the log is now.
                return self._from_log(lambda: self._reader.head().position)
            case Wait():
                return b""
            case mark:
                return self._mark(mark)

    def _mark(self, told: Refused | Failed | Stopping | CaughtUp | Complete | Alive) -> bytes:
        """Return what the stream has to say of itself."""
        facts = self._run.facts() if self._run else {}
        match told:
            case Alive():
                return self._frames.heartbeat(self.position, self.epoch)
            case CaughtUp():
                return self._frames.mark("caught_up", self.position, self.epoch, {"head": self._asked.head, **facts})
            case Complete():
                is_of_run = self._run is not None and self._run.has_ended
                return self._last("end", {"reason": "the run has ended" if is_of_run else "all that was asked for", **facts})
            case Stopping():
                return self._last("bye", {"reason": "the server stops; connect again", **facts})
            case Refused(error):
                return self._last("end", {"reason": str(error), **self._frames.problem(error)})
            case Failed(error):
                logger("runfold.feed").warning("a stream ended", error=type(error).__name__, detail=str(error))
                return self._last("problem", dict(self._frames.problem(error)))

    def _last(self, name: str, facts: dict[str, Any]) -> bytes:
        self.is_over = True
        return self._frames.mark(name, self.position, self.epoch, facts)

    def _from_memory(self, after: int, up_to: int) -> bytes:
        """Return what is here already, of this process's newest events or of a block that was read with others.

        Where an event cannot be read, it is then looked at in the log, and the error told.
        """
        found = self._at_hand.find(after, up_to)
        self._is_alone = self._is_alone or found.is_damaged
        if found.run_ended is not None:
            self._ended(found.run_ended)
        self._state.looked(Span[Frame](after, found.position, self.epoch))
        return self._given(found.frames, found.position - after) if self.position == found.position else b""

    def _given(self, frames: list[bytes], looked: int) -> bytes:
        """Return frames that come next, and were found among so many events."""
        self.events = len(frames)
        if looked:
            self._is_dense = 2 * len(frames) >= looked
        return b"".join(frames if self._asked.is_named else map(self._frames.unnamed, frames))

    def _ended(self, run: RunWatch) -> None:
        """Its run has ended: it ends where the log is then."""
        self._run = run
        self._state.ends_at_head()

    def _from_log(self, ask: Callable[[], int | Head | Page]) -> bytes:
        """Return what was asked of the database, if it is there by now; else it is on its way."""
        if self._work is None:
            if self._now() >= self._state.retry_at:
                self._work = self._shared() or asyncio.ensure_future(to_thread.run_sync(ask, limiter=self._feed.limiter))
                self._work.add_done_callback(lambda _: self._woken.set())
            return b""
        if not self._work.done():
            return b""
        work, self._work = self._work, None
        try:
            return self._taken(work.result())
        except LedgerError as error:
            if isinstance(error, Damage) and not self._is_alone:
                self._is_alone = True  # what others want cannot be read; what this one wants perhaps can
                return b""
            self._state.failed(error, self._now())
            return b""

    def _shared(self) -> asyncio.Future[Any] | None:
        """Return the same for all who are here, where there is no better way to what is wanted."""
        return self._feed.fetch(self.position + 1) if isinstance(self._step, Read) and self._shares else None

    @property
    def _shares(self) -> bool:
        if self._is_alone or self._feed.is_damaged:
            return False
        near = NEAR if self.wanted.thread_id is None else NEAR_OF_THREAD
        return self.position >= self._feed.position - near or (self._is_dense and self._feed.reads_ahead)

    def _read_ahead(self, block: Block) -> None:
        """Have what comes after a block read while it is sent."""
        if self._shares:
            self._feed.fetch_after(block, self._state.bound)

    def _taken(self, found: int | Head | Page | Block) -> bytes:
        if isinstance(found, Head):
            if found.epoch == self.epoch:  # the others will come to it
                self._state.nothing_yet(self._now() + HISTORY_SECONDS)
            self._at_hand.take(None)
            self._state.confirmed(found.epoch)
            return b""
        if isinstance(found, int):
            self._state.ends_at(found)
            return b""
        if isinstance(found, Block):
            self._at_hand.take(found if found.events else None)
            return b""
        if found.span.up_to == self.position:  # nothing new, and the process cannot read on
            self._state.nothing_yet(self._now() + LOOK_AGAIN_SECONDS)
        given = self._given([frame.data for frame in self._state.looked(found.span)], found.span.up_to - found.span.after)
        self._state.confirmed(found.epoch)
        self._limit = min(MOST_EVENTS, self._limit * 2, max(FEWEST_EVENTS, found.read * CHUNK_BYTES // (len(given) + 1)))
        if found.run_ended is not None:
            self._ended(found.run_ended)
        return given

    # How it waits

    async def _wait(self) -> None:
        """Until something concerns this stream, or the next heartbeat is due."""
        is_idle = isinstance(self._step, Wait) and self._work is None
        if is_idle:
            self._feed.park(self)
        elif self._work is None and self._now() >= self._state.retry_at:
            return  # there is something to do at once
        until = self._state.alive_at if is_idle or self._work else min(self._state.alive_at, self._state.retry_at)
        try:
            async with asyncio.timeout_at(until):
                await self._woken.wait()
        except TimeoutError:
            return  # time for a heartbeat, or to look again
        finally:
            self._woken.clear()
            if is_idle and self._feed.unpark(self):  # nothing came that concerns it
                self.pass_over(self._feed.position)

    def close(self) -> None:
        """Nobody reads any more."""
        if self._work is not None:
            self._work.add_done_callback(lambda work: work.cancelled() or work.exception())  # nobody asks any more
        self._feed.leave(self)
