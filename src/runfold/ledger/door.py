"""The one door to the log: load what a command looks at, decide, append, and try again when somebody else was first.

Deciding takes no I/O and happens under one lock, so that commands reach the appender in the order in which they were
decided. What must be read first is read outside the lock. A command that cannot be decided at once, because something
must be read or because it lost a race, goes on in a worker thread, in the order in which it came.

What is in memory may be out of date: another process may have written meanwhile. An append notices that by itself. A
command that appends nothing, because it is refused or has nothing new to say, is therefore answered only after the
database was asked whether the streams are where they were believed to be.
"""

import itertools
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from runfold.domain.event import AlreadyRecorded, refusal
from runfold.domain.values import Actor
from runfold.errors import (
    AlreadyAppended,
    CommandRefused,
    LedgerError,
    LedgerUnavailable,
    NotFound,
    VersionConflict,
)
from runfold.ids import new_id
from runfold.ledger.answers import IN_FLIGHT_SECONDS, Answers
from runfold.ledger.caller import Caller, Envelope, metadata_of
from runfold.ledger.insisting import append_alone, insist
from runfold.ledger.plan import Plan, Try
from runfold.ledger.reading import Reading
from runfold.ledger.revoked_keys import RevokedKeys
from runfold.ledger.session import Known, NotKnown, Session, States
from runfold.ledger.submitted import Receipt, Submitted, settle
from runfold.settings import Settings
from runfold.store.appender import Append, Appender
from runfold.store.codec import Limits, StreamKey
from runfold.store.hint import Hint
from runfold.store.recorder import Recorder

T = TypeVar("T")

MOST_TRIES = 100
PATIENCE = 5
"""Races that a command loses before it makes the others wait."""

_Chore = Callable[[], None]
"""What must be done before a command is decided, or decided again. It takes the database."""
_JUDGED_BY_STATE = (CommandRefused, NotFound, VersionConflict)


