"""What all handles are: an id, and the executor that carries out their commands."""

from runfold.commands.submitted import Receipt
from runfold.errors import UsageError
from runfold.handles.calling.executor import Executor


class Handle:
    """Names something in a ledger. Two handles are equal where they name the same thing, in the same tenant and open ledger."""

    def __init__(self, id: str, executor: Executor, receipt: Receipt | None = None) -> None:
        """`receipt` is that of the command which made what is named; None where it was only named."""
        self.id = id
        self.executor = executor
        self._receipt = receipt

    @property
    def receipt(self) -> Receipt:
        """Where it was recorded, of what a command returned. Raises UsageError where it was only named, or is not stored yet."""
        if self._receipt is None:
            raise UsageError(f"{self!r} has no receipt: that comes with what a command returns, from a server once it is stored")
        return self._receipt

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and other._identity() == self._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[object, ...]:
        """Return all that tells this handle from others."""
        return type(self), self.executor.ledger_identity, self.id


class Child(Handle):
    """Names what is recorded inside a run's stream: a message, a tool call or a decision."""

    def __init__(self, id: str, executor: Executor, run_id: str, receipt: Receipt | None = None) -> None:
        super().__init__(id, executor, receipt)
        self.run_id = run_id

    def _identity(self) -> tuple[object, ...]:
        return *super()._identity(), self.run_id
