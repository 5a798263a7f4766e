"""Group commit: all commands that wait at a moment go into one transaction, and each gets its own answer.

One append is one fsync, and the head row's lock makes appends queue; so a process has one thread that appends. It takes
what waits, up to a limit, and never lingers for more. A conflict in one command does not fail its neighbours.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from runfold.errors import AlreadyAppended, Conflict, LedgerError, LedgerUnavailable, QueueFull, VersionConflict
from runfold.store.append_call import SALT_BYTES, Conflicts, Placed, new_salts
from runfold.store.codec import Row, StreamKey
from runfold.store.writer import Repeated, Writer
from runfold.uncollected import seldom_collected

MAX_EVENTS = 500
MAX_BYTES = 16 * 1024 * 1024
BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, MAX_EVENTS, math.inf)
"""The most events in a batch. A single command may hold more."""
_WORTH_A_SWITCH = 24  # commands
_SWITCH_SECONDS = 20e-6
_LULL_SECONDS = 0.2
"""Without a command for so long, others look for cycles as often as ever (see uncollected.py)."""


class Cached(Protocol):
    """What a process holds of a stream in memory. Once an append on it failed, it is dead, and so is all that was built on it."""

    dead: bool


@dataclass(eq=False, slots=True)
class Append:
    """The events of one command, and what became of them.

    `watched` are streams that the command looked at and did not write to, with the version it saw. `facts` are for
    whoever settles it.
    """

    rows: Sequence[Row]
    cached: Sequence[Cached]
    watched: Mapping[StreamKey, int]
    facts: object = None
    first_position: int = 0
    salts: bytes = b""
    recorded_at: datetime | None = None
    error: LedgerError | None = None

    def fail(self, error: LedgerError) -> None:
        """Fail the command, and all commands built on it."""
        self.error = error
        for cached in self.cached:
            cached.dead = True


@dataclass
class Tally:
    """What an appender has done so far. Only whoever appends writes to it; others may read it at any time."""

    commands: int = 0
    """Commands that were stored."""
    events: int = 0
    conflicts: int = 0
    """Commands that hit a version conflict, or were already recorded."""
    failures: int = 0
    """Commands that failed in the database."""
    batches: dict[float, int] = field(default_factory=lambda: dict.fromkeys(BATCH_SIZES, 0))
    """How many transactions, by the smallest of `BATCH_SIZES` that their events fit in."""

    def count(self, batch: Sequence[Append]) -> None:
        """Count an answered batch."""
        stored = [len(append.rows) for append in batch if append.error is None]
        conflicts = sum(isinstance(append.error, Conflict) for append in batch)
        self.conflicts += conflicts
        self.failures += len(batch) - len(stored) - conflicts
        if stored:
            events = sum(stored)
            self.commands += len(stored)
            self.events += events
            self.batches[next(size for size in BATCH_SIZES if events <= size)] += 1


class Appender:
    """Appends what is queued, one batch at a time. `settle` gets each batch's commands, answered, in the order they came.

    A thread of its own does it. A caller that is going to wait anyway may do it instead (`help`), which spares two switches
    between threads when nobody else is appending.
    """

    def __init__(self, writer: Writer, settle: Callable[[list[Append]], None], queue_size: int) -> None:
        self.tally = Tally()
        self._writer = writer
        self._settle = settle
        self._queue_size = queue_size
        self._queue: deque[Append] = deque()
        self._turn = threading.Lock()
        self._wake = threading.Condition(threading.Lock())
        self._closing = False
        self._idle = self._roused = True
        self._thread: threading.Thread | None = None

    def put(self, append: Append) -> None:
        """Queue a command's events; `wake` or `help` must follow.

        Raises QueueFull, and LedgerUnavailable once closed; then nothing is queued.
        """
        self.require_room()
        self._queue.append(append)

    def require_room(self) -> None:
        """Raise QueueFull, or LedgerUnavailable once closed."""
        if self._closing:
            raise LedgerUnavailable("the ledger is closed", "open it again", retriable=False)
        if len(self._queue) >= self._queue_size:
            raise QueueFull(len(self._queue))

    @property
    def waiting(self) -> int:
        """Return how many commands are queued."""
        return len(self._queue)

    def withdraw_void(self) -> list[Append]:
        """Take out of the queue what was built on something that failed, with its error. Nobody may put meanwhile."""
        queued = list(self._queue)
        valid = _still_valid(queued)
        if len(valid) == len(queued):
            return []
        self._queue.clear()
        self._queue.extend(valid)
        return [append for append in queued if append.error is not None]

    def wake(self) -> None:
        """Let the thread append what is queued. It says that it is idle before it looks a last time, so none is missed."""
        if self._idle:
            with self._wake:
                self._idle = False
                if self._thread is None:
                    thread = threading.Thread(target=self._work, name="runfold-appender", daemon=True)
                    thread.start()
                    self._thread = thread  # once it runs: an interrupt before that leaves nothing to be waited for
                self._wake.notify()
        elif self._roused and len(self._queue) >= _WORTH_A_SWITCH:
            self._roused = False
            time.sleep(_SWITCH_SECONDS)  # lets the thread take these while this one decides the next

    def help(self) -> None:
        """Append one batch in this thread, unless another is at it."""
        if self._turn.acquire(blocking=False):
            try:
                self._serve(self._take())
            finally:
                self._turn.release()
        if self._queue:
            self.wake()

    def close(self) -> None:
        """Append what waits, then stop."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        with self._turn:
            while self._queue:
                self._serve(self._take())

    def _work(self) -> None:
        while not self._closing or self._queue:
            self._wait(None)
            with seldom_collected():
                while self._queue:
                    with self._turn:
                        while self._queue:
                            self._serve(self._take())
                    self._wait(_LULL_SECONDS)

    def _wait(self, seconds: float | None) -> None:
        """Wait until something is queued, or no more is to come; at most so long."""
        with self._wake:
            while True:
                self._idle = self._roused = True  # again after each wait: a helper may have taken what it was woken for
                if self._queue or self._closing or not self._wake.wait(seconds):
                    break
            self._idle = self._roused = False

    def _serve(self, batch: list[Append]) -> None:
        if not batch:
            return
        try:
            self._append(batch)
        except LedgerError as error:
            _fail_all(batch, error)
        except BaseException as error:  # whatever happens, every caller gets an answer
            fact = f"append failed ({error!r}); it is unknown whether the events were stored"
            unexpected = LedgerUnavailable(fact, "repeat the command with the same ids, and please report it if it fails again")
            unexpected.__cause__ = error
            _fail_all(batch, unexpected)
            if not isinstance(error, Exception):
                self._settle(batch)
                raise
        self.tally.count(batch)
        self._settle(batch)

    def _take(self) -> list[Append]:
        batch: list[Append] = []
        events = size = 0
        while self._queue:
            rows = self._queue[0].rows
            events += len(rows)
            for row in rows:
                size += len(row.state)
            if batch and (events > MAX_EVENTS or size > MAX_BYTES):
                break
            batch.append(self._queue.popleft())
        return batch

    def _append(self, batch: list[Append]) -> None:
        waiting = _still_valid(batch)
        while waiting:
            rows = [row for append in waiting for row in append.rows]
            written = {(row.tenant_id, row.stream) for row in rows}
            watched = {key: at for append in waiting for key, at in append.watched.items()}
            if not written.isdisjoint(watched):  # a neighbour may write to what another only looked at
                _fail_conflicting(waiting, {})
                if any(append.error for append in waiting):
                    waiting = _still_valid(waiting)
                    continue
                watched = {key: at for key, at in watched.items() if key not in written}
            salts = new_salts(len(rows))
            placed = self._writer.append(rows, watched, salts)
            if isinstance(placed, Placed):
                position, at = placed.first_position, 0
                for append in waiting:
                    append.first_position, append.recorded_at = position, placed.recorded_at
                    position += len(append.rows)
                    append.salts = salts[at : (at := at + SALT_BYTES * len(append.rows))]
                return
            if isinstance(placed, Repeated):
                _fail_repeated(waiting, placed)
            else:
                _fail_conflicting(waiting, placed)
            waiting = _still_valid(waiting)


