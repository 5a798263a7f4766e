"""The one door to the log: load what a command looks at, decide, append, and try again when somebody else was first.

Deciding takes no I/O and happens under one lock, so that commands reach the appender in the order in which they were
decided. What must be read first is read outside the lock. A command that cannot be decided at once, because something
must be read or because it lost a race, goes on in a worker thread, in the order in which it came.
"""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from runfold.domain.event import AlreadyRecorded, Event, refusal
from runfold.domain.values import Actor
from runfold.errors import DuplicateWithDifferentContent, LedgerError, LedgerUnavailable, VersionConflict
from runfold.ledger.session import Envelope, Known, NotKnown, Session, States, metadata_of
from runfold.ledger.submitted import Receipt, Submitted, settle
from runfold.settings import Settings
from runfold.store.appender import Append, Appender
from runfold.store.codec import Limits
from runfold.store.hint import Hint
from runfold.store.recorder import Recorder

T = TypeVar("T")

MOST_TRIES = 100
_WAIT_FOR_IN_FLIGHT = 0.002


class Plan(NamedTuple, Generic[T]):
    """A command: what it decides, and what the caller gets for it. Commands on one stream keep their order."""

    stream: str
    decide: Callable[[Session], None]
    answer: Callable[[Receipt], T]
    envelope: Envelope


@dataclass(slots=True)
class _Try:
    plan: Plan[Any]
    submitted: Submitted[Any]
    tries: int = 0
    session: Session | None = None


