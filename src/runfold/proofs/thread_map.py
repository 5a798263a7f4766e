"""The map of threads that is sealed with a checkpoint: how many events each thread has, and the hash of the leaf of its last one.

It is a sparse Merkle tree over the SHA-256 of the ids of threads. A part of it with one thread in it is that thread's own hash,
so proofs are about as long as the logarithm of the number of threads. Each node says at which bit of the key its sides part:
from a root there is one way to go for each key, whoever built it. So under one root nobody can show a thread with two counts,
nor show it and prove it absent.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from runfold.proofs.tree import HASH_BYTES, ProofFailed

BUCKET_BITS = 16
"""Whoever stores a map keeps the hashes of its parts by as many first bits of the keys, and of all parts above them."""
FIRST_BUCKET = 1 << BUCKET_BITS
EMPTY_MAP = hashlib.sha256(b"\4").digest()
"""The root of a map without threads."""
_KEY_BITS = 256


class MapEntry(NamedTuple):
    """What a map holds of a thread."""

    key: bytes
    events: int
    last_leaf: bytes

    def hash(self) -> bytes:
        """Return the hash by which it stands in the map."""
        return hashlib.sha256(b"\2" + self.key + self.events.to_bytes(8) + self.last_leaf).digest()


class MapProof(NamedTuple):
    """The way from a thread's place up to the root: the bits at which it parts from others, and the hashes on the other side.

    The lowest is first. `other` is who is in the place of a thread that is absent.
    """

    sides: tuple[tuple[int, bytes], ...]
    other: MapEntry | None = None


ReadParts = Callable[[Sequence[int]], Mapping[int, bytes]]
"""The stored hashes of some parts of a map, by their numbers; those without threads are left out."""


def key_of(thread_id: str) -> bytes:
    """Where a thread is in the map."""
    return hashlib.sha256(thread_id.encode()).digest()


def bucket_of(key: bytes) -> int:
    """The number of the lowest part that is stored and that a key is in. The part above a part has half its number; 1 is all."""
    return FIRST_BUCKET | int.from_bytes(key[: BUCKET_BITS // 8])


def keys_in(bucket: int) -> tuple[bytes, bytes]:
    """The first and the last key that can be in a bucket."""
    prefix = (bucket - FIRST_BUCKET).to_bytes(BUCKET_BITS // 8)
    rest = HASH_BYTES - len(prefix)
    return prefix + bytes(rest), prefix + b"\xff" * rest


def hash_of(entries: Iterable[MapEntry], depth: int = BUCKET_BITS) -> bytes | None:
    """The hash of a part of a map that begins at a bit; None of one without threads. The order does not matter."""
    return _hash_of(sorted(entries), depth)


def root_of(entries: Iterable[MapEntry]) -> bytes:
    """The root of a map, from all its threads."""
    return hash_of(entries, 0) or EMPTY_MAP


def changed_parts(buckets: Mapping[int, bytes | None], read: ReadParts) -> dict[int, bytes]:
    """All parts that change with some buckets, by number, those above them too; the root is at 1. Buckets never get empty."""
    now = {number: hash_ for number, hash_ in buckets.items() if hash_ is not None}
    if not now:
        return {}
    neighbours = {(number >> up) ^ 1 for number in now for up in range(BUCKET_BITS)}
    stored = read(sorted(neighbours))
    level = sorted(now)
    for depth in reversed(range(BUCKET_BITS)):
        level = sorted({number >> 1 for number in level})
        for number in level:
            left, right = (now.get(side, stored.get(side)) for side in (2 * number, 2 * number + 1))
            if (hash_ := _joined(depth, left, right)) is not None:
                now[number] = hash_
    return now


def prove(key: bytes, read: ReadParts, entries: Callable[[int], Iterable[MapEntry]]) -> MapProof:
    """The way from a key up to the root, from the stored parts and the threads of a bucket. Raises LookupError."""
    number, above = 1, list[tuple[int, bytes]]()
    for depth in range(BUCKET_BITS):
        sides = read([2 * number, 2 * number + 1])
        here, beside = 2 * number + _side(key, depth), 2 * number + 1 - _side(key, depth)
        if here in sides and beside in sides:
            above.append((depth, sides[beside]))
        elif not sides:
            if depth:
                raise LookupError(f"part {number} of the map is there, and nothing in it")
            return MapProof(())
        number = here if here in sides else beside
    below, found = _way(sorted(entries(number)), key, BUCKET_BITS)
    if found is None:
        raise LookupError(f"part {number} of the map is there, and no thread in it")
    return MapProof((*below, *reversed(above)), None if found.key == key else found)


def prove_among(key: bytes, entries: Iterable[MapEntry]) -> MapProof:
    """The way from a key up to the root, from all threads of a map."""
    below, found = _way(sorted(entries), key, 0)
    return MapProof(tuple(below), None if found is None or found.key == key else found)


def verify_present(entry: MapEntry, proof: MapProof, root: bytes) -> None:
    """Raise ProofFailed unless a map holds exactly this of a thread."""
    if proof.other is not None:
        raise ProofFailed("the proof is of an absent thread")
    _require(root, _up(entry.key, entry, proof.sides))


def verify_absent(key: bytes, proof: MapProof, root: bytes) -> None:
    """Raise ProofFailed unless a map holds nothing of a thread."""
    if proof.other is None:
        if proof.sides or root != EMPTY_MAP:
            raise ProofFailed("the map is not empty, and the proof names nobody in the thread's place")
        return
    if proof.other.key == key:
        raise ProofFailed("the thread is in the map")
    _require(root, _up(key, proof.other, proof.sides))


def _up(key: bytes, entry: MapEntry, sides: Sequence[tuple[int, bytes]]) -> bytes:
    """The root to which a way leads for a key; at each bit the entry at its end is on the key's side."""
    if len(entry.key) != HASH_BYTES or len(entry.last_leaf) != HASH_BYTES or not 0 < entry.events < 1 << 63:
        raise ProofFailed("the map holds no such thing of a thread")
    hash_, below = entry.hash(), _KEY_BITS
    for bit, beside in sides:
        if not 0 <= bit < below or len(beside) != HASH_BYTES:
            raise ProofFailed("the way through the map is none")
        if _side(key, bit) != _side(entry.key, bit):
            raise ProofFailed("the way through the map leads to another thread")
        hash_ = _joined(bit, beside, hash_) if _side(key, bit) else _joined(bit, hash_, beside)  # type: ignore[assignment]
        below = bit
    return hash_


