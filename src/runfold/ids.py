"""Ids: a prefix that says what it is of, and a time-ordered unique part (UUIDv7). Deterministic ones for imports."""

import hashlib

from uuid_utils import uuid7


def new_id(prefix: str) -> str:
    """`run_0198c0…`: unique for ever, and later ones sort after earlier ones of the same process."""
    return f"{prefix}_{uuid7().hex}"


def new_event_id() -> bytes:
    """The sixteen bytes of a UUIDv7, given to an event before the first try to store it."""
    return uuid7().bytes


def stable_event_id(tenant_id: str, key: str, number: int) -> bytes:
    """The id of the nth event of a command that was asked for under a key: always the same sixteen bytes (a UUIDv8)."""
    digest = bytearray(hashlib.sha256("\x1f".join(("event", tenant_id, key, str(number))).encode()).digest()[:16])
    digest[6], digest[8] = 0x80 | digest[6] & 0x0F, 0x80 | digest[8] & 0x3F
    return bytes(digest)


def stable_id(prefix: str, *source: str) -> str:
    """The same id for the same source, always: what an import names twice is one thing.

    `source` is every word that makes the thing unique where it comes from, outermost first.
    """
    digest = hashlib.sha256("\x1f".join(source).encode())
    return f"{prefix}_{digest.hexdigest()[:32]}"