class Door:
    """Where all commands of this process enter."""

    def __init__(self, recorder: Recorder, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.recorder = recorder
        self.clock = clock
        self.caller = Caller(settings.tenant, Actor.parse(settings.actor))
        self.actor, self.tenant_id = self.caller.actor, self.caller.tenant_id
        self.reader = recorder.reader.of(self.tenant_id)
        self.limits = Limits(settings.max_string_bytes, settings.max_event_bytes)
        self.states = States(recorder.reader, settings.cached_streams)
        self.revoked_keys = RevokedKeys()
        self._default_metadata = metadata_of({}, self.caller)
        self._hint = Hint(recorder.store)
        self._appender = Appender(recorder.writer, self._settle, settings.queue_size)
        self._turn = threading.Lock()
        self.answers = Answers(recorder.reader, self.states, self._turn)
        self._behind: Counter[StreamKey] = Counter()
        self._numbers = itertools.count()
        self._work: queue.PriorityQueue[tuple[int, Try | None]] = queue.PriorityQueue()
        self._worker: threading.Thread | None = None
        self._closed = False
        self._is_outdated = False
        self._away: tuple[int, LedgerUnavailable | None] = (0, None)
        """When the database was last found to be away, in numbers of commands, and what was said of it."""

    def execute(self, plan: Plan[T]) -> T:
        """Carry out a command and wait until its events are durable. Raises LedgerError."""
        submitted = Submitted(plan.answer)
        trying = self._try(plan, submitted)
        while not submitted.done() and (chore := self._attempt(trying)):
            self._do(chore, trying)
        if not submitted.done():  # who is refused does not wait for what others append
            self._appender.help()
        return submitted.result()

    def submit(self, plan: Plan[T]) -> Submitted[T]:
        """Carry out a command without waiting for it. Never blocks on the database."""
        submitted = Submitted(plan.answer)
        trying = self._try(plan, submitted)
        if self._attempt(trying) is None:
            self._appender.wake()
        else:
            with self._turn:
                self._hand_over(trying)
        return submitted

    def append(self, session: Session) -> Receipt:
        """Store what a batch collected, all or nothing, and wait for it. Raises VersionConflict where others were first."""
        submitted: Submitted[Receipt] = Submitted(lambda receipt: receipt)
        plan = Plan("", lambda _: None, lambda receipt: receipt, {"expected_version": 0})
        with self._turn:
            if self._closed:
                raise _closed()
            self._appender.require_room()
            trying = self._try(plan, submitted)
            trying.session = session
            self._put(trying, session)
        self._appender.help()
        return submitted.result()

    def append_alone(self, session: Session, require: Callable[[], None]) -> Receipt:
        """The same, while nobody else appends, if what is required then holds. Raises what `require` raises."""
        with self._turn:
            if self._closed:
                raise _closed()
        receipt = append_alone(session, self.recorder.writer, require)
        for known in session.touched.values():
            known.position, known.stored = receipt.position, known.state.version
        self._hint.ring()
        return receipt

    @property
    def is_deciding(self) -> bool:
        """Whether who comes now would have to wait until another command is decided."""
        return self._turn.locked()

    @property
    def appending(self) -> Appender:
        """What appends, for whoever wants to know how much it does."""
        return self._appender

    def take(self, key: StreamKey) -> Known | None:
        """Hand over a state that is in memory and not out of date: its taker may change it, and others read the log."""
        with self._turn:
            known = self.states.take(key)
        tenant_id, stream = key
        while known is not None and not known.dead:
            stored, _ = self.recorder.reader.of(tenant_id).ends([stream]).get(stream, (0, 0))
            if known.state.version <= stored:
                return known if known.state.version == stored else None
            time.sleep(IN_FLIGHT_SECONDS)  # some of it is still on its way
        return None

    def give_back(self, states: States) -> None:
        """Keep the states that a batch has finished with."""
        with self._turn:
            for known in states.all():
                self.states.keep(known)

    def forget_states(self) -> None:
        """Believe no state that is in memory: the log may be another. It waits for nobody."""
        self._is_outdated = True

    def close(self) -> None:
        """Store what waits, answer everybody, and give the connections back."""
        with self._turn:
            self._closed = True
        if self._worker is not None:
            self._work.put((sys.maxsize, None))
            self._worker.join()
        self._appender.close()
        self._hint.close()
        self.recorder.close()

    def session(self, envelope: Envelope, states: States | None = None, caller: Caller | None = None) -> Session:
        """A place for a command to look at states and to record events."""
        plain = not envelope and caller is None
        metadata = self._default_metadata if plain else metadata_of(envelope, caller or self.caller)
        return Session(states or self.states, self.limits, (caller or self.caller).acting(envelope), metadata)

    def reading(self, moment: int | datetime | None = None) -> Reading:
        """The ledger as it stands, or stood."""
        return Reading(self.reader, self.tenant_id).at(moment)

    def new_id(self, prefix: str) -> str:
        """An id for what a command creates."""
        return new_id(prefix)

    # Deciding

    def _try(self, plan: Plan[Any], submitted: Submitted[Any]) -> Try:
        return Try(plan, submitted, next(self._numbers), (plan.caller or self.caller).tenant_id)

    def _attempt(self, trying: Try, *, in_worker: bool = False) -> _Chore | None:
        """Decide with what is in memory. None when it is on its way or answered; else what must be done before the next try."""
        try:
            insists = in_worker and (trying.plan.expects or trying.tries >= PATIENCE)
            if insists and (receipt := self._insist(trying)):
                settle([(trying.submitted, receipt)])
                return None
            with self._turn:
                if in_worker:
                    return self._decide(trying)
                if self._closed:
                    raise _closed()
                if trying.key not in self._behind and not trying.plan.expects:
                    return self._decide(trying)
                self._hand_over(trying)
        except NotKnown as missing:
            return missing.load
        except AlreadyRecorded as known:
            found = known
            return lambda: self.answers.as_recorded(trying, found)
        except (LedgerError, ValidationError) as error:
            settle([(trying.submitted, _ours(error))])
        return None

    def _decide(self, trying: Try) -> _Chore | None:
        plan, caller = trying.plan, trying.plan.caller
        if caller is not None and caller.key is not None and not trying.looked_up:
            acting = caller.acting(plan.envelope)
            raise NotKnown(lambda: self.answers.look_up(trying, acting))
        if self._is_outdated:
            self._is_outdated = False
            for known in self.states.all():
                self.states.forget(known)
        session = trying.session = trying.session or self.session(plan.envelope, caller=plan.caller)
        self._appender.require_room()
        refused: LedgerError | None = None
        try:
            plan.decide(session)
        except _JUDGED_BY_STATE as error:
            refused = error
        except BaseException:
            session.undo()
            raise
        decided = bool(session.rows) and refused is None
        if decided and not plan.expects:
            self._put(trying, session)
            self.states.shrink()
            return None
        seen = session.seen
        session.undo()
        return lambda: self.answers.if_current(trying, seen, refused, is_answer=not decided)

    def _insist(self, trying: Try) -> Receipt | None:
        """Make the others wait. None when it did not help, and the command is to be tried again as any other."""
        plan = trying.plan
        try:
            receipt = insist(
                plan,
                self.recorder.writer,
                lambda: States(self.recorder.reader, most=2**31),
                lambda states: self.session(plan.envelope, states, plan.caller),
            )
        except AlreadyAppended:
            trying.looked_up = False
            return None
        except (NotKnown, AlreadyRecorded, *_JUDGED_BY_STATE):
            return None
        if receipt is not None:
            with self._turn:
                for stream in {receipt.stream, plan.stream}:
                    if known := self.states.peek((trying.tenant_id, stream)):
                        self.states.forget(known)
            self._hint.ring()
        return receipt

    def _do(self, chore: _Chore, trying: Try) -> None:
        before, away = self._away
        if away is not None and trying.number < before:
            settle([(trying.submitted, away)])  # it waited while the database was found to be away: that is its answer too
            return
        try:
            chore()
        except LedgerUnavailable as error:
            self._away = next(self._numbers), error
            settle([(trying.submitted, error)])
        except LedgerError as error:
            settle([(trying.submitted, error)])

    def _put(self, trying: Try, session: Session) -> None:
        self._appender.put(Append(session.rows, list(session.touched.values()), session.watched(), trying))

    # Settling: the appender's thread calls this for every batch

    def _settle(self, batch: list[Append]) -> None:
        failed = [append for append in batch if append.error is not None]
        outcomes: list[tuple[Submitted[Any], Receipt | BaseException]] = [
            (_try_of(append).submitted, self._stored(append)) for append in batch if append.error is None
        ]
        stored = bool(outcomes)
        if failed:
            with self._turn:  # all at once, so that no later command can be decided between
                outcomes += self._give_up_or_retry([*failed, *self._appender.withdraw_void()])
        settle(outcomes)
        if stored:
            self._hint.ring()

    def _give_up_or_retry(self, failed: list[Append]) -> list[tuple[Submitted[Any], BaseException]]:
        given_up: list[tuple[Submitted[Any], BaseException]] = []
        for append in failed:
            for lineage in append.lineages:
                if isinstance(lineage, Known):
                    self.states.forget(lineage)
            trying, error = _try_of(append), append.error
            if error is not None and (self._closed or not self._may_retry(trying, error)):
                given_up.append((trying.submitted, error))
            else:
                trying.session, trying.tries, trying.looked_up = None, trying.tries + 1, False
                self._hand_over(trying)
        return given_up

    def _stored(self, append: Append) -> Receipt:
        last = append.rows[-1]
        position = append.first_position + len(append.rows) - 1
        versions = {row.stream: row.version for row in append.rows}
        for lineage in append.lineages:
            if isinstance(lineage, Known) and lineage.state.id in versions:
                lineage.position, lineage.stored = position, versions[lineage.state.id]
        session = _try_of(append).session
        events = tuple(session.events) if session else ()
        return Receipt(last.stream, position, last.version, append.recorded_at, len(append.rows), events)

    def _may_retry(self, trying: Try, error: LedgerError) -> bool:
        asked = trying.plan.envelope.get("expected_version")
        if isinstance(error, AlreadyAppended):
            return trying.plan.caller is not None  # what was recorded under its key is its answer
        return isinstance(error, VersionConflict) and asked is None and trying.tries < MOST_TRIES

    # The worker: what could not be decided at once

    def _hand_over(self, trying: Try) -> None:
        """Let the worker decide it, before all that came later. For who has the turn."""
        self._behind[trying.key] += 1
        self._work.put((trying.number, trying))
        if self._worker is None:
            thread = threading.Thread(target=self._work_on, name="runfold-door", daemon=True)
            thread.start()
            self._worker = thread  # once it runs: an interrupt before that leaves nothing to be waited for

    def _work_on(self) -> None:
        while (trying := self._work.get()[1]) is not None:
            try:
                if (chore := self._attempt(trying, in_worker=True)) is not None:
                    self._do(chore, trying)
                    if not trying.submitted.done():
                        self._work.put((trying.number, trying))  # what came earlier may have come back meanwhile
                        continue
                self._appender.wake()
            except Exception as error:
                settle([(trying.submitted, error)])
            with self._turn:
                self._behind[trying.key] -= 1
                if not self._behind[trying.key]:
                    del self._behind[trying.key]


def _try_of(append: Append) -> Try:
    return cast("Try", append.facts)  # the door put it there


def _closed() -> LedgerUnavailable:
    return LedgerUnavailable("the ledger is closed", "open it again", retriable=False)


def _ours(error: LedgerError | ValidationError) -> LedgerError:
    return refusal(error) if isinstance(error, ValidationError) else error
