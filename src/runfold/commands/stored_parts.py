"""What became of a batch that is stored part by part."""

from collections.abc import Callable

from runfold.commands.submitted import Receipt, Submitted
from runfold.errors import LedgerUnavailable, UsageError

_Answer = Callable[[Receipt], Receipt | None]


class StoredParts:
    """Follows the parts of a batch: one at a time is on its way, and once one has failed the batch is void.

    So parts are stored in their order, and a part is sent only once what it builds on is stored.
    """

    def __init__(self) -> None:
        self._receipt: Receipt | None = None
        self._appended = 0
        self._on_its_way: Submitted[Receipt | None] | None = None
        self._why_void: str | None = None
        """What an error said that ended it: itself it would hold the frames that it came through, and they the batch."""
        self._has_ended = False

    @property
    def receipt(self) -> Receipt | None:
        """Where the last of what is known to be stored stands; None where nothing was new."""
        self._look()
        return self._receipt

    @property
    def appended(self) -> int:
        """How many events are known to be stored."""
        self._look()
        return self._appended

    def require_whole(self) -> None:
        """Raise LedgerUnavailable where the batch is known to be void."""
        if self._why_void is not None:
            raise LedgerUnavailable(f"the batch is void ({self._why_void})", "begin another", retriable=False)

    def require_open(self) -> None:
        """Raise LedgerUnavailable where the batch is known to be void, and UsageError where it has ended."""
        self.require_whole()
        if self._has_ended:
            raise UsageError("the batch has ended, so what it is given now would never be stored; give it to the ledger itself")

    def wait(self) -> None:
        """Wait for the part that is on its way. Raises what it failed with, and LedgerUnavailable once it has."""
        if (part := self._on_its_way) is not None:
            try:
                self.take(part.result())
            except Exception as error:
                self._on_its_way, self._why_void = None, str(error)
                raise
        self.require_whole()

    def wait_beside(self, error: BaseException) -> None:
        """Wait for the part that is on its way, and note with another error that it failed too."""
        if self._on_its_way is not None:
            try:
                self.wait()
            except Exception as lost:
                if lost is not error:
                    error.add_note(f"a part of the batch was on its way, and failed: {lost}")

    def submit(self, send: Callable[[_Answer], Submitted[Receipt | None]]) -> Submitted[Receipt | None]:
        """Follow a part that is sent so. Its sender is answered as `store` is: where nothing was new, with the receipt before."""
        before = self._receipt
        part = self._on_its_way = send(lambda receipt: receipt if receipt.appended else before)
        return part

    def take(self, receipt: Receipt | None) -> None:
        """Note a part that is stored."""
        self._on_its_way = None
        if receipt is not None and receipt.appended and receipt is not self._receipt:
            self._receipt, self._appended = receipt, self._appended + receipt.appended

    def fail(self, error: Exception) -> None:
        """Let nothing more be stored."""
        self._why_void = str(error)

    def end(self) -> None:
        """Let nothing more be collected: nobody would store it."""
        self._has_ended = True

    def _look(self) -> None:
        if (part := self._on_its_way) is not None and part.is_recorded:
            self.take(part.result())
