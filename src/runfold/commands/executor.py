"""The one way into the log: load what a command looks at, decide, append, and try again when somebody else was first.

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

from runfold.commands.answers import IN_FLIGHT_SECONDS, Answers
from runfold.commands.caller import Caller, Envelope, metadata_of
from runfold.commands.plan import Attempt, Plan
from runfold.commands.priority import append_alone, execute_first
from runfold.commands.revoked_keys import RevokedKeys
from runfold.commands.session import CachedStream, LoadRequired, Session, States
from runfold.commands.submitted import Receipt, Submitted, settle
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
from runfold.settings import Settings
from runfold.store.appender import Append, Appender
from runfold.store.codec import Limits, StreamKey
from runfold.store.hint import Hint
from runfold.store.reader import Reader
from runfold.store.recorder import Recorder

T = TypeVar("T")

MOST_TRIES = 100
PATIENCE = 5
"""Races that a command loses before it makes the others wait."""

_Chore = Callable[[], None]
"""What must be done before a command is decided, or decided again. It takes the database."""
_JUDGED_BY_STATE = (CommandRefused, NotFound, VersionConflict)


class CommandExecutor:
    """Where all commands of this process enter."""

    def __init__(self, recorder: Recorder, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.recorder = recorder
        self.clock = clock
        self.caller = Caller(settings.tenant, Actor.parse(settings.actor))
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
        self._work: queue.PriorityQueue[tuple[int, Attempt | None]] = queue.PriorityQueue()
        self._worker: threading.Thread | None = None
        self._closed = False
        self._is_outdated = False
        self._away: tuple[int, LedgerUnavailable | None] = (0, None)
        """When the database was last found to be away, in numbers of commands, and what was said of it."""

    def execute(self, plan: Plan[T]) -> T:
        """Carry out a command and wait until its events are durable. Raises LedgerError."""
        submitted = Submitted(plan.answer)
        attempt = self._begin(plan, submitted)
        while not submitted.done() and (chore := self._advance(attempt)):
            self._do(chore, attempt)
        if not submitted.done():  # who is refused does not wait for what others append
            self._appender.help()
        return submitted.result()

    def submit(self, plan: Plan[T]) -> Submitted[T]:
        """Carry out a command without waiting for it. Never blocks on the database."""
        submitted = Submitted(plan.answer)
        attempt = self._begin(plan, submitted)
        if self._advance(attempt) is None:
            self._appender.wake()
        else:
            with self._turn:
                self._hand_over(attempt)
        return submitted

    def append(self, session: Session) -> Receipt:
        """Store what a batch collected, all or nothing, and wait for it. Raises VersionConflict where others were first."""
        submitted: Submitted[Receipt] = Submitted(lambda receipt: receipt)
        plan = Plan("", lambda _: None, lambda receipt: receipt, {"expected_version": 0})
        with self._turn:
            if self._closed:
                raise _closed()
            self._appender.require_room()
            attempt = self._begin(plan, submitted)
            attempt.session = session
            self._put(attempt, session)
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

    def take(self, key: StreamKey) -> CachedStream | None:
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

    def session(
        self, envelope: Envelope, states: States | None = None, caller: Caller | None = None, reader: Reader | None = None
    ) -> Session:
        """A place for a command to look at states and to record events."""
        plain = not envelope and caller is None
        metadata = self._default_metadata if plain else metadata_of(envelope, caller or self.caller)
        acting = (caller or self.caller).acting(envelope)
        return Session(states or self.states, reader or self.recorder.reader, self.limits, acting, metadata)

    # Deciding

    def _begin(self, plan: Plan[Any], submitted: Submitted[Any]) -> Attempt:
        return Attempt(plan, submitted, next(self._numbers), (plan.caller or self.caller).tenant_id)

    def _advance(self, attempt: Attempt, *, in_worker: bool = False) -> _Chore | None:
        """Decide with what is in memory. None when it is on its way or answered; else what must be done before the next try."""
        try:
            goes_first = in_worker and (attempt.plan.expects or attempt.tries >= PATIENCE)
            if goes_first and (receipt := self._execute_first(attempt)):
                settle([(attempt.submitted, receipt)])
                return None
            with self._turn:
                if in_worker:
                    return self._decide(attempt)
                if self._closed:
                    raise _closed()
                if attempt.key not in self._behind and not attempt.plan.expects:
                    return self._decide(attempt)
                self._hand_over(attempt)
        except LoadRequired as missing:
            return missing.load
        except AlreadyRecorded as known:
            found = known
            return lambda: self.answers.as_recorded(attempt, found)
        except (LedgerError, ValidationError) as error:
            settle([(attempt.submitted, _ours(error))])
        return None

    def _decide(self, attempt: Attempt) -> _Chore | None:
        plan, caller = attempt.plan, attempt.plan.caller
        if caller is not None and caller.key is not None and not attempt.looked_up:
            acting = caller.acting(plan.envelope)
            raise LoadRequired(lambda: self.answers.look_up(attempt, acting))
        if self._is_outdated:
            self._is_outdated = False
            for known in self.states.all():
                self.states.forget(known)
        session = attempt.session = attempt.session or self.session(plan.envelope, caller=plan.caller)
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
            self._put(attempt, session)
            self.states.shrink()
            return None
        seen = session.seen
        session.undo()
        return lambda: self.answers.if_current(attempt, seen, refused, is_answer=not decided)

    def _execute_first(self, attempt: Attempt) -> Receipt | None:
        """Make the others wait. None when it did not help, and the command is to be tried again as any other."""
        plan = attempt.plan
        try:
            receipt = execute_first(
                plan,
                self.recorder.writer,
                lambda: States(self.recorder.reader, most=2**31),
                lambda states: self.session(plan.envelope, states, plan.caller),
            )
        except AlreadyAppended:
            attempt.looked_up = False
            return None
        except (LoadRequired, AlreadyRecorded, *_JUDGED_BY_STATE):
            return None
        if receipt is not None:
            with self._turn:
                for stream in {receipt.stream, plan.stream}:
                    if known := self.states.peek((attempt.tenant_id, stream)):
                        self.states.forget(known)
            self._hint.ring()
        return receipt

    def _do(self, chore: _Chore, attempt: Attempt) -> None:
        before, away = self._away
        if away is not None and attempt.number < before:
            settle([(attempt.submitted, away)])  # it waited while the database was found to be away: that is its answer too
            return
        try:
            chore()
        except LedgerUnavailable as error:
            self._away = next(self._numbers), error
            settle([(attempt.submitted, error)])
        except LedgerError as error:
            settle([(attempt.submitted, error)])

    def _put(self, attempt: Attempt, session: Session) -> None:
        self._appender.put(Append(session.rows, [*session.touched.values()], session.watched(), attempt))

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
            for cached in append.cached:
                if isinstance(cached, CachedStream):
                    self.states.forget(cached)
            attempt, error = _try_of(append), append.error
            if error is not None and (self._closed or not self._may_retry(attempt, error)):
                given_up.append((attempt.submitted, error))
            else:
                attempt.session, attempt.tries, attempt.looked_up = None, attempt.tries + 1, False
                self._hand_over(attempt)
        return given_up

    def _stored(self, append: Append) -> Receipt:
        last = append.rows[-1]
        position = append.first_position + len(append.rows) - 1
        versions = {row.stream: row.version for row in append.rows}
        for cached in append.cached:
            if isinstance(cached, CachedStream) and cached.state.id in versions:
                cached.position, cached.stored = position, versions[cached.state.id]
        session = _try_of(append).session
        events = tuple(session.events) if session else ()
        return Receipt(last.stream, position, last.version, append.recorded_at, len(append.rows), events)

    def _may_retry(self, attempt: Attempt, error: LedgerError) -> bool:
        asked = attempt.plan.envelope.get("expected_version")
        if isinstance(error, AlreadyAppended):
            return attempt.plan.caller is not None  # what was recorded under its key is its answer
        return isinstance(error, VersionConflict) and asked is None and attempt.tries < MOST_TRIES

    # The worker: what could not be decided at once

    def _hand_over(self, attempt: Attempt) -> None:
        """Let the worker decide it, before all that came later. For who has the turn."""
        self._behind[attempt.key] += 1
        self._work.put((attempt.number, attempt))
        if self._worker is None:
            thread = threading.Thread(target=self._work_on, name="runfold-decider", daemon=True)
            thread.start()
            self._worker = thread  # once it runs: an interrupt before that leaves nothing to be waited for

    def _work_on(self) -> None:
        while (attempt := self._work.get()[1]) is not None:
            try:
                if (chore := self._advance(attempt, in_worker=True)) is not None:
                    self._do(chore, attempt)
                    if not attempt.submitted.done():
                        self._work.put((attempt.number, attempt))  # what came earlier may have come back meanwhile
                        continue
                self._appender.wake()
            except Exception as error:
                settle([(attempt.submitted, error)])
            with self._turn:
                self._behind[attempt.key] -= 1
                if not self._behind[attempt.key]:
                    del self._behind[attempt.key]


def _try_of(append: Append) -> Attempt:
    return cast("Attempt", append.facts)  # the executor put it there


def _closed() -> LedgerUnavailable:
    return LedgerUnavailable("the ledger is closed", "open it again", retriable=False)


def _ours(error: LedgerError | ValidationError) -> LedgerError:
    return refusal(error) if isinstance(error, ValidationError) else error
