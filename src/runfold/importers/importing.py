"""Imports: the one way in for all formats."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from runfold.domain.thread import Thread as ThreadState
from runfold.domain.thread import ThreadImported
from runfold.errors import VersionConflict
from runfold.importers.format import Format, SourceThread
from runfold.importers.formats import named
from runfold.importers.reading_digest import reading_digest
from runfold.importers.recording import Recording
from runfold.importers.sources import Report, find
from runfold.importers.tally import Note, Reports, Tally
from runfold.ledger import Ledger

Progress = Callable[[int, int, str], None]
"""Called with bytes of the sources done, bytes in all, and the name of the thread that went in."""

MOST_TRIES = 5


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
    started, tally = time.monotonic(), Tally()
    files = find(paths, importer.wants, ledger.settings.max_import_bytes)
    done, total = 0, sum(file.size for file in files)
    for source in importer.read(files, tally.reports.take):
        tally.add(source.counts)
        _SourceImport(ledger, name, importer.version, source).store(tally)
        done += source.size
        if progress is not None:
            progress(min(done, total), total, source.label)
    if progress is not None:
        progress(total, total, "")
    tally.seconds = time.monotonic() - started
    return tally


class _Former:
    """What the ledger holds of a thread's own stream."""

    def __init__(self, ledger: Ledger, thread_id: str) -> None:
        self.state = ThreadState(thread_id)
        self.imports: set[tuple[str, int]] = set()
        """What was imported whole into it: digests of sources, each with the version of the importer."""
        for recorded in ledger.now.reader.stream(thread_id):
            self.state.evolve(recorded.event)
            if isinstance(recorded.event, ThreadImported):
                self.imports.add((recorded.event.source_digest, recorded.event.importer_version))


class _SourceImport:
    """One thread of a source on its way in, and the threads that earlier versions of the importer made of it."""

    def __init__(self, ledger: Ledger, format: str, version: int, source: SourceThread) -> None:
        self.ledger = ledger
        self.format = format
        self.version = version
        self.source = source

    def store(self, tally: Tally) -> None:
        """Record what is new. Where somebody else imports the same, what they stored is found the next time."""
        for tries in range(1, MOST_TRIES + 1):
            reports = Reports()
            try:
                appended = self._record(reports.take)
            except VersionConflict:
                if tries == MOST_TRIES:
                    raise
            else:
                tally.skipped += appended is None
                tally.events += appended or 0
                reports.tell(tally.reports.take)
                return

    def _record(self, report: Report) -> int | None:
        """Return how many events were new; None where all of it was in."""
        source = self.source
        known = _Former(self.ledger, source.thread_id)
        is_in = any(digest == source.digest and version >= self.version for digest, version in known.imports)
        former = [thread for each in source.replaces if (thread := _Former(self.ledger, each).state).exists]
        left = [thread for thread in former if source.thread_id not in thread.superseded_by]
        if not known.state.exists and self._stays(left, report):
            return None
        if is_in and not left:
            return None
        with self.ledger.batch(is_import=True) as batch:
            if not is_in:
                self._give(Recording(self.ledger, batch, source.thread_id, report))
            for thread in left:
                batch.thread(thread.id).supersede((source.thread_id,), self._reason)
        return batch.appended

    def _stays(self, former: Sequence[ThreadState], report: Report) -> bool:
        """Return whether what an earlier version made of the source stands as it is, because it reads the same or was deleted."""
        if not former:
            return False
        if all(thread.deleted for thread in former):
            kind = "threads that were deleted, which a newer version of the importer makes no others of"
            report(Note(self.source.label, None, kind))
            return True
        if len(former) > 1 or former[0].superseded_by:
            return False
        return self._read_now() == reading_digest(self.ledger.thread(former[0].id).events())

    def _read_now(self) -> str:
        """Return what this version reads, recorded nowhere."""
        with contextlib.suppress(_ReadOnly), self.ledger.batch(is_import=True) as batch:
            self.source.record(Recording(self.ledger, batch, self.source.thread_id, lambda _: None, is_trial=True))
            digest = reading_digest(batch.collected())
            raise _ReadOnly
        return digest

    def _give(self, recording: Recording) -> None:
        self.source.record(recording)
        imported = ThreadImported(
            format=self.format,
            source_digest=self.source.digest,
            source_ids=self.source.source_ids,
            importer_version=self.version,
            times_judged_by="producer",
        )
        recording.finish(imported)

    @property
    def _reason(self) -> str:
        return f"version {self.version} of the importer reads the source otherwise"


class _ReadOnly(Exception):
    """Leaves a batch without storing it."""
