"""Where a worker is in its folding, written where another process can read it, even while a fold lets nothing else run.

A fold is somebody's code: it may never return, and may keep Python's lock meanwhile. So whoever looks after the worker
reads here which projection is at work, on which event, and since when nothing has changed.
"""

import contextlib
import faulthandler
import mmap
import os
import signal
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

from runfold.domain.recorded import Recorded
from runfold.projections.projection import AnyProjection, Key, Row

_COUNT, _WHICH, _GENERATION, _POSITION, _DONE, _TOTAL, _CELLS = range(7)
_SIZE, _TRACE = mmap.PAGESIZE, 16_384
_NOBODY = -1
DUMP_SIGNAL = signal.SIGUSR1
"""What a watched process answers with its trace, whatever it is at."""


class Mark(NamedTuple):
    """Where a worker is: nothing moves on as long as it stays the same."""

    changes: int
    projection: str | None
    """The projection whose code runs; None where none does."""
    generation: int
    position: int
    """The event that it is at; 0 before the first."""


class Marks:
    """One process's marks. Each cell is eight bytes, which are written at once."""

    def __init__(self, names: Iterable[str] = (), cells: "memoryview[int] | None" = None, seconds: float | None = None) -> None:
        """Where nobody looks after the worker, its marks are its own."""
        self._names = sorted(names)
        self._cells: Any = memoryview(bytearray(8 * _CELLS)).cast("q") if cells is None else cells
        self._seconds = seconds

    @classmethod
    def watched(cls, descriptor: int, names: Iterable[str], seconds: float) -> Self:
        """Return the marks of this process, in the file that who watches over it reads.

        Should a fold keep everything from running for `seconds` and nobody end it, as where that process was killed, this one
        is ended by the system: no lock of Python's can hold that up.
        """
        os.lseek(descriptor, _SIZE, os.SEEK_SET)
        faulthandler.register(DUMP_SIGNAL, file=descriptor, all_threads=True)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        marks = cls(names, memoryview(mmap.mmap(descriptor, _SIZE)).cast("q"), seconds)
        marks.leave()
        return marks

    @contextlib.contextmanager
    def folding(self, projection: str, generation: int) -> Iterator[None]:
        """Say that a projection's code runs, until the block ends."""
        cells = self._cells
        cells[_GENERATION], cells[_POSITION] = generation, 0
        cells[_WHICH] = self._names.index(projection) if projection in self._names else _NOBODY
        cells[_COUNT] += 1
        if self._seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, self._seconds)
        try:
            yield
        finally:
            if self._seconds is not None:
                signal.setitimer(signal.ITIMER_REAL, 0)
            self.leave()

    def leave(self) -> None:
        """Say that no projection's code runs."""
        self._cells[_WHICH] = _NOBODY
        self._cells[_COUNT] += 1

    def at(self, position: int) -> None:
        """Say which event the projection is at."""
        self._cells[_POSITION] = position

    def tell(self, done: int, total: int) -> None:
        """Say how far a worker is with what it is to do once."""
        self._cells[_DONE], self._cells[_TOTAL] = done, total


class Marked:
    """A projection that says which event it is at, each time it is asked something."""

    def __init__(self, projection: AnyProjection, marks: Marks) -> None:
        self._projection, self._marks = projection, marks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._projection, name)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """Return what the projection does."""
        self._marks.at(recorded.position)
        return self._projection.keys(recorded)

    def evolve(self, row: Row, recorded: Recorded) -> Row | None:
        """Return what the projection does."""
        self._marks.at(recorded.position)
        found: Row | None = self._projection.evolve(row, recorded)
        return found


class MarkReader:
    """Reads the marks of another process, and its trace."""

    def __init__(self, names: Iterable[str]) -> None:
        """`names` are those that the other process folds; it is to be given the `descriptor`."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  it is closed by `close`
        self._names = sorted(names)
        self._file.truncate(_SIZE)
        self._map = mmap.mmap(self.descriptor, _SIZE)
        self._cells = memoryview(self._map).cast("q")
        self._cells[_WHICH] = _NOBODY

    @property
    def descriptor(self) -> int:
        """Return the file's descriptor."""
        return self._file.fileno()

    def read(self) -> Mark:
        """Return where the process is."""
        which = self._cells[_WHICH]
        name = self._names[which] if 0 <= which < len(self._names) else None
        return Mark(self._cells[_COUNT], name, self._cells[_GENERATION], self._cells[_POSITION])

    def progress(self) -> tuple[int, int]:
        """Return how far it is with what it is to do once, and how much that is."""
        return self._cells[_DONE], self._cells[_TOTAL]

    def trace(self) -> str:
        """Return what it wrote when it was asked for its trace."""
        return os.pread(self._file.fileno(), _TRACE, _SIZE).decode(errors="replace")

    def close(self) -> None:
        """Give the file back."""
        self._cells.release()
        self._map.close()
        self._file.close()
