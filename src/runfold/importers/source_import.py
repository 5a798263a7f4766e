"""One thread of a source on its way in, whole or not at all; and what the ledger then holds of it."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from runfold.domain.thread import Thread as ThreadState
from runfold.domain.thread import ThreadImported
from runfold.errors import VersionConflict
from runfold.importers.file_digests import imported_files
from runfold.importers.format import SourceThread
from runfold.importers.reading_digest import reading_digest
from runfold.importers.recording import ImportedBefore, Recording
from runfold.importers.sources import OF_A_RECORD, Report, why
from runfold.importers.tally import Note, Problem, Reports, Tally
from runfold.ledger import Ledger

MOST_TRIES = 5
MOST_FILES_NAMED = 1000
"""Files of one thread whose digests are recorded."""


@dataclass(frozen=True)
class Outcome:
    """What became of a thread of a source."""

    thread_id: str
    label: str
    size: int
    """Its share of the bytes that are imported."""
    counts: tuple[int, ...]
    """What the ledger holds of it, in the order of `COUNTS`."""
    appended: int | None
    """How many events were new; None where all of it was in."""
    reports: Reports


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


class SourceImport:
    """One thread of a source on its way in, and the threads that earlier versions of the importer made of it."""

    def __init__(
        self,
        ledger: Ledger,
        format: str,
        version: int,
        source: SourceThread,
        *,
        is_joined: bool = False,
        name: str | None = None,
    ) -> None:
        self.ledger = ledger
        self.is_joined = is_joined
        """Whether it goes into a thread that another source made: where it adds nothing, nothing is recorded of it."""
        self.name = name
        """The import's own, which keeps what it brings apart from what others do."""
        self.format = format
        self.version = version
        self.source = source

    def store(self) -> Outcome:
        """Record what is new. Where somebody else imports the same, what they stored is found the next time."""
        for tries in range(1, MOST_TRIES + 1):
            reports = Reports()
            try:
                counts, appended = self._record(reports.take, may_be_new=tries == 1)
            except VersionConflict:
                if tries == MOST_TRIES:
                    raise
            except OF_A_RECORD as error:  # whatever one thread holds, the others go in
                reports.take(self._problem(f"{why(error)}; the thread was left out"))
                counts = ImportedBefore.of(self.ledger, self.source.thread_id).counts
                return self._outcome(counts, 0, reports)
            else:
                return self._outcome(counts, appended, reports)
        raise AssertionError("the last try returns or raises")

    def _outcome(self, counts: Tally, appended: int | None, reports: Reports) -> Outcome:
        source = self.source
        return Outcome(source.thread_id, source.label, source.size, counts.counted(), appended, reports)

    def _problem(self, reason: str) -> Problem:
        return Problem(self.source.files[0].name if self.source.files else self.source.label, None, reason)

    def _record(self, report: Report, *, may_be_new: bool) -> tuple[Tally, int | None]:
        """Return what the ledger holds of it then, and how many events were new; None where all of it was in."""
        source = self.source
        exist = self.ledger.now.reader.ends([source.thread_id, *source.replaces])
        known = _Former(self.ledger, source.thread_id) if source.thread_id in exist else None
        is_in = known is not None and any(
            digest == source.digest and version >= self.version for digest, version in known.imports
        )
        if known is not None and known.state.deleted:
            if not is_in:
                report(Note(source.label, None, "threads that were deleted, to which nothing is added"))
            return ImportedBefore.of(self.ledger, source.thread_id).counts, None
        former = [_Former(self.ledger, each).state for each in source.replaces if each in exist]
        left = [thread for thread in former if source.thread_id not in thread.superseded_by]
        if known is None and self._stays(left, report):
            return ImportedBefore.of(self.ledger, left[0].id).counts, None
        if is_in and not left:
            return ImportedBefore.of(self.ledger, source.thread_id).counts, None
        new_thread = source.thread_id if known is None and may_be_new else None
        with self.ledger.batch(is_import=True, new_thread=new_thread, source=self.name) as batch:
            recording = Recording(self.ledger, batch, source.thread_id, report, is_new=new_thread is not None)
            if not is_in:
                self._give(recording, is_archived=known is not None and known.state.archived)
            for thread in left:
                batch.thread(thread.id).supersede((source.thread_id,), self._reason)
            recording.count()
        return recording.known.counts, batch.appended

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

    def _give(self, recording: Recording, *, is_archived: bool) -> None:
        self.source.record(recording)
        if self.is_joined and not recording.has_news:
            return
        if is_archived and recording.was_refused:  # the same goes in once the thread is restored
            return
        imported = ThreadImported(
            format=self.format,
            source_digest=self.source.digest,
            source_ids=self.source.source_ids,
            importer_version=self.version,
            times_judged_by="producer",
            source_files=imported_files(self.source.files[:MOST_FILES_NAMED]),
            source_file_count=len(self.source.files) if len(self.source.files) > MOST_FILES_NAMED else None,
        )
        recording.finish(imported)

    @property
    def _reason(self) -> str:
        return f"version {self.version} of the importer reads the source otherwise"


class _ReadOnly(Exception):
    """Leaves a batch without storing it."""
