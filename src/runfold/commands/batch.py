"""Many commands, one transaction: all of them are recorded, or none."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from runfold.commands.answers import require_same
from runfold.commands.cached_streams import CachedStreams, LoadRequired
from runfold.commands.caller import Caller, metadata_of
from runfold.commands.executor import CommandExecutor
from runfold.commands.plan import HeadName, Plan
from runfold.commands.session import Session
from runfold.commands.stored_parts import StoredParts
from runfold.commands.submitted import Receipt, Submitted, known
from runfold.commands.thread_heads import GrowingHeads
from runfold.domain.event import AlreadyRecorded, is_of_type, refusal
from runfold.domain.recorded import Recorded
from runfold.errors import CommandRefused, LedgerError, LedgerUnavailable, UsageError
from runfold.store.appending.told import told_of_recorded
from runfold.store.codec import StreamKey, as_recorded
from runfold.store.datastore import Datastore
from runfold.store.reading.reader import LATEST, TREE_TYPES, TenantReader
from runfold.store.unlocked import Row

T = TypeVar("T")

_AFTER_ALL = 2**61
_TREE = ""
"""No stream has this name."""


class ReaderWithNew(TenantReader):
    """Reads the log as it will be once the batch is stored: what is collected stands after all that is recorded."""

    def __init__(self, datastore: Datastore, batch: "CommandBatch") -> None:
        super().__init__(datastore, batch.tenant_id)
        self._batch = batch

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> Sequence[Row]:
        """Do what `Reader.rows` says, with all that was submitted. Raises LedgerError."""
        self._batch.parts.wait()
        return super().rows(query, parameters)

    def stream(
        self,
        stream: str,
        *,
        after_version: int = 0,
        up_to_version: int = LATEST,
        up_to: int = LATEST,
        types: tuple[str, ...] = (),
    ) -> Iterator[Recorded]:
        """Return a stream's events in order, the collected ones last."""
        if not self._batch.is_unstored(stream):
            yield from super().stream(stream, after_version=after_version, up_to_version=up_to_version, up_to=up_to, types=types)
        for recorded in self._batch.collected_of(stream):
            wanted = not types or any(is_of_type(recorded.type, name) for name in types)
            if after_version < recorded.version <= up_to_version and wanted:
                yield recorded

    def tree(self, thread_id: str, *, after: int = 0, up_to: int = LATEST) -> list[Recorded]:
        """Return the events that shape a thread's tree, the collected ones last."""
        stored = self.recorded_tree(thread_id, after, up_to)
        return stored + [new for new in self._batch.collected_of_tree() if new.thread_id == thread_id]

    def recorded_tree(self, thread_id: str, after: int = 0, up_to: int = LATEST) -> list[Recorded]:
        """Return those of them that the log has."""
        return [] if self._batch.is_unstored(thread_id) else super().tree(thread_id, after=after, up_to=up_to)


class CommandBatch:
    """Collects commands, and stores them together. A refused one leaves the batch as it was, and may be caught."""

    def __init__(self, executor: CommandExecutor, caller: Caller, *, new_thread: str | None = None) -> None:
        """Nothing of a `new_thread` is looked for in the log: where it is there, storing raises VersionConflict.

        Nor are its states kept for others, who are not expected to go on with it at once.
        """
        self._executor, self._caller = executor, caller
        self._new_thread = new_thread
        self._has_stored = False
        self.tenant_id = caller.tenant_id
        self.reader = ReaderWithNew(executor.recorder.store, self)
        is_new = None if new_thread is None else self._is_new
        self._states = CachedStreams(executor.recorder.reader, most=2**31, take=executor.take, is_new=is_new)
        self._session = self._new_session()
        self._default_metadata = self._session.metadata
        self.parts = StoredParts()
        """What became of what was stored, or is on its way."""
        self._heads: dict[HeadName, str | None] = {}
        """Those of which a command expects something, and where they were before it."""
        self._places: dict[str, list[int]] = {}
        """Where the collected events of a stream stand among all; those that shape a tree under `_TREE`."""
        self._placed = 0
        """How many of what is collected have a place there: they get it when somebody looks."""

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
            ours = refusal(error) if isinstance(error, ValidationError) else error
            if len(session.rows) != before:
                self.parts.fail(ours)  # half of the command is in the states: they are no longer to be believed
            raise ours from None
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

    def is_unstored(self, stream: str) -> bool:
        """Return whether the log has nothing of a stream, because its thread is new and still to be stored."""
        return self._new_thread is not None and not self._has_stored and self._is_new((self.tenant_id, stream))

    def collected(self) -> Iterator[Recorded]:
        """Return what is collected, as if it were recorded now, after everything else."""
        return self._collected_at(range(len(self._session.rows)))

    def collected_of(self, stream: str) -> Iterator[Recorded]:
        """Return what is collected of one stream."""
        return self._collected_at(self._places_of(stream))

    def collected_of_tree(self, after: int = 0) -> Iterator[Recorded]:
        """Return what is collected of the events that shape a tree, after so many of them."""
        return self._collected_at(self._places_of(_TREE)[after:])

    def _collected_at(self, places: Iterable[int]) -> Iterator[Recorded]:
        session, now = self._session, self._executor.clock()
        for place in places:
            row, event = session.rows[place], session.events[place]
            yield Recorded(
                _AFTER_ALL + place,
                row.stream,
                row.version,
                event,
                row.event_id,
                row.tenant_id,
                row.thread_id,
                now,
                row.schema_version,
                row.context,
                row.metadata,
            )

    def _new_session(self) -> Session:
        session = self._executor.session({}, self._states, self._caller, self.reader)
        tenant_id, known_heads, log = self.tenant_id, self._executor.heads, self.reader.recorded_tree
        session.heads_of = GrowingHeads(
            lambda thread_id: known_heads.found(tenant_id, thread_id, partial(log, thread_id)), self.collected_of_tree
        ).of
        return session

    def _begin_anew(self) -> None:
        self._session, self._heads, self._places, self._placed = self._new_session(), {}, {}, 0
        self._has_stored = True

    def _log(self) -> TenantReader:
        """Return what reads the log alone, with all that was submitted."""
        self.parts.wait()
        return self._executor.recorder.reader.of(self.tenant_id)

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

    def _is_new(self, key: StreamKey) -> bool:
        """A run or an approval is of the new thread; another thread may be there."""
        return key[1] == self._new_thread or not key[1].startswith("thread_")

    def _places_of(self, stream: str) -> Sequence[int]:
        rows = self._session.rows
        for place in range(self._placed, len(rows)):
            row = rows[place]
            self._places.setdefault(row.stream, []).append(place)
            if row.type in TREE_TYPES:
                self._places.setdefault(_TREE, []).append(place)
        self._placed = len(rows)
        return self._places.get(stream, ())

    def _recorded_before(self, repeated: AlreadyRecorded, before: int) -> Receipt:
        """`before` is how much was collected before the command that repeats something."""
        session, places = self._session, self._places_of(repeated.stream)
        nth = repeated.version - session.rows[places[0]].version if places else -1  # a stream's versions follow each other
        if 0 <= nth < len(places) and places[nth] < before:
            require_same(repeated, session.events[places[nth]])
            return Receipt(repeated.stream, 0, repeated.version, None, 0)
        (found,) = self._log().stream(repeated.stream, after_version=repeated.version - 1, up_to_version=repeated.version)
        require_same(repeated, found.event)
        told = partial(told_of_recorded, [found])
        return Receipt(repeated.stream, found.position, found.version, found.recorded_at, 0, told_by=told)
