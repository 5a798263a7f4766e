"""The API keys that were revoked in this process: nobody need look into the log to know of them."""

from collections.abc import Callable

from runfold.store.codec import StreamKey

Listener = Callable[[StreamKey], object]


class RevokedKeys:
    """Holds the revoked keys, by tenant and stream.

    Whoever believes a key for a moment looks here first; whoever holds something open is told at once.
    """

    def __init__(self) -> None:
        self._keys: set[StreamKey] = set()
        self._listeners: list[Listener] = []

    def __contains__(self, key: StreamKey) -> bool:
        return key in self._keys

    def add(self, key: StreamKey) -> None:
        """Add a key that was revoked just now, and call all listeners with it, in this thread."""
        self._keys.add(key)
        for listener in list(self._listeners):
            listener(key)

    def tell(self, listener: Listener) -> None:
        """Call this with the id of each key that is revoked from now on, in whichever thread that happens."""
        self._listeners.append(listener)

    def tell_no_more(self, listener: Listener) -> None:
        """Undo an earlier `tell`."""
        self._listeners = [other for other in self._listeners if other != listener]
