"""Imports: the one way in for all formats."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from runfold.domain.thread import ThreadImported
from runfold.errors import VersionConflict
from runfold.importers.format import SourceThread
from runfold.importers.formats import named
from runfold.importers.recording import Recording
from runfold.importers.sources import Report, find
from runfold.importers.tally import Reports, Tally
from runfold.ledger import Ledger

Progress = Callable[[int, int, str], None]
"""Called with bytes of the sources done, bytes in all, and the name of the thread that went in."""

MOST_TRIES = 5


def import_paths(ledger: Ledger, format: str, paths: Iterable[str | Path], progress: Progress | None = None) -> Tally:
    """Import files, folders with all in them, or standard input (`-`). Importing again appends only what is new.

    Each source thread is one transaction, so an import that was killed goes on where it stopped. A bad record becomes a
    problem of the tally and the rest goes in. Raises UsageError for an unknown format or a path that is not there.
    """
    importer = named(format)
    started, tally = time.monotonic(), Tally()
    files = find(paths, importer.wants, ledger.settings.max_import_bytes)
    done, total = 0, sum(file.size for file in files)
    for source in importer.read(files, tally.reports.take):
        tally.add(source.counts)
        _store(ledger, format, source, tally)
        done += source.size
        if progress is not None:
            progress(min(done, total), total, source.label)
    if progress is not None:
        progress(total, total, "")
    tally.seconds = time.monotonic() - started
    return tally


def _store(ledger: Ledger, format: str, source: SourceThread, tally: Tally) -> None:
    if _is_in(ledger, source):
        tally.skipped += 1
        return
    for tries in range(1, MOST_TRIES + 1):
        reports = Reports()
        try:
            tally.events += _record(ledger, format, source, reports.take)
        except VersionConflict:  # somebody else imports the same; what they stored is found next time
            if tries == MOST_TRIES:
                raise
        else:
            reports.tell(tally.reports.take)
            return


_IN_TIME = datetime.min.replace(tzinfo=UTC)
"""What a source tells was in time there; by the clock of the import all of it would be late."""


def _is_in(ledger: Ledger, source: SourceThread) -> bool:
    recorded = ledger.events(thread_id=source.thread_id, types=("thread.imported",))
    return any(isinstance(item.event, ThreadImported) and item.event.source_digest == source.digest for item in recorded)


def _record(ledger: Ledger, format: str, source: SourceThread, report: Report) -> int:
    with ledger.batch(clock=lambda: _IN_TIME) as batch:
        recording = Recording(ledger, batch, source.thread_id, report)
        source.record(recording)
        recording.finish(ThreadImported(format=format, source_digest=source.digest, source_ids=source.source_ids))
    return batch.appended
