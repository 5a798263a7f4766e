"""How long a process that ended is not started again."""

import time

FIRST_PAUSE, LONGEST_PAUSE, SETTLED_SECONDS = 0.25, 30.0, 60.0
"""Seconds until one that ended is started again, twice as many each time; and after how many it counts as running well."""


class Pause:
    """Grows each time, until the process has run well."""

    def __init__(self, first: float = 0.0) -> None:
        """`first` is how many seconds it is not started at all."""
        self._next, self._until = FIRST_PAUSE, time.monotonic() + first

    @property
    def is_over(self) -> bool:
        """Return whether it may be started now."""
        return time.monotonic() >= self._until

    def begin(self) -> float:
        """Begin another one; return how many seconds it takes."""
        seconds = self._next
        self._until, self._next = time.monotonic() + seconds, min(seconds * 2, LONGEST_PAUSE)
        return seconds

    def note_run(self, seconds: float) -> None:
        """Take in for how long the process had run when it ended."""
        if seconds > SETTLED_SECONDS:
            self._next = FIRST_PAUSE