def _require(root: bytes, found: bytes) -> None:
    if found != root:
        raise ProofFailed("the way through the map leads to another root")


def _side(key: bytes, bit: int) -> int:
    return key[bit >> 3] >> (7 - (bit & 7)) & 1


def _joined(depth: int, left: bytes | None, right: bytes | None) -> bytes | None:
    if left is None or right is None:
        return left or right
    return hashlib.sha256(b"\3" + depth.to_bytes(1) + left + right).digest()


def _parted(entries: list[MapEntry], depth: int) -> tuple[int, list[MapEntry], list[MapEntry]]:
    """The first bit at which sorted threads part, and both sides. They are at least two, of different keys."""
    first, last = int.from_bytes(entries[0].key), int.from_bytes(entries[-1].key)
    bit = _KEY_BITS - (first ^ last).bit_length()
    if bit >= _KEY_BITS or bit < depth:
        raise ValueError("a thread is in a map once, in the bucket of its key")
    low, high = 0, len(entries)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _side(entries[middle].key, bit) else (middle + 1, high)
    return bit, entries[:low], entries[low:]


def _hash_of(entries: list[MapEntry], depth: int) -> bytes | None:
    if len(entries) < 2:
        return entries[0].hash() if entries else None
    bit, left, right = _parted(entries, depth)
    return _joined(bit, _hash_of(left, bit + 1), _hash_of(right, bit + 1))


def _way(entries: list[MapEntry], key: bytes, depth: int) -> tuple[list[tuple[int, bytes]], MapEntry | None]:
    """The way down to whoever is in a key's place: the lowest side first."""
    sides: list[tuple[int, bytes]] = []
    while len(entries) > 1:
        bit, left, right = _parted(entries, depth)
        entries, beside = (right, left) if _side(key, bit) else (left, right)
        depth = bit + 1
        sides.append((bit, _hash_of(beside, depth) or b""))
    return sides[::-1], entries[0] if entries else None
