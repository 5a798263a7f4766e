"""A lock that goes to who waits for it: whoever has just given it back cannot take it again before them."""

import threading
from collections.abc import Callable
from types import TracebackType


class Turns:
    """To be entered by one thread at a time, and not by one that is inside."""

    def __init__(self) -> None:
        self._door, self._turn = threading.Lock(), threading.Lock()
        self.make_way: Callable[[], object] = lambda: None
        """Called by who would have to wait: where the turn is not in use, it is to be given back at once."""

    @property
    def are_wanted(self) -> bool:
        """Return whether somebody waits."""
        return self._door.locked()

    def try_enter(self) -> bool:
        """Enter, if nobody is inside and nobody waits. Any thread may `leave` then."""
        return not self._door.locked() and self._turn.acquire(blocking=False)

    def leave(self) -> None:
        """Let the next one in."""
        self._turn.release()

    def __enter__(self) -> None:
        with self._door:
            if not self._turn.acquire(blocking=False):
                self.make_way()
                self._turn.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.leave()
