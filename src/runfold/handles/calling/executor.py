"""What a handle asks for: a port that the executors of a caller, of a batch and of a ledger elsewhere fulfil alike."""

from collections.abc import Hashable, Iterator
from datetime import datetime
from typing import Protocol, TypeVar

from runfold.commands.plan import Plan
from runfold.commands.stored_parts import StoredParts
from runfold.commands.submitted import Receipt, Submitted
from runfold.domain.recorded import Recorded
from runfold.domain.security import Scope
from runfold.domain.values import Actor
from runfold.method_call import MethodCall
from runfold.queries.reading import Reading

T = TypeVar("T")


class Executor(Protocol):
    """Carries out the commands of handles, and answers their questions."""

    @property
    def actor(self) -> Actor:
        """Return who acts where a command names nobody."""

    @property
    def ledger_identity(self) -> Hashable:
        """It equals that of another executor just where both lead to the same tenant of the same open ledger."""

    def clock(self) -> datetime:
        """Return the time by which commands are judged."""

    @property
    def is_import(self) -> bool:
        """Return whether its commands are history, which is judged by the producer's clock."""

    def require_scope(self, scope: Scope) -> None:
        """Raise ScopeMissing where the caller may not do what a scope is for."""

    def require_address(self, url: str, path: str) -> None:
        """Raise InvalidEvent where nothing may be sent to an address; `path` says what it is given as."""

    def new_id(self, prefix: str) -> str:
        """Return an id for what a command creates."""

    def execute(self, call: MethodCall[Plan[T]]) -> T:
        """Carry out a command and wait until it is durable. Raises LedgerError."""

    def submit(self, call: MethodCall[Plan[T]]) -> Submitted[T]:
        """Carry out a command without waiting for it. Raises LedgerError for what cannot even be planned."""

    def reading(self, moment: int | datetime | None = None) -> Reading:
        """Return the questions, as the ledger stands or stood at a position or a time."""


class CollectingExecutor(Executor, Protocol):
    """Collects commands, and stores them together."""

    def __len__(self) -> int:
        """Return how much is collected: events where the database is, commands elsewhere."""

    @property
    def parts(self) -> StoredParts:
        """Return what became of what was stored, or is on its way."""

    def store(self) -> None:
        """Store what was collected, all of it or nothing, and begin anew. Raises LedgerError."""

    def submit_store(self) -> Submitted[Receipt | None]:
        """Have it stored without waiting for it, and begin anew, once what was submitted before is stored. Raises LedgerError."""

    def collected(self) -> Iterator[Recorded]:
        """Return what is collected, as if it were recorded now. Raises UsageError where only a server will know it."""

    def finish(self) -> None:
        """Store the rest, and give back what was held for it."""

    def forget(self) -> None:
        """Forget what was collected and is neither stored nor on its way: it will never be."""


class LocalExecutor(Executor, Protocol):
    """Has the database at hand: it takes plans too, which the server makes of requests."""

    def execute_plan(self, plan: Plan[T]) -> T:
        """Carry out what is planned and wait until it is durable. Raises LedgerError."""
