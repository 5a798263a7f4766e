"""Ids: a prefix that says what it is of, and a time-ordered unique part (UUIDv7). Deterministic ones for imports."""

import hashlib

from uuid_utils import uuid7


def new_id(prefix: str) -> str:
    """`run_0198c0…`: unique for ever, and later ones sort after earlier ones of the same process."""
    return f"{prefix}_{uuid7().hex}"


def new_event_id() -> bytes:
    """The sixteen bytes of a UUIDv7, given to an event before the first try to store it."""
    return uuid7().bytes


def stable_event_id(*source: str) -> bytes:
    """The sixteen bytes of a UUIDv8 that are the same for the same source, always: an event under it is stored once."""
    return _as_uuid8(_packed(source))


def tenant_event_id(tenant_id: str, key: str, number: int) -> bytes:
    """The id that the nth event of a command had while idempotency keys belonged to the tenant and not to the caller."""
    return _as_uuid8("\x1f".join(("event", tenant_id, key, str(number))).encode("utf-8", "surrogatepass"))


def stable_id(prefix: str, *source: str) -> str:
    """The same id for the same source, always, and another for any other: what an import names twice is one thing.

    `source` is every word that makes the thing unique where it comes from, outermost first.
    """
    if any(_SEPARATOR in word for word in source):
        told_apart = _NO_TEXT + _packed(source)
    else:
        told_apart = _SEPARATOR.join(source).encode("utf-8", "surrogatepass")
    return f"{prefix}_{hashlib.sha256(told_apart).hexdigest()[:32]}"


_SEPARATOR = "\x1f"
_NO_TEXT = b"\xff"
"""A byte that no text has in UTF-8."""


def _packed(source: tuple[str, ...]) -> bytes:
    """Words as bytes that tell where each ends: other words are other bytes."""
    encoded = [word.encode("utf-8", "surrogatepass") for word in source]
    return b"".join(b"%d:%b," % (len(word), word) for word in encoded)


def _as_uuid8(source: bytes) -> bytes:
    digest = bytearray(hashlib.sha256(source).digest()[:16])
    digest[6], digest[8] = 0x80 | digest[6] & 0x0F, 0x80 | digest[8] & 0x3F
    return bytes(digest)
