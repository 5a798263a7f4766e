"""The one way into the log: load what a command looks at, decide, append, and try again when somebody else was first.

Deciding takes no I/O and happens under one lock, so that commands reach the appender in the order in which they were
decided. What must be read first is read outside the lock. A command that cannot be decided at once, because something
must be read or because it lost a race, goes on in a worker thread, in the order in which it came.

What is in memory may be out of date: another process may have written meanwhile. An append notices that by itself. A
command that appends nothing, because it is refused or has nothing new to say, is therefore answered only after the
database was asked whether the streams are where they were believed to be.
"""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from runfold.commands.answers import IN_FLIGHT_SECONDS, Answers
from runfold.commands.appended import attempt_of, may_retry, receipt_of
from runfold.commands.backlog import Backlog
from runfold.commands.cached_streams import CachedStream, CachedStreams, LoadRequired
from runfold.commands.caller import Caller, Envelope, metadata_of
from runfold.commands.plan import Attempt, Plan, itself
from runfold.commands.priority import append_alone, execute_first
from runfold.commands.revoked_keys import RevokedKeys
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt, Submitted, settle
from runfold.commands.thread_heads import ThreadHeads
from runfold.domain.event import AlreadyRecorded, refusal
from runfold.domain.values import Actor
from runfold.errors import (
    AlreadyAppended,
    CommandRefused,
    LedgerClosed,
    LedgerError,
    LedgerUnavailable,
    NotFound,
    VersionConflict,
)
from runfold.settings import Settings
from runfold.store.appending.appender import Appender
from runfold.store.appending.appends import Append
from runfold.store.codec import Limits, StreamKey
from runfold.store.hint import Hint
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader
from runfold.store.recorder import Recorder
from runfold.store.sealed_secrets import SealedSecrets

T = TypeVar("T")

PATIENCE = 5
"""Races that a command loses before it makes the others wait."""

_Preparation = Callable[[], None]
"""What must be done before a command is decided, or decided again. It takes the database."""
_JUDGED_BY_STATE = (CommandRefused, NotFound, VersionConflict)


