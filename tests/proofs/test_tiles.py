"""Trees in tiles: the same roots and proofs as by the definition of RFC 6962, at every size."""

import hashlib
import random

import pytest

from runfold.proofs.tiles import Growing, Tiles
from runfold.proofs.tree import EMPTY_ROOT
from runfold.proofs.tree import node_hash as node

SIZES = [0, 1, 2, 3, 7, 8, 255, 256, 257, 511, 512, 513, 700, 65_535, 65_536, 65_537, 66_100]


def _leaves(count: int) -> list[bytes]:
    return [hashlib.sha256(str(number).encode()).digest() for number in range(count)]


def _by_definition(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    left = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node(_by_definition(leaves[:left]), _by_definition(leaves[left:]))


def _path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) < 2:
        return []
    left = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < left:
        return [*_path(index, leaves[:left]), _by_definition(leaves[left:])]
    return [*_path(index - left, leaves[left:]), _by_definition(leaves[:left])]


def _consistency(old: int, leaves: list[bytes], *, known: bool = True) -> list[bytes]:
    if old == len(leaves):
        return [] if known else [_by_definition(leaves)]
    left = 1 << ((len(leaves) - 1).bit_length() - 1)
    if old <= left:
        return [*_consistency(old, leaves[:left], known=known), _by_definition(leaves[left:])]
    return [*_consistency(old - left, leaves[left:], known=False), _by_definition(leaves[:left])]


class Store:
    """Tiles in memory, written as they are in the database."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.size = 0

    def read(self, level: int, number: int) -> bytes:
        return self.tiles.get((level, number), b"")

    def grow(self, leaves: list[bytes]) -> bytes:
        growing = Growing(self.size, self.read)
        growing.extend(leaves)
        self.tiles |= growing.changed
        self.size = growing.size
        return growing.root()


def test_a_tree_that_grows_in_any_steps_has_the_root_of_the_definition_at_each() -> None:
    rng, leaves, store = random.Random(7), _leaves(66_100), Store()  # noqa: S311
    assert store.grow([]) == EMPTY_ROOT
    while store.size < len(leaves):
        step = rng.choice([1, 2, 100, 255, 256, 257, 5000, 20_000])
        root = store.grow(leaves[store.size : store.size + step])
        assert root == Tiles(store.read).root(store.size)
    for size in SIZES:
        assert Tiles(store.read).root(size) == _by_definition(leaves[:size])


@pytest.mark.parametrize("size", [1, 2, 5, 256, 300, 700])
def test_proofs_are_those_of_the_definition(size: int) -> None:
    leaves, store = _leaves(size), Store()
    store.grow(leaves)
    tiles = Tiles(store.read)
    for index in sorted({0, 1, size // 2, size - 1} & set(range(size))):
        assert tiles.leaf(index) == leaves[index]
        assert tiles.inclusion(index, size) == _path(index, leaves)
    for old in sorted({1, 2, 3, size // 2, size - 1, size} & set(range(1, size + 1))):
        assert tiles.consistency(old, size) == _consistency(old, leaves), (old, size)
    assert tiles.consistency(0, size) == []


def test_what_the_tree_does_not_have_is_not_made_up() -> None:
    store = Store()
    store.grow(_leaves(300))
    tiles = Tiles(store.read)
    for asked in (lambda: tiles.root(301), lambda: tiles.inclusion(300, 300), lambda: tiles.consistency(4, 3)):
        with pytest.raises(LookupError):
            asked()
