"""How often somebody may ask."""


class Bucket:
    """How often a key may ask: as many requests at once as in a second, and then evenly.

    Libraries have windows, in which everybody may ask at once again when the next one begins, or which keep the time of each
    request: two numbers a key are enough here.
    """

    def __init__(self, a_second: float, now: float) -> None:
        self._a_second, self._most = a_second, max(1.0, a_second)
        self._left, self._at = self._most, now

    def take(self, now: float) -> float:
        """Let one request through, which is 0; else the seconds until there is room for it."""
        self._left = min(self._most, self._left + (now - self._at) * self._a_second)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._a_second
        self._left -= 1
        return 0.0