class CommandExecutor:
    """Carries out all commands of this process."""

    def __init__(self, recorder: Recorder, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.recorder = recorder
        self.clock = clock
        self.caller = Caller(settings.tenant, Actor.parse(settings.actor))
        self.limits = Limits(settings.max_string_bytes, settings.max_event_bytes)
        self.states = CachedStreams(recorder.reader, settings.cached_streams)
        self.heads = ThreadHeads()
        self.revoked_keys = RevokedKeys()
        self.sealed_secrets = SealedSecrets(settings.webhook_key_file, recorder.store)
        """What is sent to webhooks is signed with these."""
        self.addresses = settings.address_rules
        """Says where callers may have something sent."""
        self._default_metadata = metadata_of({}, self.caller)
        self._hint = Hint(recorder.store)
        self.appender = Appender(recorder.writer, self._settle, settings.queue_size)
        """It stores what is decided, for all commands of this process at once, and counts what it does."""
        self._told_of_stored: tuple[Callable[[Sequence[Append]], object], ...] = ()
        self._turn = threading.Lock()
        self.answers = Answers(recorder.reader, self.states, self._turn)
        self.backlog = Backlog(self._turn, self._bring_forward)
        self._numbers = itertools.count()
        self._closed = False
        self._is_outdated = False
        self._away: tuple[int, LedgerUnavailable | None] = (0, None)
        """When the database was last found to be away, in numbers of commands, and what was said of it."""

    def execute(self, plan: Plan[T]) -> T:
        """Carry out a command and wait until its events are durable. Raises LedgerError."""
        submitted = Submitted(plan.answer, self.appender.hurry)
        attempt = self._begin(plan, submitted)
        while not submitted.done() and (preparation := self._advance(attempt)):
            self._prepare(preparation, attempt)
        if not submitted.done():  # who is refused does not wait for what others append
            self.appender.help()
        return submitted.result()

    def submit(self, plan: Plan[T]) -> Submitted[T]:
        """Carry out a command without waiting for it. Never blocks on the database."""
        submitted = Submitted(plan.answer, self.appender.hurry)
        attempt = self._begin(plan, submitted)
        if self._advance(attempt) is None:
            self.appender.wake()
        else:
            with self._turn:
                self.backlog.add(attempt)
        return submitted

    def append(self, session: Session) -> Receipt:
        """Store what a batch collected, all or nothing, and wait for it. Raises VersionConflict where others were first."""
        submitted: Submitted[Receipt] = self._put_collected(session, itself)
        self.appender.help()
        return submitted.result()

    def submit_collected(self, session: Session, answer: Callable[[Receipt], T]) -> Submitted[T]:
        """Do the same without waiting for it: others' batches that come now are stored with it."""
        submitted = self._put_collected(session, answer)
        self.appender.send()
        return submitted

    def append_alone(self, session: Session, require: Callable[[], None]) -> Receipt:
        """Do the same while nobody else appends, if what is required then holds. Raises what `require` raises."""
        with self._turn:
            if self._closed:
                raise LedgerClosed
        receipt = append_alone(session, self.recorder.writer, require)
        for cached in session.touched.values():
            cached.position, cached.stored = receipt.position, cached.state.version
        self._hint.ring()
        return receipt

    @property
    def is_deciding(self) -> bool:
        """Return whether who comes now would have to wait until another command is decided."""
        return self._turn.locked()

    def take(self, key: StreamKey) -> CachedStream | None:
        """Hand over a state that is in memory and not out of date: its taker may change it, and others read the log."""
        with self._turn:
            cached = self.states.take(key)
        tenant_id, stream = key
        while cached is not None and not cached.dead:
            stored, _ = TenantReader.of(self.recorder.reader, tenant_id).ends([stream]).get(stream, (0, 0))
            if cached.state.version <= stored:
                return cached if cached.state.version == stored else None
            time.sleep(IN_FLIGHT_SECONDS)  # some of it is still on its way
        return None

    def give_back(self, states: CachedStreams) -> None:
        """Keep the states that a batch has finished with."""
        with self._turn:
            for cached in states.all():
                self.states.keep(cached)

    def forget_states(self) -> None:
        """Believe no state that is in memory: the log may be another. It waits for nobody."""
        self._is_outdated = True
        self.heads.forget()

    def tell_stored(self, told: Callable[[Sequence[Append]], object]) -> Callable[[], None]:
        """Have it called with the commands of each batch, answered, until what is returned is called: by the thread that appends,
        so it must not wait.
        """
        with self._turn:
            self._told_of_stored += (told,)

        def tell_no_more() -> None:
            with self._turn:
                self._told_of_stored = tuple(each for each in self._told_of_stored if each is not told)

        return tell_no_more

    def close(self) -> None:
        """Store what waits, answer everybody, and give the connections back."""
        with self._turn:
            self._closed = True
        self.backlog.close()
        self.appender.close()
        self._hint.close()
        self.recorder.close()

    def session(
        self, envelope: Envelope, states: CachedStreams | None = None, caller: Caller | None = None, reader: Reader | None = None
    ) -> Session:
        """Return a session, in which a command looks at states and records events."""
        states, reader = states or self.states, reader or self.recorder.reader
        if caller is None and not envelope:
            return Session(states, reader, self.limits, self.caller, self._default_metadata, self.heads)
        caller = caller or self.caller
        return Session(states, reader, self.limits, caller.acting(envelope), metadata_of(envelope, caller), self.heads)

    # Deciding

    def _begin(self, plan: Plan[Any], submitted: Submitted[Any]) -> Attempt:
        return Attempt(plan, submitted, next(self._numbers), ((plan.caller or self.caller).tenant_id, plan.stream))

    def _advance(self, attempt: Attempt, *, in_backlog: bool = False) -> _Preparation | None:
        """Decide with what is in memory. None when it is on its way or answered; else what must be done before the next try."""
        try:
            goes_first = in_backlog and (attempt.plan.expects or attempt.tries >= PATIENCE)
            if goes_first and (receipt := self._execute_first(attempt)):
                settle([(attempt.submitted, receipt)])
                return None
            with self._turn:
                if in_backlog:
                    return self._decide(attempt)
                if self._closed:
                    raise LedgerClosed
                if attempt.key not in self.backlog.waiting and not attempt.plan.expects:
                    return self._decide(attempt)
                self.backlog.add(attempt)
        except LoadRequired as missing:
            return missing.load
        except AlreadyRecorded as recorded:
            return partial(self.answers.as_recorded, attempt, recorded)
        except ValidationError as error:
            settle([(attempt.submitted, refusal(error))])
        except LedgerError as error:
            settle([(attempt.submitted, error)])
        return None

    def _decide(self, attempt: Attempt) -> _Preparation | None:
        plan, caller = attempt.plan, attempt.plan.caller
        if caller is not None and caller.key is not None and not attempt.looked_up:
            acting = caller.acting(plan.envelope)
            raise LoadRequired(lambda: self.answers.look_up(attempt, acting))
        if self._is_outdated:
            self._is_outdated = False
            for cached in self.states.all():
                self.states.forget(cached)
            self.states.pasts.forget()
        session = attempt.session = attempt.session or self.session(plan.envelope, caller=plan.caller)
        self.appender.queue.require_room()
        refused: LedgerError | None = None
        try:
            plan.decide(session)
        except _JUDGED_BY_STATE as error:
            refused = error.with_traceback(None)  # which leads here: in that circle a refusal that is not told would stay
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
                lambda: CachedStreams(self.recorder.reader, most=2**31),
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
                    if cached := self.states.peek((attempt.tenant_id, stream)):
                        self.states.forget(cached)
            self._hint.ring()
        return receipt

    def _bring_forward(self, attempt: Attempt) -> bool:
        """Decide a command of the backlog. False where it was only prepared for, and must be decided anew."""
        if (preparation := self._advance(attempt, in_backlog=True)) is not None:
            self._prepare(preparation, attempt)
            if not attempt.submitted.done():
                return False
        self.appender.wake()
        return True

    def _prepare(self, preparation: _Preparation, attempt: Attempt) -> None:
        before, away = self._away
        if away is not None and attempt.number < before:
            settle([(attempt.submitted, away)])  # it waited while the database was found to be away: that is its answer too
            return
        try:
            preparation()
        except LedgerUnavailable as error:
            self._away = next(self._numbers), error
            settle([(attempt.submitted, error)])
        except LedgerError as error:
            settle([(attempt.submitted, error)])

    def _put_collected(self, session: Session, answer: Callable[[Receipt], T]) -> Submitted[T]:
        submitted, plan = Submitted(answer, self.appender.hurry), Plan("", lambda _: None, answer, {"expected_version": 0})
        with self._turn:
            if self._closed:
                raise LedgerClosed
            self.appender.queue.require_room()
            attempt = self._begin(plan, submitted)
            attempt.session = session
            self._put(attempt, session)
        return submitted

    def _put(self, attempt: Attempt, session: Session) -> None:
        self.appender.queue.put(Append(session.rows, [*session.touched.values()], session.watched(), session.events, attempt))

    # Settling: the appender's thread calls this for every batch

    def _settle(self, batch: list[Append]) -> None:
        failed: list[Append] = []
        outcomes: list[tuple[Submitted[Any], Receipt | BaseException]] = []
        for append in batch:
            if append.error is None:
                outcomes.append((attempt_of(append).submitted, receipt_of(append)))
            else:
                failed.append(append)
        stored = bool(outcomes)
        if failed:
            with self._turn:  # all at once, so that no later command can be decided between
                outcomes += self._give_up_or_retry([*failed, *self.appender.queue.withdraw_void()])
        settle(outcomes)
        if stored:
            for told in self._told_of_stored:
                told(batch)
            self._hint.ring()

    def _give_up_or_retry(self, failed: list[Append]) -> list[tuple[Submitted[Any], BaseException]]:
        given_up: list[tuple[Submitted[Any], BaseException]] = []
        for append in failed:
            for cached in append.cached:
                if isinstance(cached, CachedStream):
                    self.states.forget(cached)
            attempt, error = attempt_of(append), append.error
            if error is not None and (self._closed or not may_retry(attempt, error)):
                given_up.append((attempt.submitted, error))
            else:
                attempt.session, attempt.tries, attempt.looked_up = None, attempt.tries + 1, False
                self.backlog.add(attempt)
        return given_up
