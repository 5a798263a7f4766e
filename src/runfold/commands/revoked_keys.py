"""The API keys that were revoked in this process: nobody need look into the log to know of them."""

from collections.abc import Callable

from runfold.store.codec import StreamKey

Told = Callable[[StreamKey], object]


class RevokedKeys:
    """Keys, by tenant and stream.

    Whoever believes a key for a moment looks here first; whoever holds something open is told at once.
    """

    def __init__(self) -> None:
        self._keys: set[StreamKey] = set()
        self._told: list[Told] = []

    def __contains__(self, key: StreamKey) -> bool:
        return key in self._keys

    def add(self, key: StreamKey) -> None:
        """A key was revoked just now. Tells, in this thread, everybody who asked to be told."""
        self._keys.add(key)
        for told in list(self._told):
            told(key)

    def tell(self, told: Told) -> None:
        """Call this with the id of each key that is revoked from now on, in whichever thread that happens."""
        self._told.append(told)

    def tell_no_more(self, told: Told) -> None:
        """Undo `tell`."""
        self._told = [other for other in self._told if other != told]
