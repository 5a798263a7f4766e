"""A sealed tree while it is verified, leaf by leaf."""

from collections.abc import Callable
from dataclasses import dataclass, field

from runfold.evidence.comparing import StoredTree
from runfold.proofs.tiles import WIDTH, Growing, Tiles, split
from runfold.proofs.tree import HASH_BYTES


@dataclass
class VerifiedTree:
    """A tree while it is verified."""

    stored: StoredTree
    tiles: Tiles
    read: Callable[[int, int], bytes]
    growing: Growing | None = None
    """Grown from what was read, where that is from the first event on."""
    last_seq: int | None = None
    """The last leaf that was read; None where the first that is read may be any."""
    _given: dict[int, bytes] = field(default_factory=dict)
    _tile: tuple[int, list[bytes]] = (-1, [])

    def give(self, tiles: dict[int, bytes]) -> None:
        """Take the lowest tiles of the leaves that are looked at next, beside those of the leaves that are looked at now."""
        self._given = {**{number: tile for number, tile in self._given.items() if number >= self._tile[0]}, **tiles}

    def hash_at(self, seq: int) -> bytes | None:
        """Return the hash of a leaf as the tree has it."""
        number, at = divmod(seq - 1, WIDTH)
        if self._tile[0] != number or at >= len(self._tile[1]):
            self._tile = number, split(self._given.get(number, b""))
        hashes = self._tile[1]
        return hashes[at] if at < len(hashes) and len(hashes[at]) == HASH_BYTES else None
