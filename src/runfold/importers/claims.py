"""Which thread of the ledger holds a conversation already: found by what its sources have in common with an earlier import's.

What a thread is known by is recorded with each import of it. It is read once in an import, when a source first needs it.
"""

from dataclasses import replace
from functools import cached_property

from runfold.domain.thread import ThreadImported, ThreadSuperseded
from runfold.errors import UnknownEventType
from runfold.importers.format import SourceThread
from runfold.ledger import Ledger

PREFIX = "known as "
"""Before the keys among the ids of a source."""


class Claims:
    """The threads of one format by their keys."""

    def __init__(self, ledger: Ledger, format: str, version: int) -> None:
        self._ledger, self._format, self._version = ledger, format, version

    def placed(self, source: SourceThread) -> SourceThread:
        """Return a source in the thread that it goes into: its own, or one that holds the same conversation already."""
        thread_id = self._found(source.joins)
        if thread_id is None and (known := self._found(source.known_as)) is not None and not self._exists(source.thread_id):
            thread_id = known
        found = replace(
            source,
            thread_id=thread_id or source.thread_id,
            source_ids=(*source.source_ids, *(f"{PREFIX}{key}" for key in source.claims)),
        )
        for key in source.claims:
            self._threads.setdefault(key, found.thread_id)
        return found

    def _found(self, keys: tuple[str, ...]) -> str | None:
        return next((self._threads[key] for key in keys if key in self._threads), None)

    def _exists(self, thread_id: str) -> bool:
        return thread_id in self._ledger.now.reader.ends([thread_id])

    @cached_property
    def _threads(self) -> dict[str, str]:
        found: dict[str, str] = {}
        gone: set[str] = set()
        for recorded in self._ledger.subscribe(types=("thread.imported", "thread.superseded"), follow=False):
            event = recorded.event
            if recorded.is_raw:  # whose claims these are is not guessed
                raise UnknownEventType(recorded.type, event.schema_version, recorded.position)
            if isinstance(event, ThreadSuperseded):
                gone.add(recorded.stream)
            elif isinstance(event, ThreadImported) and (event.format, event.importer_version) == (self._format, self._version):
                for key in event.source_ids:
                    if key.startswith(PREFIX):
                        found.setdefault(key.removeprefix(PREFIX), recorded.stream)
        return {key: thread_id for key, thread_id in found.items() if thread_id not in gone}
