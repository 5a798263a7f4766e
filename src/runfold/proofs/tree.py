"""The tree over the leaves of a log, as RFC 6962 and RFC 9162 have it: its root, and what proves that a leaf is in it.

A proof says that a leaf is among the first of a log (inclusion), or that a log has only grown (consistency). Whoever verifies
needs the proof and two roots; nothing here needs the log itself. How the hashes are stored is not of this module.
"""

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
MOST_HASHES = 64
"""A tree of 2^63 leaves has no longer proof of inclusion."""
EMPTY_ROOT = hashlib.sha256(b"").digest()


class ProofFailed(ValueError):
    """A proof does not prove what it should."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash by which some bytes stand in a tree."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two neighbours."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Frontier:
    """A tree that grows at its end, of which only the roots of its whole parts are held: as many as its size has binary ones."""

    def __init__(self, size: int = 0, parts: Iterable[bytes] = ()) -> None:
        """Go on from a size and the `parts` of then, the largest first. Raises ValueError where they do not fit."""
        self.size = size
        self.parts = list(parts)
        if size < 0 or len(self.parts) != size.bit_count() or any(len(part) != HASH_BYTES for part in self.parts):
            raise ValueError(f"a tree of {size} leaves has {max(size, 0).bit_count()} whole parts, of {HASH_BYTES} bytes each")

    def append(self, hash_: bytes) -> None:
        """Add the hash of a leaf."""
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            hash_ = node_hash(self.parts.pop(), hash_)
        self.parts.append(hash_)

    def root(self) -> bytes:
        """Return the root over all leaves."""
        if not self.parts:
            return EMPTY_ROOT
        *others, root = self.parts
        for part in reversed(others):
            root = node_hash(part, root)
        return root


def verify_inclusion(index: int, size: int, hash_: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raise ProofFailed unless a leaf, counted from 0, is among the `size` leaves that a root is of."""
    if not 0 <= index < size:
        raise ProofFailed(f"there is no leaf {index} among {size}")
    _require_hashes([hash_, root, *proof])
    at, last = index, size - 1
    for other in proof:
        if last == 0:
            raise ProofFailed("the proof is too long")
        if at & 1 or at == last:
            hash_ = node_hash(other, hash_)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            hash_ = node_hash(hash_, other)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofFailed("the proof is too short")
    if hash_ != root:
        raise ProofFailed("the proof leads to another root")


def verify_consistency(old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise ProofFailed unless the tree of one root is the beginning of the tree of another."""
    if not 0 <= old_size <= new_size:
        raise ProofFailed(f"a tree of {new_size} leaves has not grown from one of {old_size}")
    _require_hashes([old_root, new_root, *proof])
    if old_size in {0, new_size}:
        if proof:
            raise ProofFailed("the proof is too long")
        if old_size == 0 and old_root != EMPTY_ROOT:
            raise ProofFailed("the root of no leaves is another one")
        if old_size == new_size and old_root != new_root:
            raise ProofFailed("two trees of one size have different roots")
        return
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    hashes = list(reversed(proof))
    if at and not hashes:
        raise ProofFailed("the proof is too short")
    old = new = hashes.pop() if at else old_root
    while hashes:
        other = hashes.pop()
        if last == 0:
            raise ProofFailed("the proof is too long")
        if at & 1 or at == last:
            old, new = node_hash(other, old), node_hash(other, new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, other)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofFailed("the proof is too short")
    if old != old_root or new != new_root:
        raise ProofFailed(f"the proof leads to another root of the {'old' if old != old_root else 'new'} tree")


def _require_hashes(hashes: Sequence[bytes]) -> None:
    if len(hashes) > 2 * MOST_HASHES:
        raise ProofFailed("the proof is too long")
    if any(len(hash_) != HASH_BYTES for hash_ in hashes):
        raise ProofFailed(f"a hash has {HASH_BYTES} bytes, and one here has not")
