"""The API keys that were revoked in this process: nobody need look into the log to know of them."""

from collections.abc import Callable

Told = Callable[[str], object]


class RevokedKeys:
    """Ids of keys. Whoever believes a key for a moment looks here first; whoever holds something open is told at once."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._told: list[Told] = []

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._ids

    def add(self, key_id: str) -> None:
        """A key was revoked just now. Tells, in this thread, everybody who asked to be told."""
        self._ids.add(key_id)
        for told in list(self._told):
            told(key_id)

    def tell(self, told: Told) -> None:
        """Call this with the id of each key that is revoked from now on, in whichever thread that happens."""
        self._told.append(told)

    def tell_no_more(self, told: Told) -> None:
        """Undo `tell`."""
        self._told = [other for other in self._told if other != told]
