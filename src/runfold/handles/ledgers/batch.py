"""Many commands that are stored together."""

import contextlib
from collections.abc import Iterator

from runfold.commands.submitted import Receipt, Submitted
from runfold.domain.recorded import Recorded
from runfold.handles.calling.executor import CollectingExecutor
from runfold.handles.ledgers.ledger_handle import LedgerHandle


class Batch(LedgerHandle):
    """Collects many commands in one transaction: all are recorded at the end, or none.

    Where the database is, a refused one may be caught, and the rest goes on. Over HTTP they are checked at the end, and a
    refused one refuses them all; what a command returns before that says what it is, and not yet where it stands. After the end
    of the block its handles still answer, by what is stored, and take no command.
    """

    def __init__(self, executor: CollectingExecutor) -> None:
        super().__init__(executor)
        self._collected = executor

    @property
    def receipt(self) -> Receipt | None:  # type: ignore[override]  # nothing may have been new
        """Where the last of what is known to be stored stands; None where nothing was new."""
        return self._collected.parts.receipt

    @property
    def appended(self) -> int:
        """How many events are known to be stored."""
        return self._collected.parts.appended

    def __len__(self) -> int:
        """Return how much is collected and neither stored nor on its way."""
        return len(self._collected)

    def store(self) -> Receipt | None:
        """Store what was collected so far, and go on collecting. Raises VersionConflict where others were first.

        Over HTTP it raises what any of the commands raises. After the end of the block it raises UsageError.
        """
        self._collected.parts.require_open()
        self._collected.store()
        return self.receipt

    def submit_store(self) -> Submitted[Receipt | None]:
        """Like `store`, but returns at once: the next part is built while this one is on its way.

        Parts are stored in their order, and one is on its way at a time: the next call waits for it, and so do a question in the
        batch and the end of the block. Each of them raises what it failed with, and then nothing after it is stored.
        """
        self._collected.parts.require_open()
        return self._collected.submit_store()

    def collected(self) -> Iterator[Recorded]:
        """Return what is collected and neither stored nor on its way, as if it were recorded now.

        Over HTTP it raises UsageError.
        """
        return self._collected.collected()

    def finish(self) -> None:
        """Store the rest. `with ledger.batch()` does it."""
        self._collected.finish()
        self._collected.parts.end()


@contextlib.contextmanager
def collecting(executor: CollectingExecutor) -> Iterator[Batch]:
    """Give a batch, and store the rest at the end of the block.

    Where one of the two fails, only what is on its way is waited for, and what was collected is forgotten.
    """
    batch = Batch(executor)
    try:
        yield batch
        batch.finish()
    except BaseException as error:
        executor.parts.end()
        executor.parts.wait_beside(error)
        executor.forget()
        raise
