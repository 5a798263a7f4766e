"""How many positions of the log are read at once: more while that is quick, fewer while it is slow or the events are large."""

from psycopg import errors

SMALLEST_PAGE = 10
QUICK_SECONDS, SLOW_SECONDS = 0.5, 2.0
TOO_MUCH = (errors.QueryCanceled, errors.InsufficientResources, errors.OutOfMemory, errors.DiskFull, errors.InternalError_)
"""What a database says that could not do so much at once, in its time or its memory."""
TRIED_AGAIN_AFTER = 50
"""After so many pages that went well, larger ones than were too much are tried again."""


class PageSize:
    """The size of the next page, as it follows from how it went with those before."""

    def __init__(self, first: int, largest: int) -> None:
        self.positions = first
        self._largest = self._most = largest
        self._went_well = 0

    def taken(self, positions: int, seconds: float) -> None:
        """Say how long one of so many positions took."""
        if seconds > SLOW_SECONDS:
            self.positions = max(SMALLEST_PAGE, self.positions // 2)
        elif seconds < QUICK_SECONDS and positions == self.positions:
            self.positions = min(self._most, self.positions * 2)

    def stored(self) -> None:
        """Say that one was stored."""
        self._went_well += 1
        if self._went_well % TRIED_AGAIN_AFTER == 0:
            self._most = min(self._largest, self._most * 2)

    def failed(self, error: Exception) -> None:
        """Say how one failed: where it was too much for the database at once, the next ones are smaller."""
        if isinstance(error, TOO_MUCH):
            self._most = self.positions = max(SMALLEST_PAGE, min(self._most, self.positions) // 2)
            self._went_well = 0
