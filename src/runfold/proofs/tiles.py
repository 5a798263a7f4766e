"""The hashes of a tree as they are stored, 256 to a tile: how it grows, its root at any size, and proofs from it.

The tree is that of RFC 6962. Level 0 holds the hashes of leaves; a hash of the level above is that of the whole tree over 256
of the level below, as in C2SP's tlog-tiles. A tree of a million leaves is read in three tiles for a proof.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

from runfold.proofs.tree import EMPTY_ROOT, HASH_BYTES, node_hash

HEIGHT = 8
WIDTH = 1 << HEIGHT

ReadTile = Callable[[int, int], bytes]
"""The hashes of a tile, by its level and number; empty for one that there is not."""


def merged(hashes: Sequence[bytes]) -> bytes:
    """The root over neighbours, all of which but the last are of whole trees of one height."""
    level = list(hashes)
    while len(level) > 1:
        above = [sha256(b"\1" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0] if level else EMPTY_ROOT


def split(tile: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


class Growing:
    """A tree that grows at its end, of which only the last tile of each level is held."""

    def __init__(self, size: int, read: ReadTile) -> None:
        self.size = size
        self.changed: dict[tuple[int, int], bytes] = {}
        """Tiles that are to be stored, by level and number."""
        self._edges: list[list[bytes]] = []
        level, count = 0, size
        while count or level == 0:
            self._edges.append(split(read(level, count // WIDTH)[: (count % WIDTH) * HASH_BYTES]) if count % WIDTH else [])
            level, count = level + 1, count // WIDTH

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add the hashes of leaves."""
        at = 0
        while at < len(leaves):
            taken = leaves[at : at + WIDTH - len(self._edges[0])]
            at += len(taken)
            self.size += len(taken)
            self._add(0, taken)
        for level, edge in enumerate(self._edges):
            if edge:
                self.changed[level, (self.size >> (HEIGHT * level)) // WIDTH] = b"".join(edge)

    def root(self) -> bytes:
        """The root over all leaves."""
        rest: list[bytes] = []
        for edge in self._edges:
            here = [*edge, *rest]
            rest = [merged(here)] if here else []
        return rest[0] if rest else EMPTY_ROOT

    def _add(self, level: int, hashes: Sequence[bytes]) -> None:
        """Add hashes to a level, no more than its last tile takes."""
        if level == len(self._edges):
            self._edges.append([])
        edge = self._edges[level]
        edge += hashes
        if len(edge) == WIDTH:
            self.changed[level, (self.size >> (HEIGHT * level)) // WIDTH - 1] = b"".join(edge)
            whole = merged(edge)
            edge.clear()
            self._add(level + 1, [whole])


class Tiles:
    """A stored tree, at any size that it has had."""

    def __init__(self, read: ReadTile) -> None:
        self._read = read

    def leaf(self, index: int) -> bytes:
        """The hash of a leaf, counted from 0."""
        return self._whole(0, index)

    def root(self, size: int) -> bytes:
        """The root over the first leaves. Raises LookupError where tiles are missing."""
        return self._over(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that a leaf, counted from 0, is one of the first `size`: the lowest hash first. Raises LookupError."""
        if not 0 <= index < size:
            raise LookupError(f"there is no leaf {index} among {size}")
        path, low, high = [], 0, size
        while high - low > 1:
            middle = low + _left(high - low)
            if index < middle:
                path.append(self._over(middle, high))
                high = middle
            else:
                path.append(self._over(low, middle))
                low = middle
        return path[::-1]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the first `old` leaves are still the first of `new`, as RFC 6962 has it. Raises LookupError."""
        if not 0 <= old <= new:
            raise LookupError(f"a tree of {new} leaves has not had {old}")
        if old in {0, new}:
            return []
        path, low, high, is_known = [], 0, new, True
        while old != high:
            middle = low + _left(high - low)
            if old <= middle:
                path.append(self._over(middle, high))
                high = middle
            else:
                path.append(self._over(low, middle))
                low, is_known = middle, False
        return [*([] if is_known else [self._over(low, high)]), *path[::-1]]

    def _over(self, low: int, high: int) -> bytes:
        """The hash over leaves `low` to `high`, which is a tree's own part."""
        parts, at = [], low
        while at < high:
            height = (high - at).bit_length() - 1
            parts.append(self._whole(height, at >> height))
            at += 1 << height
        found = parts.pop()
        while parts:
            found = node_hash(parts.pop(), found)
        return found

    def _whole(self, height: int, index: int) -> bytes:
        """The hash of a whole tree of 2^height leaves, the index-th of them."""
        level, above = divmod(height, HEIGHT)
        first, count = index << above, 1 << above
        tile = self._read(level, first // WIDTH)
        begin = (first % WIDTH) * HASH_BYTES
        hashes = tile[begin : begin + count * HASH_BYTES]
        if len(hashes) < count * HASH_BYTES:
            raise LookupError(f"tile {first // WIDTH} of level {level} is missing, or too short")
        return merged(split(hashes))


def _left(count: int) -> int:
    """How many leaves are in the left part: the largest power of two below the count."""
    return 1 << ((count - 1).bit_length() - 1)
