"""Imports: the one way in for all formats."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from runfold.importers.format import Format
from runfold.importers.formats import named
from runfold.importers.source_import import Outcome, SourceImport
from runfold.importers.sources import find
from runfold.importers.tally import Tally
from runfold.ledger import Ledger

Progress = Callable[[int, int, str], None]
"""Called with bytes of the sources done, bytes in all, and the name of the thread that went in."""


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
    with ThreadPoolExecutor(1, "runfold-import") as worker:
        going_in: Future[Outcome] | None = None
        for source in importer.read(files, sums.tally.reports.take):  # the next one is read while one goes in
            sums.add(going_in)
            going_in = worker.submit(SourceImport(ledger, name, importer.version, source).store)
        sums.add(going_in)
    if progress is not None:
        progress(sums.total, sums.total, "")
    sums.tally.seconds = time.monotonic() - started
    return sums.tally


class _Sums:
    """The tally of an import that is going on. A thread that several sources tell of counts once, as it is then."""

    def __init__(self, progress: Progress | None) -> None:
        self.tally = Tally()
        self.total = self._done = 0
        self._progress = progress
        self._counts: dict[str, tuple[int, ...]] = {}

    def add(self, going_in: "Future[Outcome] | None") -> None:
        """Wait for a thread that is going in, and count it. Raises what its import raised."""
        if going_in is None:
            return
        outcome = going_in.result()
        thread_id, counts = outcome.source.thread_id, outcome.counts.counted()
        self.tally.add(counts, instead_of=self._counts.get(thread_id))
        self._counts[thread_id] = counts
        self.tally.skipped += outcome.appended is None
        self.tally.events += outcome.appended or 0
        outcome.reports.tell(self.tally.reports.take)
        self._done += outcome.source.size
        if self._progress is not None:
            self._progress(min(self._done, self.total), self.total, outcome.source.label)