def _still_valid(batch: list[Append]) -> list[Append]:
    """Return the commands that build on nothing that failed, and fail the others, in order."""
    valid = []
    for append in batch:
        if append.error is None and any(cached.dead for cached in append.cached):
            first = append.rows[0]
            append.fail(VersionConflict(first.stream, first.version - 1, max(first.version - 2, 0)))
        if append.error is None:
            valid.append(append)
    return valid


def _fail_conflicting(waiting: list[Append], actual: Conflicts) -> None:
    """Fail the commands with a version conflict, in order: what one writes, the next may build on."""
    at = dict(actual)
    for append in waiting:
        expected = {**append.watched, **{(row.tenant_id, row.stream): row.version - 1 for row in reversed(append.rows)}}
        if key := next((key for key, version in expected.items() if at.get(key, version) != version), None):
            append.fail(VersionConflict(key[1], expected[key], at[key]))
        elif not any(cached.dead for cached in append.cached):
            at.update(((row.tenant_id, row.stream), row.version) for row in append.rows)


def _fail_repeated(waiting: list[Append], repeated: Repeated) -> None:
    """Fail the commands of which an event is already stored."""
    for append in waiting:
        if any(row.event_id in repeated.event_ids for row in append.rows):
            append.fail(AlreadyAppended(append.rows[0].stream))


def _fail_all(batch: list[Append], error: LedgerError) -> None:
    for append in batch:
        if append.error is None:
            append.fail(error)
