"""The recorder and the subscription through which the `eventsourcing` library reads the log of one tenant."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    ApplicationRecorder,
    Notification,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    StoredEvent,
    Subscription,
)

from runfold.domain.catalogue import event_types
from runfold.domain.values import texts
from runfold.errors import LedgerUnavailable, UsageError
from runfold.feed.following import Failed, Following, Retries, Span, Wait
from runfold.store import epochs
from runfold.store.hint import Listener
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import LATEST
from runfold.store.reading.stored import Stored, stored_page, stored_stream, stored_stretch
from runfold.store.reading.tenant_reader import TenantReader

PAGE = 500
LOOK_AGAIN_SECONDS = 0.25
PATIENCE_SECONDS = 300.0
"""How long a subscription waits for a database that is away."""


@dataclass(frozen=True)
class LogNotification(Notification):
    """A notification that carries the whole row of the log; its topic is the event's type, its state the event's JSON."""

    stored: Stored

    @classmethod
    def of(cls, stored: Stored) -> "LogNotification":
        """Make a notification of a row."""
        return cls(
            id=stored.position,
            originator_id=stored.stream,
            originator_version=stored.version,
            topic=stored.type,
            state=stored.state,
            stored=stored,
        )


class LogSubscription(Subscription["LogRecorder"]):
    """Iterates the notifications after a position, each once and in order, and then the new ones as they come.

    While the database is away it waits and tries again. Raises OperationalError once that takes too long, HistoryChanged where
    the ledger was put back to before what was given here, or to before where it was to begin.
    """

    def __init__(self, recorder: "LogRecorder", gt: int | None = None, topics: Sequence[str] = ()) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._reader = recorder.reader
        self._wanted = recorder.wanted(topics)
        self._listener = Listener(recorder.reader.datastore)
        self._page: deque[Stored] = deque()
        self._state: Following[UUID | None] = Following(gt or 0, None, Retries(lambda _: LOOK_AGAIN_SECONDS, PATIENCE_SECONDS))
        self._turn = threading.Lock()
        """Whoever reads holds it, so that the connection that listens is closed by nobody else meanwhile."""
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End the iteration, from another thread too."""
        super().stop()
        self._stopping.set()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        super().__exit__(*args, **kwargs)
        with self._turn:
            self._listener.close()

    def __next__(self) -> Notification:
        with self._turn:
            while not self._stopping.is_set():
                if self._page:
                    return LogNotification.of(self._page.popleft())
                self._go_on()
            self._listener.close()
        raise StopIteration

    def _go_on(self) -> None:
        """Do what comes next. Raises OperationalError, HistoryChanged where it cannot go on."""
        match self._state.step(now := time.monotonic()):
            case Failed(error):
                raise OperationalError(str(error)) from error
            case Wait():
                self._wait()
                self._read()
            case _ if (pause := self._state.retry_at - now) > 0:
                self._stopping.wait(pause)
            case _:
                self._read()

    def _read(self) -> None:
        began = time.monotonic()
        try:
            found = self._found(self._state.position)
        except LedgerUnavailable as error:
            self._state.failed(error, time.monotonic(), began)
        else:
            self._page.extend(self._state.looked(found))

    def _found(self, after: int) -> Span[Stored]:
        """Return what stands in the log after a position. Raises HistoryChanged, LedgerUnavailable."""
        head = epochs.still(self._reader, self._state.reached, self._state.epoch or self._reader.head().epoch)
        self._state.confirmed(head.epoch)
        self._state.goes_to(head.position, head.epoch)
        if head.position <= after:
            return Span(after, after, head.epoch)
        found, position = stored_stretch(self._reader, self._wanted, after=after, up_to=head.position, limit=PAGE)
        self._state.confirmed(epochs.still(self._reader, position, head.epoch).epoch)
        return Span(after, position, self._state.epoch, found)

    def _wait(self) -> None:
        """Wait until there may be more, for a moment at most."""
        try:
            self._listener.wait(LOOK_AGAIN_SECONDS)
        except psycopg.Error:
            self._stopping.wait(LOOK_AGAIN_SECONDS)


class LogRecorder(ApplicationRecorder):
    """Reads the log of one tenant. `require_topics` raises UsageError for topics that no event can have."""

    def __init__(self, reader: TenantReader, require_topics: Callable[[Sequence[str]], object] = event_types.require) -> None:
        self.reader = reader
        self._require_topics = require_topics

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Refuse to store any event. Raises NotSupportedError."""
        if stored_events:
            refuse_to_record()
        return []

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Read a stream by version. Raises OperationalError."""
        with _in_words_of_the_library():
            found = stored_stream(
                self.reader,
                str(originator_id),
                after_version=-1 if gt is None else gt,
                up_to_version=LATEST if lte is None else lte,
                limit=LATEST if limit is None else limit,
                descending=desc,
            )
        return [LogNotification.of(stored) for stored in found]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Read a page of the log. Raises OperationalError, ProgrammingError for topics that no event can have."""
        after = 0 if start is None else start - inclusive_of_start
        up_to = LATEST if stop is None else stop
        with _in_words_of_the_library():
            found = stored_page(self.reader, self.wanted(topics), after=max(0, after), up_to=up_to, limit=limit)
        return [LogNotification.of(stored) for stored in found]

    def max_notification_id(self) -> int | None:
        """Find the position of the tenant's last event, None where it has none. Raises OperationalError."""
        with _in_words_of_the_library():
            last = stored_page(self.reader, Filter(), limit=1, descending=True)
        return last[0].position if last else None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> LogSubscription:
        """Follow the log after a position. Raises ProgrammingError for topics that no event can have."""
        return LogSubscription(self, gt, topics)

    def wanted(self, topics: Sequence[str]) -> Filter:
        """Make the filter for some topics, which takes all where none is named. Raises ProgrammingError."""
        try:
            types = texts("topics", topics)
            self._require_topics(types)
        except UsageError as error:
            raise ProgrammingError(str(error)) from error
        return Filter(types=types)


def refuse_to_record() -> NoReturn:
    """Say how events are recorded instead. Raises NotSupportedError."""
    raise NotSupportedError(
        "Runfold's log is followed read-only by this library; record with Runfold's own commands:"
        " `with runfold.Ledger.open() as ledger: ledger.create_thread(…)`"
    )


@contextmanager
def _in_words_of_the_library() -> Iterator[None]:
    try:
        yield
    except LedgerUnavailable as error:
        raise OperationalError(str(error)) from error
