"""The executors of handles where the database is: that of one caller, and that of a batch."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar

from runfold.commands.batch import CommandBatch
from runfold.commands.caller import Caller
from runfold.commands.executor import CommandExecutor
from runfold.commands.plan import Plan, planned
from runfold.commands.stored_parts import StoredParts
from runfold.commands.submitted import Receipt, Submitted
from runfold.domain.recorded import Recorded
from runfold.domain.security import Scope
from runfold.errors import DuplicateWithDifferentContent, InvalidEvent, UsageError
from runfold.handles.calling.created_ids import CreatedIds
from runfold.method_call import MethodCall
from runfold.queries.reading import Reading, local_reading
from runfold.queries.sources.source import Fold, fold_nothing
from runfold.store.reading.tenant_reader import TenantReader

T = TypeVar("T")


class CallerExecutor:
    """Carries out the commands of one caller: in their tenant, in their name, under the key under which they may ask again."""

    is_import = False

    def __init__(
        self, commands: CommandExecutor, caller: Caller | None = None, clock: Callable[[], datetime] | None = None
    ) -> None:
        """Serve a caller, or the ledger's own, by a clock of theirs if they have one. Raises UsageError for an invalid tenant."""
        self.commands = commands
        self._clock = clock
        self.caller = caller or commands.caller
        self.actor, self.tenant_id = self.caller.actor, self.caller.tenant_id
        self.ledger_identity = commands, self.tenant_id
        self.reader = TenantReader.of(commands.recorder.reader, self.tenant_id)
        self._is_own = caller is None
        self._ids = CreatedIds(self.caller)

    def clock(self) -> datetime:
        """Return the time by which commands are judged."""
        return self.commands.clock() if self._clock is None else self._clock()

    def require_scope(self, scope: Scope) -> None:
        """Raise ScopeMissing where the caller may not do what a scope is for."""
        self.caller.require(scope)

    def require_address(self, url: str, path: str) -> None:
        """Raise InvalidEvent where nothing may be sent to an address; `path` says what it is given as."""
        self.commands.addresses.read(url, path)

    def new_id(self, prefix: str) -> str:
        """Return an id for what a command creates."""
        return self._ids.new(prefix)

    def reading(self, moment: int | datetime | None = None, fold: Fold = fold_nothing) -> Reading:
        """Return the questions, as the ledger stands or stood; `fold` may bring on read models that one could not be asked of."""
        return local_reading(self.reader, self.tenant_id, fold).at(moment)

    def execute(self, call: MethodCall[Plan[T]]) -> T:
        """Carry out a command and wait until it is durable. Raises LedgerError."""
        plan = planned(call)
        return self.commands.execute(plan if self._is_own else self._of_caller(plan))

    def submit(self, call: MethodCall[Plan[T]]) -> Submitted[T]:
        """Carry out a command without waiting for it. Raises InvalidEvent."""
        plan = planned(call)
        return self.commands.submit(plan if self._is_own else self._of_caller(plan))

    def execute_plan(self, plan: Plan[T]) -> T:
        """Carry out what is planned and wait until it is durable. Raises LedgerError."""
        return self.commands.execute(self._of_caller(plan))

    def submit_plan(self, plan: Plan[T]) -> Submitted[T]:
        """Carry out what is planned without waiting for it."""
        return self.commands.submit(self._of_caller(plan))

    def _of_caller(self, plan: Plan[T]) -> Plan[T]:
        if self._is_own:
            return plan

        def answer(receipt: Receipt) -> T:
            return self._ids.as_recorded(plan.answer(receipt), receipt)

        return Plan(plan.stream, plan.decide, answer, plan.envelope, self.caller, plan.expects)


class BatchExecutor:
    """Collects the commands of one caller, and stores them together."""

    def __init__(
        self, commands: CommandExecutor, caller: Caller, *, is_import: bool = False, new_thread: str | None = None
    ) -> None:
        """The commands of an import are judged by the producer's clock. Raises ScopeMissing for who may not import."""
        if is_import:
            caller.require("import")
        self.is_import = is_import
        self.caller = caller
        self.actor, self.tenant_id = caller.actor, caller.tenant_id
        self.ledger_identity = commands, caller.tenant_id
        self._clock, self._addresses = commands.clock, commands.addresses
        self._batch = CommandBatch(commands, caller, new_thread=new_thread)
        self._ids = CreatedIds(caller)
        self.amend: Callable[[MethodCall[Any]], MethodCall[Any] | None] | None = None
        """What else to carry out instead of a command that does not fit; None where there is nothing."""

    def __len__(self) -> int:
        """Return how many events are collected."""
        return len(self._batch)

    def clock(self) -> datetime:
        """Return the time by which commands are judged."""
        return self._clock()

    def require_scope(self, scope: Scope) -> None:
        """Raise ScopeMissing where the caller may not do what a scope is for."""
        self.caller.require(scope)

    def require_address(self, url: str, path: str) -> None:
        """Raise InvalidEvent where nothing may be sent to an address; to those of an import, nothing is sent."""
        if not self.is_import:
            self._addresses.read(url, path)

    def collected(self) -> Iterator[Recorded]:
        """Return what is collected, as if it were recorded now."""
        return self._batch.collected()

    def new_id(self, prefix: str) -> str:
        """Return an id for what a command creates."""
        return self._ids.new(prefix)

    def reading(self, moment: int | datetime | None = None) -> Reading:
        """Return the questions, as the ledger will stand once the batch is stored, or as it stood."""
        return local_reading(self._batch.reader, self.tenant_id).at(moment)

    def execute(self, call: MethodCall[Plan[T]]) -> T:
        """Decide a command on what the batch has come to, or what it is amended to. Raises LedgerError."""
        try:
            return self._batch.execute(planned(call))
        except (InvalidEvent, DuplicateWithDifferentContent):
            instead: MethodCall[Plan[T]] | None = self.amend(call) if self.amend is not None else None
            if instead is None:
                raise
        return self._batch.execute(planned(instead))

    def submit(self, call: MethodCall[Plan[T]]) -> Submitted[T]:
        """Raise UsageError: a batch is stored at its end, so nothing in it can be on its way."""
        raise UsageError(f"submit_{call.method.__name__} has no meaning inside a batch; call {call.method.__name__} itself")

    def execute_plan(self, plan: Plan[T]) -> T:
        """Decide what is planned on what the batch has come to. Raises LedgerError."""
        return self._batch.execute(plan)

    @property
    def parts(self) -> StoredParts:
        """Return what became of what was stored, or is on its way."""
        return self._batch.parts

    def store(self) -> None:
        """Append what was collected, all of it or nothing. Raises what `CommandBatch.store` does."""
        self._batch.store()

    def submit_store(self) -> Submitted[Receipt | None]:
        """Have it appended without waiting for it. Raises what `CommandBatch.submit_store` does."""
        return self._batch.submit_store()

    def submit_all(self) -> Submitted[list[Recorded]]:
        """Have all that was collected stored, and do not wait for it. Raises what `CommandBatch.submit` does."""
        return self._batch.submit()

    def finish(self) -> None:
        """Store the rest, and give the states back that were held for it."""
        self._batch.finish()

    def forget(self) -> None:
        """Forget what was collected and is neither stored nor on its way: it will never be."""
        self._batch.forget()

    def as_recorded(self, answer: T, receipt: Receipt) -> T:
        """Return what a command of the batch answers, with the ids that were given when it was recorded before."""
        return self._ids.as_recorded(answer, receipt)
