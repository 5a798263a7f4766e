"""How often somebody may ask."""

from collections.abc import Callable
from typing import Protocol


class Takes(Protocol):
    """What lets one request through after the other."""

    def take(self, now: float) -> float:
        """Let one request through, which is 0; else the seconds until there is room for it."""


MakeBucket = Callable[[str, float, float], Takes]
"""Makes what is under a name, for so many a second, from now on."""


class Bucket:
    """How often a key may ask: as many requests at once as in a second, and then evenly.

    Libraries have windows, in which everybody may ask at once again when the next one begins, or which keep the time of each
    request: two numbers a key are enough here.
    """

    def __init__(self, a_second: float, now: float) -> None:
        self._a_second, self._most = a_second, max(1.0, a_second)
        self.left, self.at = self._most, now
        """How many are let through at once, and since when."""

    @classmethod
    def named(cls, _name: str, a_second: float, now: float) -> "Bucket":
        """Return one that nobody else takes from."""
        return cls(a_second, now)

    def is_full(self, now: float) -> bool:
        """Return whether it is by now as if nobody had asked."""
        return self.left + (now - self.at) * self._a_second >= self._most

    def take(self, now: float) -> float:
        """Let one request through, which is 0; else the seconds until there is room for it."""
        self.left = min(self._most, self.left + (now - self.at) * self._a_second)
        self.at = now
        if self.left < 1:
            return (1 - self.left) / self._a_second
        self.left -= 1
        return 0.0
