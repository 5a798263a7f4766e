"""The ledger as one caller sees it: where handles come from, and what can be read."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar, Unpack

from runfold.commands.batch import BatchExecutor
from runfold.commands.caller import Caller, Envelope
from runfold.commands.executor import CommandExecutor
from runfold.commands.plan import Plan
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt, Submitted
from runfold.domain.event import Context, Recorded
from runfold.domain.security import AUDITED
from runfold.domain.thread import Thread as ThreadState
from runfold.domain.thread import ThreadCreated
from runfold.domain.values import ThreadId
from runfold.feed.subscription import Subscription
from runfold.feed.tail import Tail
from runfold.handles.approval import Approval
from runfold.handles.command import Entrance, Handle, checked_id, command, submitting
from runfold.handles.keys import Keyring
from runfold.handles.made_ids import Ids
from runfold.handles.run import Run
from runfold.handles.thread import Thread
from runfold.queries.past import MOST_EVENTS, Whole
from runfold.queries.reading import Reading, parse_moment
from runfold.store import epochs
from runfold.store.cursor import Place, cursor_of
from runfold.store.reader import LATEST, Filter, Head

T = TypeVar("T")


class Writing(Handle):
    """Where handles come from: the ledger, or a batch of it."""

    def __init__(self, executor: Entrance) -> None:
        super().__init__("ledger", executor)

    @command
    def create_thread(
        self,
        *,
        agent_id: str | None = None,
        user_id: str | None = None,
        title: str | None = None,
        metadata: dict[str, Any] | None = None,
        external_ref: str | None = None,
        thread_id: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Thread]:
        """Begin a conversation. `agent_id` runs it where a run names nobody; `external_ref` is its id elsewhere."""
        created = ThreadCreated(
            agent_id=agent_id, user_id=user_id, title=title, metadata=metadata or {}, external_ref=external_ref
        )
        created_id = checked_id(ThreadId, "thread_id", thread_id) if thread_id else self._executor.new_id("thread")

        def decide(session: Session) -> None:
            thread = session.new(ThreadState, created_id)
            session.begin(thread, thread.create(created), created_id, Context(agent_id=agent_id, user_id=user_id))

        return Plan(created_id, decide, lambda receipt: Thread(created_id, self._executor, receipt), envelope)

    submit_create_thread = submitting(create_thread)

    def thread(self, thread_id: str) -> Thread:
        """The handle of a thread. Whether there is one shows when it is used."""
        return Thread(thread_id, self._executor)

    def run(self, run_id: str) -> Run:
        """The handle of a run. Whether there is one shows when it is used."""
        return Run(run_id, self._executor)

    def approval(self, approval_id: str) -> Approval:
        """The handle of an approval. Whether there is one shows when it is used."""
        return Approval(approval_id, self._executor)


class Batch(Writing):
    """Many commands in one transaction: all recorded at the end, or none. A refused one may be caught; the rest goes on."""

    def __init__(self, executor: BatchExecutor) -> None:
        super().__init__(executor)
        self._collected = executor
        self.receipt: Receipt | None = None
        self.appended = 0

    def __len__(self) -> int:
        return len(self._collected)

    def store(self) -> Receipt | None:
        """Append what was collected so far, and go on collecting. Raises VersionConflict where others were first."""
        self.appended += len(self._collected)
        self.receipt = self._collected.store() or self.receipt
        return self.receipt

    def as_recorded(self, made: T, receipt: Receipt) -> T:
        """What a command of the batch made, with the ids that were given when it was recorded before."""
        return self._collected.ids.as_recorded(made, receipt)

    def finish(self) -> None:
        """Store the rest. `with ledger.batch()` does it."""
        self.store()
        self._collected.finish()


class CallerExecutor:
    """The executor, for one caller: their tenant, their name, and the key under which they may ask again."""

    def __init__(self, executor: CommandExecutor, caller: Caller) -> None:
        self._executor, self.caller = executor, caller
        self.reader, self.clock = executor.recorder.reader.of(caller.tenant_id), executor.clock
        self.actor, self.tenant_id = caller.actor, caller.tenant_id
        self._ids = Ids(caller)

    def reading(self, moment: int | datetime | None = None) -> Reading:
        """The ledger as it stands, or stood."""
        return Reading(self.reader, self.tenant_id).at(moment)

    def new_id(self, prefix: str) -> str:
        """An id for what a command creates."""
        return self._ids.new(prefix)

    def execute(self, plan: Plan[T]) -> T:
        """Carry out a command and wait."""
        return self._executor.execute(self._asked(plan))

    def submit(self, plan: Plan[T]) -> Submitted[T]:
        """Carry out a command without waiting."""
        return self._executor.submit(self._asked(plan))

    def _asked(self, plan: Plan[T]) -> Plan[T]:
        def answer(receipt: Receipt) -> T:
            return self._ids.as_recorded(plan.answer(receipt), receipt)

        return plan._replace(caller=self.caller, answer=answer)


class TenantLedger(Writing, Keyring):
    """Where one caller is served: commands, batches, questions, subscriptions, all of one tenant."""

    def __init__(self, executor: CommandExecutor, tail: Tail, whole: Whole, caller: Caller | None = None) -> None:
        """`Ledger.open` makes the ledger's own, and `Ledger.on_behalf` one for somebody else."""
        self._own_executor, self._tail, self._whole = executor, tail, whole
        self.caller = caller or executor.caller
        super().__init__(executor if caller is None else CallerExecutor(executor, caller))
        self._reading = Reading(executor.reader, self.caller.tenant_id)

    @contextlib.contextmanager
    def batch(self, *, clock: Callable[[], datetime] | None = None) -> Iterator[Batch]:
        """Many commands in one transaction, stored when the block ends without an error.

        `clock` says by what time they are judged, where they were given elsewhere before: what is past `expires_at` is late.
        """
        batch = Batch(BatchExecutor(self._own_executor, self.caller, clock))
        yield batch
        batch.finish()

    def recorded_under_key(self) -> Receipt | None:
        """What was recorded under the caller's idempotency key, if anything was.

        Raises KeyReused when something else was asked then.
        """
        return self._own_executor.answers.recorded_under(self.caller)

    # Reading

    def at(self, moment: int | datetime | str, *, most_events: int = MOST_EVENTS) -> Reading:
        """The ledger as it stood at a position, or at a time of the store (an aware datetime, or RFC 3339 text).

        What belongs to a thread or a run is folded from that thread's events. A question about all of them is answered from
        read models that are prepared as of then. Where there are none, the owner of the ledger has them made, from at most
        `most_events` events, and kept for as long as they are used; anybody else is told so (MomentNotPrepared).
        Raises UsageError for a position beyond the head.
        """
        return self._reading.at(parse_moment(moment) if isinstance(moment, str) else moment, most_events, self._whole)

    @property
    def now(self) -> Reading:
        """The ledger as it stands."""
        return self._reading

    def events(
        self,
        *,
        after: Place = 0,
        up_to: int | None = None,
        limit: int = 1000,
        types: Sequence[str] = (),
        thread_id: str | None = None,
        run_id: str | None = None,
    ) -> list[Recorded]:
        """A page of events after a position or a cursor, in order. A type may end in `.*`. Raises HistoryChanged, UsageError."""
        wanted = self.filter(types, thread_id, run_id)
        position = epochs.position_of(self._reading.reader, after)
        return self._reading.reader.page(wanted, after=position, up_to=LATEST if up_to is None else up_to, limit=limit)

    def subscribe(
        self,
        *,
        after: Place = 0,
        types: Sequence[str] = (),
        thread_id: str | None = None,
        run_id: str | None = None,
        follow: bool = True,
    ) -> Subscription:
        """The events after a position or a cursor, in order, each once, and then the new ones as they come.

        A type may end in `.*`. Raises UsageError for what is no cursor; the subscription raises HistoryChanged where the ledger
        was put back to before what a cursor, or the subscription itself, has seen.
        """
        wanted = self.filter(types, thread_id, run_id)
        return Subscription(self._reading.reader, self._tail, wanted, after=after, follow=follow)

    def position(self) -> int:
        """The last position."""
        return self.head().position

    def head(self) -> Head:
        """The last position, its time, and the history that it is of."""
        return self._own_executor.reader.head()

    def cursor(self, position: int | None = None) -> str:
        """A position of the present history, the last one if none is given, as a cursor: `1234@1f2e3d4c`."""
        head = self.head()
        return cursor_of(head.position if position is None else position, head.epoch)

    def filter(self, types: Sequence[str] = (), thread_id: str | None = None, run_id: str | None = None) -> Filter:
        """Which events of this tenant are wanted, of those that the caller may see.

        Those of a run are looked for in its thread, for which there is an index.
        """
        if run_id is not None and thread_id is None:
            created = next(self._reading.reader.stream(run_id, up_to_version=1), None)
            thread_id = created.thread_id if created else None
        without = () if self.caller.may("audit:read") else AUDITED
        return Filter(thread_id=thread_id, run_id=run_id, tenant_id=self.caller.tenant_id, types=tuple(types), without=without)