class Door:
    """Where all commands of this process enter."""

    def __init__(self, recorder: Recorder, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.recorder = recorder
        self.reader = recorder.reader
        self.clock = clock
        self.actor = Actor.parse(settings.actor)
        self.tenant_id = settings.tenant
        self.limits = Limits(settings.max_string_bytes, settings.max_event_bytes)
        self.states = States(recorder.reader, settings.tenant, settings.cached_streams)
        self._default_metadata = metadata_of({}, self.actor)
        self._hint = Hint(recorder.store)
        self._appender = Appender(recorder.writer, self._settle, settings.queue_size)
        self._turn = threading.Lock()
        self._behind: Counter[str] = Counter()
        self._work: queue.SimpleQueue[_Try | None] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None
        self._closed = False

    def execute(self, plan: Plan[T]) -> T:
        """Carry out a command and wait until its events are durable. Raises LedgerError."""
        submitted = Submitted(plan.answer)
        trying = _Try(plan, submitted)
        if self._behind[plan.stream]:
            self._hand_over(trying)
        else:
            self._attempt(trying)
        return submitted.result()

    def submit(self, plan: Plan[T]) -> Submitted[T]:
        """Carry out a command without waiting for it. Never blocks on the database."""
        submitted = Submitted(plan.answer)
        trying = _Try(plan, submitted)
        if self._behind[plan.stream] or not self._attempt_at_once(trying):
            self._hand_over(trying)
        return submitted

    def append(self, session: Session) -> Receipt:
        """Store what a batch collected, all or nothing, and wait for it. Raises VersionConflict where others were first."""
        submitted: Submitted[Receipt] = Submitted(lambda receipt: receipt)
        batch = _Try(Plan("", lambda _: None, lambda receipt: receipt, {"expected_version": 0}), submitted, session=session)
        self._put(batch, session)
        return submitted.result()

    def take(self, stream: str) -> Known | None:
        """Hand over a state that is in memory: its taker may change it, and whoever else needs it reads the log."""
        with self._turn:
            return self.states.take(stream)

    def give_back(self, states: States) -> None:
        """Keep the states that a batch has finished with."""
        with self._turn:
            for known in states.all():
                self.states.keep(known)

    def close(self) -> None:
        """Store what waits, answer everybody, and give the connections back."""
        with self._turn:
            self._closed = True
        if self._worker is not None:
            self._work.put(None)
            self._worker.join()
        self._appender.close()
        self._hint.close()
        self.recorder.close()

    def session(self, envelope: Envelope, states: States | None = None) -> Session:
        """A place for a command to look at states and to record events."""
        metadata = metadata_of(envelope, self.actor) if envelope else self._default_metadata
        return Session(states or self.states, self.limits, metadata)

    # Deciding

    def _attempt_at_once(self, trying: _Try) -> bool:
        """Decide with what is in memory. False when something must be read first."""
        try:
            with self._turn:
                self._decide(trying)
        except (NotKnown, AlreadyRecorded):
            return False
        except (LedgerError, ValidationError) as error:
            settle([(trying.submitted, _ours(error))])
        return True

    def _attempt(self, trying: _Try) -> None:
        """Decide, reading whatever is needed."""
        while True:
            try:
                try:
                    with self._turn:
                        return self._decide(trying)
                except NotKnown as missing:
                    missing.load()
                except AlreadyRecorded as known:
                    if receipt := self._recorded_before(known):
                        return settle([(trying.submitted, receipt)])
            except (LedgerError, ValidationError) as error:
                return settle([(trying.submitted, _ours(error))])

    def _decide(self, trying: _Try) -> None:
        plan = trying.plan
        session = trying.session = trying.session or self.session(plan.envelope)
        try:
            plan.decide(session)
        except BaseException:
            session.undo()
            raise
        if session.rows:
            self._put(trying, session)
        else:
            settle([(trying.submitted, self._nothing_new(plan.stream))])

    def _put(self, trying: _Try, session: Session) -> None:
        append = Append(session.rows, list(session.touched.values()), session.watched(), trying)
        try:
            self._appender.put(append)
        except LedgerError:
            session.undo()
            raise

    def _nothing_new(self, stream: str) -> Receipt:
        known = self.states.peek(stream)
        return Receipt(stream, known.position if known else 0, known.state.version if known else 0, None, 0)

    def _recorded_before(self, known: AlreadyRecorded) -> Receipt | None:
        """The receipt of what stands there already; None while it is still on its way."""
        found = list(self.recorder.reader.stream(known.stream, after_version=known.version - 1, up_to_version=known.version))
        if not found:
            time.sleep(_WAIT_FOR_IN_FLIGHT)
            return None
        require_same(known, found[0].event)
        return Receipt(known.stream, found[0].position, found[0].version, found[0].recorded_at, 0)

    # Settling: the appender's thread calls this for every batch

    def _settle(self, batch: list[Append]) -> None:
        outcomes: list[tuple[Submitted[Any], Receipt | BaseException]] = []
        stored = False
        for append in batch:
            trying: _Try = append.facts  # type: ignore[assignment]  # the door put it there
            if append.error is None:
                stored = True
                outcomes.append((trying.submitted, self._stored(append)))
            elif self._may_retry(trying, append.error):
                trying.session, trying.tries = None, trying.tries + 1
                self._forget(append)
                self._hand_over(trying)
            else:
                self._forget(append)
                outcomes.append((trying.submitted, append.error))
        settle(outcomes)
        if stored:
            self._hint.ring()

    def _stored(self, append: Append) -> Receipt:
        last = append.rows[-1]
        position = append.first_position + len(append.rows) - 1
        written = {row.stream for row in append.rows}
        for lineage in append.lineages:
            if isinstance(lineage, Known) and lineage.state.id in written:
                lineage.position = position
        return Receipt(last.stream, position, last.version, append.recorded_at, len(append.rows))

    def _forget(self, append: Append) -> None:
        with self._turn:
            for lineage in append.lineages:
                if isinstance(lineage, Known):
                    self.states.forget(lineage)

    def _may_retry(self, trying: _Try, error: LedgerError) -> bool:
        asked = trying.plan.envelope.get("expected_version")
        return isinstance(error, VersionConflict) and asked is None and trying.tries < MOST_TRIES

    # The worker: what could not be decided at once

    def _hand_over(self, trying: _Try) -> None:
        with self._turn:
            closed = self._closed
            if not closed:
                self._behind[trying.plan.stream] += 1
                self._work.put(trying)
            if self._worker is None and not closed:
                self._worker = threading.Thread(target=self._work_on, name="runfold-door", daemon=True)
                self._worker.start()
        if closed:
            settle([(trying.submitted, LedgerUnavailable("the ledger is closed", "open it again", retriable=False))])

    def _work_on(self) -> None:
        while (trying := self._work.get()) is not None:
            try:
                self._attempt(trying)
            except Exception as error:
                settle([(trying.submitted, error)])
            finally:
                with self._turn:
                    stream = trying.plan.stream
                    self._behind[stream] -= 1
                    if not self._behind[stream]:
                        del self._behind[stream]


def require_same(known: AlreadyRecorded, event: Event) -> None:
    """Raise DuplicateWithDifferentContent unless the recorded event says what is proposed again."""
    if differs := known.proposed.differs_from(event):
        raise DuplicateWithDifferentContent(known.thing, known.id, differs)


def _ours(error: LedgerError | ValidationError) -> LedgerError:
    return refusal(error) if isinstance(error, ValidationError) else error
