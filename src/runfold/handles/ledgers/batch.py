"""Many commands that are stored together."""

from collections.abc import Iterator

from runfold.commands.submitted import Receipt
from runfold.domain.event import Recorded
from runfold.handles.calling.executor import CollectingExecutor
from runfold.handles.ledgers.ledger_handle import LedgerHandle


class Batch(LedgerHandle):
    """Collects many commands in one transaction: all are recorded at the end, or none.

    Where the database is, a refused one may be caught, and the rest goes on. Over HTTP they are checked at the end, and a
    refused one refuses them all; what a command returns before that says what it is, and not yet where it stands.
    """

    def __init__(self, executor: CollectingExecutor) -> None:
        super().__init__(executor)
        self._collected = executor
        self.appended = 0

    @property
    def receipt(self) -> Receipt | None:  # type: ignore[override]  # nothing may have been new
        """Where the last of what was stored stands; None where nothing was new."""
        return self._receipt

    def __len__(self) -> int:
        """Return how much is collected and not stored yet."""
        return len(self._collected)

    def store(self) -> Receipt | None:
        """Store what was collected so far, and go on collecting. Raises VersionConflict where others were first.

        Over HTTP it raises what any of the commands raises.
        """
        if (receipt := self._collected.store()) is not None:
            self._receipt, self.appended = receipt, self.appended + receipt.appended
        return self.receipt

    def collected(self) -> Iterator[Recorded]:
        """Return what is collected and not stored yet, as if it were recorded now.

        Over HTTP it raises UsageError.
        """
        return self._collected.collected()

    def finish(self) -> None:
        """Store the rest. `with ledger.batch()` does it."""
        self.store()
        self._collected.finish()
