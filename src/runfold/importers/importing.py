"""Imports: the one way in for all formats."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from runfold.importers.format import Format, SourceThread
from runfold.importers.formats import named
from runfold.importers.import_name import checked_name, name_of_import
from runfold.importers.processes import processes_for, store_groups
from runfold.importers.source_import import Outcome
from runfold.importers.sources import SourceFile, find
from runfold.importers.storing import store_all
from runfold.importers.tally import Note, Reports, Tally
from runfold.ledger import Ledger

Progress = Callable[[int, int, str], None]
"""Called with bytes of the sources done, bytes in all, and the name of the thread that went in."""

NOTHING = "files in which there is no thread of this format"
NO_FILES = "folders in which no file is named as those of this format are"


def import_paths(
    ledger: Ledger,
    format: str,
    paths: Iterable[str | Path],
    progress: Progress | None = None,
    *,
    processes: int | None = None,
    source: str | None = None,
) -> Tally:
    """Import files, folders with all in them, or standard input (`-`). Importing again appends only what is new.

    Each source thread is one transaction, so an import that was killed goes on where it stopped. A bad record becomes a
    problem of the tally and the rest goes in. What an earlier version of the importer made of the same source stays where it
    reads the same, and is else superseded in the transaction that ends the import of its thread. Many files are read and
    stored in several `processes`: one a processor, four at most, where no number is given. `source` names the import, to tell
    what it brought from what others did; its format and the place of the files do where none is given. Raises UsageError for
    an unknown format or a path that is not there.
    """
    importer, sums, paths = named(format), _Sums(progress), list(paths)
    files = _found(ledger, importer, paths, sums)
    name = name_of_import(format, paths) if source is None else checked_name(source)
    wanted = processes_for(sums.total) if processes is None else processes
    reports = Reports()
    wanted = min(wanted, len(files))
    if wanted < 2 or importer.parts is None or any(file.path is None for file in files):
        return _imported(ledger, format, importer, files, sums, name)
    groups = partial(importer.parts.together, files, reports.take)
    store_groups(ledger, format, groups, wanted, sums.add, reports, name)
    _note_nothing(files, reports, is_nothing=not sums.tally.threads)
    reports.tell(sums.tally.reports.take)
    return sums.finished()


def import_as(
    ledger: Ledger, name: str, importer: Format, paths: Iterable[str | Path], progress: Progress | None = None
) -> Tally:
    """Import as a format that need not be among the known ones, under its name."""
    sums, paths = _Sums(progress), list(paths)
    return _imported(ledger, name, importer, _found(ledger, importer, paths, sums), sums, name_of_import(name, paths))


def _found(ledger: Ledger, importer: Format, paths: Iterable[str | Path], sums: "_Sums") -> list[SourceFile]:
    files = find(paths, importer.wants, ledger.settings.max_import_bytes, sums.tally.reports.take)
    sums.total = sum(file.size for file in files)
    if not files:
        sums.tally.reports.take(Note(", ".join(map(str, paths)), None, NO_FILES))
    return files


def _imported(ledger: Ledger, format: str, importer: Format, files: Sequence[SourceFile], sums: "_Sums", name: str) -> Tally:
    store_all(ledger, format, importer.version, threads_of(importer, files, sums.tally.reports), sums.add, name)
    return sums.finished()


def threads_of(importer: Format, files: Sequence[SourceFile], reports: Reports) -> Iterator[SourceThread]:
    """Read the threads in files. Where there is none, and nothing is said of that, it is noted of each file."""
    thread = None
    for thread in importer.read(files, reports.take):
        yield thread
    _note_nothing(files, reports, is_nothing=thread is None)


def _note_nothing(files: Sequence[SourceFile], reports: Reports, *, is_nothing: bool) -> None:
    if is_nothing and not reports.problems and not reports.by_kind:
        for file in files:
            reports.take(Note(file.name, None, NOTHING))


class _Sums:
    """The tally of an import that is going on. A thread that several sources tell of counts once, as it is then."""

    def __init__(self, progress: Progress | None) -> None:
        self.tally = Tally()
        self.total = self._done = 0
        self._started = time.monotonic()
        self._progress = progress
        self._counts: dict[str, tuple[int, ...]] = {}

    def add(self, outcome: Outcome) -> None:
        """Count a thread that went in."""
        self.tally.add(outcome.counts, instead_of=self._counts.get(outcome.thread_id))
        self._counts[outcome.thread_id] = outcome.counts
        self.tally.skipped += outcome.appended is None
        self.tally.events += outcome.appended or 0
        outcome.reports.tell(self.tally.reports.take)
        self._done += outcome.size
        if self._progress is not None:
            self._progress(min(self._done, self.total), self.total, outcome.label)

    def finished(self) -> Tally:
        """Return the tally, of an import that is done."""
        if self._progress is not None:
            self._progress(self.total, self.total, "")
        self.tally.seconds = time.monotonic() - self._started
        return self.tally
