"""One stream's way through the log: from the past in pages, then from what the process keeps of the newest events."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from anyio import to_thread

from runfold.domain.event import Recorded
from runfold.domain.run import ENDED
from runfold.domain.run_events import Status
from runfold.errors import Damage, HistoryChanged, KeyRefused, LedgerError, LedgerUnavailable
from runfold.feed.shared import Block, Entry, Feed
from runfold.http.connections import STOP_SECONDS
from runfold.http.problems import disclosed
from runfold.http.streams import sse
from runfold.store import epochs
from runfold.store.filter import Filter
from runfold.store.reader import LATEST, SEARCHED, Head, Reader, Stretch

_log = structlog.get_logger("runfold.http")

LOOK_AGAIN_SECONDS = 1.0
HISTORY_SECONDS = 0.05
NEAR, NEAR_OF_THREAD = 100_000, 20_000
"""Who is not further behind than this shares what is read with others: after a restart everybody is behind at once."""
MOST_EVENTS, FEWEST_EVENTS = 500, 10
CHUNK_BYTES = 256 * 1024

ENDINGS = {f"run.{status}": status for status in ENDED}
_STREAM_STATUS = {"created": "pending", "completed": "success"}


def stream_status(run: Status) -> str:
    """Whether more is to come of a run: pending, running (of a waiting or stuck run too), success, failed, cancelled."""
    return _STREAM_STATUS.get(run, run if run in ENDED else "running")


@dataclass
class RunWatch:
    """The run that a stream is about."""

    run_id: str
    status: Status

    def facts(self) -> dict[str, str]:
        """How the run is, and the stream."""
        return {"run_status": self.status, "stream_status": stream_status(self.status)}


@dataclass(frozen=True)
class Wanted:
    """What a stream is to hold. `goal` is where it ends; None: nowhere."""

    within: Filter
    types: tuple[str, ...]
    after: int
    head: int
    epoch: UUID
    """The history that these positions are of."""
    goal: int | None
    run: RunWatch | None = None
    shown: Filter = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shown", Filter(types=self.types))

    @property
    def shown_within(self) -> Filter:
        """What is to be given."""
        return replace(self.within, types=self.types)

    @property
    def filter(self) -> Filter:
        """What must be looked at: of a run everything, for its end must be seen whatever types are shown."""
        return self.within if self.run else self.shown_within


class Page(NamedTuple):
    """Events of the log as bytes, and up to where it was searched."""

    frames: bytes
    events: int
    read: int
    searched: int
    epoch: UUID
    ending: Status | None


class Follower:
    """Gives the bytes of one stream, when they are asked for: what a client does not take is not read."""

    def __init__(self, feed: Feed, reader: Reader, asked: Wanted, heartbeat_seconds: float) -> None:
        self.position, self.epoch = asked.after, asked.epoch
        self.wanted = asked.filter
        self.events = 0
        """In what was given last."""
        self.is_over = False
        self.is_gone = False
        self.hurry: Callable[[float], None] | None = None
        """What to do where the stream ends while something is being sent, which may go on for so many seconds."""
        self.refused: KeyRefused | None = None
        """Why its key is good no more."""
        self._feed, self._reader, self._asked, self._beat_seconds = feed, reader, asked, heartbeat_seconds
        self._goal, self._run = asked.goal, asked.run
        self._caught_up = False
        self._woken = asyncio.Event()
        self._work: asyncio.Future[Any] | None = None
        self._is_alone = False
        self._block: list[Entry] = []
        """What was read with others; it may be gone from the memory of all before this one comes to it."""
        self._limit = 50
        self._again_at = 0.0
        self._now = asyncio.get_running_loop().time
        self._beat_at = self._now() + heartbeat_seconds

    def wake(self) -> None:
        """There is something to look at."""
        self._woken.set()

    def stop(self) -> None:
        """The server ends."""
        self._woken.set()
        if self.hurry is not None:
            self.hurry(STOP_SECONDS)

    def refuse(self, error: KeyRefused) -> None:
        """The key that it was asked for with is good no more: not one event more is given."""
        self.refused = error
        self._woken.set()
        if self.hurry is not None:
            self.hurry(0)

    def gone(self) -> None:
        """The client hung up."""
        self.is_gone = True
        self._woken.set()

    async def next(self) -> bytes:
        """What to send next, however long that takes. `is_over` says that it was the last."""
        self.events = 0
        while not (given := self._mark() or self._from_memory() or self._from_log()):
            if self.is_gone:
                return b""
            await self._wait()
        self._beat_at = self._now() + self._beat_seconds
        return given

    def _mark(self) -> bytes:
        """What the stream has to say of itself at this moment."""
        facts = self._run.facts() if self._run else {}
        if self.refused is not None:
            return self._last("end", ended_with_key(self.refused))
        if self._feed.closed:
            return self._last("bye", {"reason": "the server stops; connect again", **facts})
        if not self._caught_up and self.position >= self._asked.head:
            self._caught_up = True
            return sse.mark("caught_up", self.position, self.epoch, {"head": self._asked.head, **facts})
        if self._goal is not None and self.position >= self._goal:
            is_of_run = self._run is not None and self._run.status in ENDED
            return self._last("end", {"reason": "the run has ended" if is_of_run else "all that was asked for", **facts})
        return sse.heartbeat(self.position, self.epoch) if self._now() >= self._beat_at else b""

    def _last(self, name: str, facts: dict[str, Any]) -> bytes:
        self.is_over = True
        return sse.mark(name, self.position, self.epoch, facts)

    @property
    def _bound(self) -> int:
        """How far to go now: each mark comes at its place."""
        goal = LATEST if self._goal is None else self._goal
        return goal if self._caught_up else min(goal, self._asked.head)

    def _from_memory(self) -> bytes:
        taken: list[bytes] = []
        size, bound = 0, self._bound
        while self._is_current and self._work is None and self.position < bound and size < CHUNK_BYTES:
            if (entry := self._entry(self.position + 1)) is None:
                break
            self.position += 1
            if not self.wanted.takes(entry.recorded):
                continue
            if self._asked.shown.takes(entry.recorded):
                taken.append(self._feed.frame(entry))
                size += len(taken[-1])
            if self._run is not None and self._ends_with(entry.recorded):
                self._run.status = ENDINGS[entry.recorded.type]
                break
        self.events = len(taken)
        return b"".join(taken)

    @property
    def _is_current(self) -> bool:
        """Whether what all share is of the history that this stream is of."""
        return self._feed.epoch == self.epoch

    def _entry(self, position: int) -> Entry | None:
        if self._block:
            index = position - self._block[0].recorded.position
            if 0 <= index < len(self._block):
                return self._block[index]
            self._block = []
        return self._feed.entry(position)

    def _ends_with(self, recorded: Recorded) -> bool:
        return self._run is not None and recorded.stream == self._run.run_id and recorded.type in ENDINGS

    def _to_ask(self) -> Callable[[], int | Head | Page] | None:
        """What must be asked of the database, if anything."""
        if not self._is_current:
            return partial(epochs.still, self._reader, self.position, self.epoch)
        if self._run is not None and self._run.status in ENDED and self._goal is None:
            # What was recorded in the same transaction as the end still follows: up to where the log is now.
            return lambda: self._reader.head().position
        newest = max(self._feed.position, self._asked.head)
        is_behind = self.position < min(self._bound, newest) and self._entry(self.position + 1) is None
        if is_behind or (self._feed.is_damaged and self.position < self._bound):
            return partial(self._page, self.position, self._bound, self._limit)
        return None

    def _from_log(self) -> bytes:
        """The next page, if it is there by now; else it is on its way."""
        if self._work is None:
            if self._now() >= self._again_at and (ask := self._to_ask()):
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
            if isinstance(error, LedgerUnavailable) and error.retriable:
                self._again_at = self._now() + LOOK_AGAIN_SECONDS
                return b""
            _log.warning("a stream ended", error=type(error).__name__, detail=str(error))
            return self._last("problem", _problem(disclosed(error)))

    def _shared(self) -> asyncio.Future[Any] | None:
        """The same for all who are here, where there is no better way to what is wanted."""
        is_at_end = self._run is not None and self._run.status in ENDED and self._goal is None
        if self._is_alone or self._feed.is_damaged or is_at_end or not self._is_current:
            return None
        near = NEAR if self.wanted.thread_id is None else NEAR_OF_THREAD
        return self._feed.fetch(self.position + 1) if self.position >= self._feed.position - near else None

    def _taken(self, found: int | Head | Page | Block) -> bytes:
        if isinstance(found, Head):
            if found.epoch == self.epoch:  # the others will come to it
                self._again_at = self._now() + HISTORY_SECONDS
            self.epoch, self._block = found.epoch, []
            return b""
        if isinstance(found, int):
            self._goal = found
            return b""
        if isinstance(found, Block):
            self._block = found.entries
            return b""
        if found.searched == self.position:  # nothing new, and the process cannot read on
            self._again_at = self._now() + LOOK_AGAIN_SECONDS
        self._limit = min(MOST_EVENTS, self._limit * 2, max(FEWEST_EVENTS, found.read * CHUNK_BYTES // (len(found.frames) + 1)))
        self.position, self.epoch, self.events = found.searched, found.epoch, found.events
        if found.ending is not None and self._run is not None:
            self._run.status = found.ending
        return found.frames

    def _page(self, after: int, bound: int, limit: int) -> Page:
        """In a thread of its own."""
        epoch = self.epoch
        head = min(bound, self._reader.head().position)
        until = head if self.wanted.thread_id else min(head, after + SEARCHED)
        stretch = Stretch([], after)
        if until > after:
            stretch = self._reader.stretch(self.wanted, after=after, up_to=until, limit=limit)
        found = stretch.events
        shown = [recorded for recorded in found if self._asked.shown.takes(recorded)]
        ending = next((ENDINGS[recorded.type] for recorded in reversed(found) if self._ends_with(recorded)), None)
        epoch = epochs.still(self._reader, stretch.position, epoch).epoch
        frames = b"".join(sse.frame(recorded, epoch) for recorded in shown)
        return Page(frames, len(shown), len(found), stretch.position, epoch, ending)

    async def _wait(self) -> None:
        """Until something concerns this stream, or the next heartbeat is due."""
        lacks = self._work is not None or self._to_ask() is not None
        is_idle = not lacks and self._entry(self.position + 1) is None and self.position < self._bound
        if is_idle:
            self._feed.park(self)
        elif self._work is None and self._now() >= self._again_at:
            return  # there is something to do at once
        until = self._beat_at if is_idle or self._work else min(self._beat_at, self._again_at)
        try:
            async with asyncio.timeout_at(until):
                await self._woken.wait()
        except TimeoutError:
            return  # time for a heartbeat, or to look again
        finally:
            self._woken.clear()
            if is_idle and self._feed.unpark(self):  # nothing came that concerns it
                self.position = min(max(self.position, self._feed.position), self._bound)

    def close(self) -> None:
        """Nobody reads any more."""
        if self._work is not None:
            self._work.add_done_callback(lambda work: work.cancelled() or work.exception())  # nobody asks any more
        self._feed.leave(self)


def ended_with_key(error: KeyRefused) -> dict[str, Any]:
    """What the end of a stream says whose key is good no more."""
    return {"reason": str(error), **_problem(error)}


def _problem(error: LedgerError) -> dict[str, Any]:
    facts = {"type": f"urn:runfold:error:{type(error).__name__}", "status": error.http_status, "detail": str(error)}
    return {**facts, **error.facts} if isinstance(error, HistoryChanged) else facts
