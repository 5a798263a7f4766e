"""A sealed tree while it is verified, leaf by leaf."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from runfold.evidence.sealing.comparing import StoredTree
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
    altered: list[tuple[int, int]] = field(default_factory=list)
    """Tiles of hashes of hashes that are not those of the leaves, by level and number."""
    _given: Mapping[int, bytes] = field(default_factory=dict)
    _tile: tuple[int, list[bytes]] = (-1, [])
    _last: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def goes_on_with(self, seq: int) -> bool:
        """Return whether a leaf is the next to the last that was read."""
        return self.last_seq is None or seq == self.last_seq + 1

    def grow(self, hashes: Sequence[bytes], last_seq: int) -> None:
        """Take the next leaves in, which are those that the tree has."""
        self.last_seq = last_seq
        if self.growing is None:
            return
        self.growing.extend(hashes)
        self._last = {place: tile for place, tile in self.growing.changed.items() if place[0]}
        self._compare({place: tile for place, tile in self._last.items() if len(tile) == WIDTH * HASH_BYTES})
        self.growing.changed.clear()

    def end(self) -> None:
        """Look at what is not whole yet: no more leaves follow."""
        self._compare({place: tile for place, tile in self._last.items() if len(tile) < WIDTH * HASH_BYTES})

    def _compare(self, tiles: Mapping[tuple[int, int], bytes]) -> None:
        # What is sealed meanwhile follows in the last tiles.
        self.altered += [place for place, tile in tiles.items() if self.read(*place)[: len(tile)] != tile]

    def give(self, tiles: Mapping[int, bytes]) -> None:
        """Take the lowest tiles of the leaves that are looked at next."""
        self._given, self._tile = tiles, (-1, [])

    def hash_at(self, seq: int) -> bytes | None:
        """Return the hash of a leaf as the tree has it."""
        number, at = divmod(seq - 1, WIDTH)
        if self._tile[0] != number or at >= len(self._tile[1]):
            self._tile = number, split(self._given.get(number, b""))
        hashes = self._tile[1]
        return hashes[at] if at < len(hashes) and len(hashes[at]) == HASH_BYTES else None
