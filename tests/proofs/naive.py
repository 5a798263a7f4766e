"""A tree as RFC 6962 says it in words: slow, and plainly right."""

import hashlib
from collections.abc import Sequence


def root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    half = _half(len(leaves))
    return hashlib.sha256(b"\1" + root(leaves[:half]) + root(leaves[half:])).digest()


def inclusion(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) < 2:
        return []
    half = _half(len(leaves))
    if index < half:
        return [*inclusion(index, leaves[:half]), root(leaves[half:])]
    return [*inclusion(index - half, leaves[half:]), root(leaves[:half])]


def consistency(old: int, leaves: Sequence[bytes], *, is_known: bool = True) -> list[bytes]:
    if old == len(leaves):
        return [] if is_known else [root(leaves)]
    half = _half(len(leaves))
    if old <= half:
        return [*consistency(old, leaves[:half], is_known=is_known), root(leaves[half:])]
    return [*consistency(old - half, leaves[half:], is_known=False), root(leaves[:half])]


def _half(count: int) -> int:
    half = 1
    while half * 2 < count:
        half *= 2
    return half
