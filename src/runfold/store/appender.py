"""Group commit: all commands that wait at a moment go into one transaction, and each gets its own answer.

One append is one fsync, and the head row's lock makes appends queue; so a process has one thread that appends. It takes
what waits, up to a limit, and never lingers for more. A conflict in one command does not fail its neighbours.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from runfold.errors import LedgerError, LedgerUnavailable, QueueFull, VersionConflict
from runfold.store.codec import Row
from runfold.store.writer import Placed, Writer

MAX_EVENTS = 500
MAX_BYTES = 16 * 1024 * 1024


@dataclass(eq=False)
class Lineage:
    """A stream as one process believes it to be. Once an append on it failed, everything built on it is void."""

    dead: bool = False


@dataclass(eq=False, slots=True)
class Append:
    """The events of one command, and what became of them.

    `watched` are streams that the command looked at and did not write to, with the version it saw. `facts` are for
    whoever settles it.
    """

    rows: Sequence[Row]
    lineages: Sequence[Lineage]
    watched: Mapping[str, int]
    facts: object = None
    first_position: int = 0
    recorded_at: datetime | None = None
    error: LedgerError | None = None

    def fail(self, error: LedgerError) -> None:
        """Void it, and all that other commands built on it."""
        self.error = error
        for lineage in self.lineages:
            lineage.dead = True


class Appender:
    """The one thread that appends. `settle` gets each batch's commands, answered, in the order they were queued."""

    def __init__(self, writer: Writer, settle: Callable[[list[Append]], None], queue_size: int) -> None:
        self._writer = writer
        self._settle = settle
        self._queue_size = queue_size
        self._queue: deque[Append] = deque()
        self._wake = threading.Condition(threading.Lock())
        self._closing = False
        self._idle = True
        self._thread: threading.Thread | None = None

    def put(self, append: Append) -> None:
        """Queue a command's events. Raises QueueFull, and LedgerUnavailable once closed; then nothing is queued."""
        if self._closing:
            raise LedgerUnavailable("the ledger is closed", "open it again", retriable=False)
        if len(self._queue) >= self._queue_size:
            raise QueueFull(len(self._queue))
        self._queue.append(append)
        if self._idle:  # set before it looks at the queue a last time, so a wake-up is never missed
            with self._wake:
                self._start()
                self._wake.notify()

    def close(self) -> None:
        """Append what waits, then stop."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        if late := list(self._queue):
            _fail_all(late, LedgerUnavailable("the ledger was closed", "open it again and repeat the command", retriable=False))
            self._settle(late)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="runfold-appender", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while batch := self._take():
            try:
                self._append(batch)
            except LedgerError as error:
                _fail_all(batch, error)
            except Exception as error:
                unexpected = LedgerUnavailable(
                    f"appending failed ({error!r})", "this is a defect; please report it", retriable=False
                )
                unexpected.__cause__ = error
                _fail_all(batch, unexpected)
            self._settle(batch)

    def _take(self) -> list[Append]:
        if not self._queue:
            with self._wake:
                self._idle = True
                while not self._queue and not self._closing:
                    self._wake.wait()
                self._idle = False
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
            written = {row.stream for row in rows}
            watched = {stream: at for append in waiting for stream, at in append.watched.items() if stream not in written}
            placed = self._writer.append(rows, watched)
            if isinstance(placed, Placed):
                position = placed.first_position
                for append in waiting:
                    append.first_position, append.recorded_at = position, placed.recorded_at
                    position += len(append.rows)
                return
            for append in waiting:
                expected = {**append.watched, **{row.stream: row.version - 1 for row in reversed(append.rows)}}
                if stream := next((stream for stream in expected if stream in placed), None):
                    append.fail(VersionConflict(stream, expected[stream], placed[stream]))
            waiting = _still_valid(waiting)


def _still_valid(batch: list[Append]) -> list[Append]:
    """Those that build on nothing that failed; the others fail too, in order, so that theirs do as well."""
    valid = []
    for append in batch:
        if append.error is None and any(lineage.dead for lineage in append.lineages):
            first = append.rows[0]
            append.fail(VersionConflict(first.stream, first.version - 1, first.version - 2))
        if append.error is None:
            valid.append(append)
    return valid


def _fail_all(batch: list[Append], error: LedgerError) -> None:
    for append in batch:
        if append.error is None:
            append.fail(error)
