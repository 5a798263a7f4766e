"""Imports: the one way in for all formats."""

import contextlib
import gc
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from runfold.importers.claims import Claims
from runfold.importers.format import Format, SourceThread
from runfold.importers.formats import named
from runfold.importers.source_import import Outcome, SourceImport
from runfold.importers.sources import SourceFile, find
from runfold.importers.tally import Note, Reports, Tally
from runfold.ledger import Ledger

Progress = Callable[[int, int, str], None]
"""Called with bytes of the sources done, bytes in all, and the name of the thread that went in."""

NOTHING = "files in which there is no thread of this format"
AT_ONCE = 3
"""Threads that go in at a time, at most: while some wait for the disk, another is decided."""
LIGHT = 2_000_000
"""Bytes of sources that more than two threads may have which go in at a time: all of them are in memory."""
OBJECTS = 50_000
"""Objects that come to be before the next search for cycles."""


def import_paths(ledger: Ledger, format: str, paths: Iterable[str | Path], progress: Progress | None = None) -> Tally:
    """Import files, folders with all in them, or standard input (`-`). Importing again appends only what is new.

    Each source thread is one transaction, so an import that was killed goes on where it stopped. A bad record becomes a
    problem of the tally and the rest goes in. What an earlier version of the importer made of the same source stays where it
    reads the same, and is else superseded in the transaction that ends the import of its thread. Raises UsageError for an
    unknown format or a path that is not there.
    """
    return import_as(ledger, format, named(format), paths, progress)


def import_as(
    ledger: Ledger, name: str, importer: Format, paths: Iterable[str | Path], progress: Progress | None = None
) -> Tally:
    """Import as a format that need not be among the known ones, under its name."""
    started, sums = time.monotonic(), _Sums(progress)
    files = find(paths, importer.wants, ledger.settings.max_import_bytes)
    sums.total = sum(file.size for file in files)
    claims = Claims(ledger, name, importer.version)
    with _seldom_collected(), ThreadPoolExecutor(AT_ONCE, "runfold-import") as workers:
        going_in: deque[tuple[SourceThread, Future[Outcome]]] = deque()
        for source in threads_of(importer, files, sums.tally.reports):  # the next one is read while others go in
            placed = claims.placed(source)
            while must_wait(placed, [other for other, _ in going_in]):
                sums.add(going_in.popleft()[1].result())
            is_joined = placed.thread_id != source.thread_id
            storing = SourceImport(ledger, name, importer.version, placed, is_joined=is_joined).store
            going_in.append((placed, workers.submit(storing)))
        while going_in:
            sums.add(going_in.popleft()[1].result())
    if progress is not None:
        progress(sums.total, sums.total, "")
    sums.tally.seconds = time.monotonic() - started
    return sums.tally


def must_wait(source: SourceThread, going_in: Sequence[SourceThread]) -> bool:
    """Return whether another must be in first: they are too many, too large together, or it goes into the same thread."""
    if len(going_in) == AT_ONCE or any(other.thread_id == source.thread_id for other in going_in):
        return True
    return len(going_in) > 1 and source.size + sum(other.size for other in going_in) > LIGHT


def threads_of(importer: Format, files: Sequence[SourceFile], reports: Reports) -> Iterator[SourceThread]:
    """Read the threads in files. Where there is none, and nothing is said of that, it is noted of each file."""
    thread = None
    for thread in importer.read(files, reports.take):
        yield thread
    if thread is None and not reports.problems and not reports.by_kind:
        for file in files:
            reports.take(Note(file.name, None, NOTHING))


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    """What a source is read into has hardly a cycle, and to look for some after each few hundred objects takes long."""
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Sums:
    """The tally of an import that is going on. A thread that several sources tell of counts once, as it is then."""

    def __init__(self, progress: Progress | None) -> None:
        self.tally = Tally()
        self.total = self._done = 0
        self._progress = progress
        self._counts: dict[str, tuple[int, ...]] = {}

    def add(self, outcome: Outcome) -> None:
        """Count a thread that went in."""
        thread_id, counts = outcome.source.thread_id, outcome.counts.counted()
        self.tally.add(counts, instead_of=self._counts.get(thread_id))
        self._counts[thread_id] = counts
        self.tally.skipped += outcome.appended is None
        self.tally.events += outcome.appended or 0
        outcome.reports.tell(self.tally.reports.take)
        self._done += outcome.source.size
        if self._progress is not None:
            self._progress(min(self._done, self.total), self.total, outcome.source.label)
