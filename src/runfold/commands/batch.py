"""Many commands, one transaction: all of them are recorded, or none."""

from collections.abc import Iterator
from functools import partial
from typing import TypeVar

from pydantic import ValidationError

from runfold.commands.answers import require_same
from runfold.commands.cached_streams import CachedStreams, LoadRequired
from runfold.commands.caller import Caller, metadata_of
from runfold.commands.collected import Collected, ReaderWithNew, is_of_new_thread
from runfold.commands.executor import CommandExecutor
from runfold.commands.plan import HeadName, Plan
from runfold.commands.session import Session
from runfold.commands.stored_parts import StoredParts
from runfold.commands.submitted import Receipt, Submitted, known
from runfold.commands.thread_heads import GrowingHeads
from runfold.domain.event import AlreadyRecorded, refusal
from runfold.domain.recorded import Recorded
from runfold.errors import CommandRefused, LedgerError, LedgerUnavailable, UsageError
from runfold.store.appending.told import told_of_recorded
from runfold.store.codec import as_recorded
from runfold.store.reading.tenant_reader import TenantReader

T = TypeVar("T")


class CommandBatch:
    """Collects commands, and stores them together. A refused one leaves the batch as it was, and may be caught."""

    def __init__(self, executor: CommandExecutor, caller: Caller, *, new_thread: str | None = None) -> None:
        """Nothing of a `new_thread` is looked for in the log: where it is there, storing raises VersionConflict.

        Nor are its states kept for others, who are not expected to go on with it at once.
        """
        self._executor, self._caller = executor, caller
        self._new_thread = new_thread
        self.tenant_id = caller.tenant_id
        self.parts = StoredParts()
        """What became of what was stored, or is on its way."""
        is_new = None if new_thread is None else partial(is_of_new_thread, new_thread)
        self.reader = ReaderWithNew(executor.recorder.store, self.tenant_id, self.parts, is_new)
        self._states = CachedStreams(executor.recorder.reader, most=2**31, take=executor.take, is_new=is_new)
        self._session = self._new_session()
        self._default_metadata = self._session.metadata
        self._heads: dict[HeadName, str | None] = {}
        """Those of which a command expects something, and where they were before it."""

    def __len__(self) -> int:
        return len(self._session.rows)

    def execute(self, plan: Plan[T]) -> T:
        """Decide a command on the states as the batch has left them. Raises LedgerError."""
        self.parts.require_open()
        session, head = self._session, plan.expects
        before = len(session.rows)
        stood_at = self._recorded_at(head) if head and head not in self._heads else None
        try:
            session.next_command(metadata_of(plan.envelope, self._caller) if plan.envelope else self._default_metadata)
            receipt = self._decide(plan, session, before)
        except (LedgerError, ValidationError) as error:
            if len(session.rows) != before:
                self.parts.fail(_ours(error))  # half of the command is in the states: they are no longer to be believed
            raise _ours(error) from None
        if head:  # of a refused command nothing stays
            self._heads.setdefault(head, stood_at)
        return plan.answer(receipt)

    def store(self) -> None:
        """Append what was collected, all or nothing, and begin anew.

        Raises VersionConflict when somebody else wrote to one of the streams meanwhile, and CommandRefused when a head of which
        a command expects something was moved; and what a part that was submitted failed with. The batch is void then.
        """
        self.parts.wait()
        if not self._session.rows:
            return
        try:
            executor, session = self._executor, self._session
            receipt = executor.append_alone(session, self._require_heads) if self._heads else executor.append(session)
        except LedgerError as error:
            self.parts.fail(error)
            raise
        self.parts.take(receipt)
        self._begin_anew()

    def submit_store(self) -> Submitted[Receipt | None]:
        """Have what was collected stored without waiting for it, and go on collecting on top of it.

        One part is on its way at a time: the one before is waited for, and what expects something of a head is stored here and
        now. Raises as `store`.
        """
        if self._heads or not self._session.rows:
            self.store()
            return known(self.parts.receipt)
        self.parts.wait()
        try:
            part = self.parts.submit(partial(self._executor.submit_collected, self._session))
        except LedgerError as error:
            self.parts.fail(error)
            raise
        self._begin_anew()
        return part

    def submit(self) -> Submitted[list[Recorded]]:
        """Have what was collected stored, which is the end of the batch, and do not wait for it.

        The answer is what was stored, as the log has it; then the states are kept for who goes on. Raises as `store`.
        """
        self.parts.wait()
        if self._heads:
            raise UsageError("what expects something of a head is stored while nobody else appends; call `store`")
        session = self._session
        self.parts.fail(LedgerUnavailable("the batch has ended", "begin another", retriable=False))

        def recorded(receipt: Receipt) -> list[Recorded]:
            self._executor.give_back(self._states)
            at = receipt.recorded_at
            assert at is not None, "it is stored"  # noqa: S101
            stored = enumerate(zip(session.rows, session.events, strict=True), receipt.position - len(session.rows) + 1)
            return [as_recorded(row, position, at, event) for position, (row, event) in stored]

        return self._executor.submit_collected(session, recorded)

    def finish(self) -> None:
        """Store the rest, and give the states back."""
        self.store()
        if self._new_thread is None:
            self._executor.give_back(self._states)

    def forget(self) -> None:
        """Forget what was collected: whoever asks in the batch from now on is told what the log has."""
        self._begin_anew()

    def collected(self) -> Iterator[Recorded]:
        """Return what is collected, as if it were recorded now, after everything else."""
        return self.reader.collected.all()

    def _new_session(self) -> Session:
        session = self._executor.session({}, self._states, self._caller, self.reader)
        collected = self.reader.collected = Collected(session.rows, session.events, self._executor.clock)
        tenant_id, known_heads, log = self.tenant_id, self._executor.heads, self.reader.recorded_tree
        session.heads_of = GrowingHeads(
            lambda thread_id: known_heads.found(tenant_id, thread_id, partial(log, thread_id)), collected.of_tree
        ).of
        return session

    def _begin_anew(self) -> None:
        self._session, self._heads = self._new_session(), {}
        self.reader.is_unstored = None

    def _log(self) -> TenantReader:
        """Return what reads the log alone, with all that was submitted."""
        self.parts.wait()
        return TenantReader.of(self._executor.recorder.reader, self.tenant_id)

    def _recorded_at(self, head: HeadName) -> str | None:
        """Return the run that a head is at in the log."""
        return self._executor.heads.of(self._log(), head.thread_id).get(head.name)

    def _require_heads(self) -> None:
        for head, before in self._heads.items():
            if (now := self._recorded_at(head)) != before:
                rule = f"the batch expects it at {before or 'no run'}; begin another"
                raise CommandRefused("store", head.thread_id, rule, f"with head {head.name!r} at {now or 'no run'}")

    def _decide(self, plan: Plan[T], session: Session, before: int) -> Receipt:
        while True:
            try:
                plan.decide(session)
            except LoadRequired as missing:
                if len(session.rows) != before:
                    raise UsageError(f"the command on {plan.stream} must look before it records") from None
                missing.load()
            except AlreadyRecorded as repeated:
                return self._recorded_before(repeated, before)
            else:
                added = len(session.rows) - before
                if not added:
                    return Receipt(plan.stream, 0, 0, None, 0)
                last = session.rows[-1]
                return Receipt(last.stream, 0, last.version, None, added, tuple(session.events[before:]))

    def _recorded_before(self, repeated: AlreadyRecorded, before: int) -> Receipt:
        """`before` is how much was collected before the command that repeats something."""
        session, places = self._session, self.reader.collected.places_of(repeated.stream)
        nth = repeated.version - session.rows[places[0]].version if places else -1  # a stream's versions follow each other
        if 0 <= nth < len(places) and places[nth] < before:
            require_same(repeated, session.events[places[nth]])
            return Receipt(repeated.stream, 0, repeated.version, None, 0)
        (found,) = self._log().stream(repeated.stream, after_version=repeated.version - 1, up_to_version=repeated.version)
        require_same(repeated, found.event)
        told = partial(told_of_recorded, [found])
        return Receipt(repeated.stream, found.position, found.version, found.recorded_at, 0, told_by=told)


def _ours(error: LedgerError | ValidationError) -> LedgerError:
    return refusal(error) if isinstance(error, ValidationError) else error
