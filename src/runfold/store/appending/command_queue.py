"""The commands that wait to be appended, in the order in which they came."""

from collections import deque
from collections.abc import Iterable

from runfold.errors import LedgerClosed, QueueFull
from runfold.store.appending.appends import Append, still_valid
from runfold.store.appending.tally import MOST_EVENTS

MAX_EVENTS = MOST_EVENTS
MAX_BYTES = 16 * 1024 * 1024


class CommandQueue(deque[Append]):
    """Takes so many commands, and none once it is closed."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.is_closed = False
        self._size = size

    def put(self, append: Append) -> None:
        """Queue a command's events. Raises QueueFull, and LedgerClosed once closed; then nothing is queued."""
        if self.is_closed or len(self) >= self._size:
            self.require_room()
        self.append(append)

    def require_room(self) -> None:
        """Raise QueueFull, or LedgerClosed once closed."""
        if self.is_closed:
            raise LedgerClosed
        if len(self) >= self._size:
            raise QueueFull(len(self))

    def take(self, batch: list[Append]) -> None:
        """Move what is queued into a batch, as much as it may hold."""
        events = size = 0
        while self:
            rows = self[0].rows
            events += len(rows)
            for row in rows:
                size += len(row.state)
            if batch and (events > MAX_EVENTS or size > MAX_BYTES):
                break
            batch.append(self.popleft())

    def put_back(self, batches: Iterable[list[Append]]) -> None:
        """Queue batches again that were taken, before all that came since."""
        self.extendleft(append for batch in reversed([*batches]) for append in reversed(batch))

    def withdraw_void(self) -> list[Append]:
        """Take out what was built on something that failed, with its error. Nobody may put meanwhile."""
        queued = list(self)
        valid = still_valid(queued)
        if len(valid) == len(queued):
            return []
        self.clear()
        self.extend(valid)
        return [append for append in queued if append.error is not None]
