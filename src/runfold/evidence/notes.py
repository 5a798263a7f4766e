"""Signed notes of checkpoints, read back: what they say, and whether they were signed with a key that is known."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from runfold.evidence.signing import ED25519, KEY_HASH_BYTES, MAP_LINE, Checkpoint, key_hash
from runfold.proofs.tree import HASH_BYTES

MOST_BYTES = 64 * 1024
"""A longer text is no checkpoint."""
_SIGNATURE = re.compile(r"— (\S+) ([A-Za-z0-9+/=]+)")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_PUBLIC_BYTES = 32


class NotACheckpoint(ValueError):
    """A text that is no signed checkpoint, or that nobody known has signed."""


class Note(NamedTuple):
    """A note as it was read. Nothing of it is trusted before `require_signed`."""

    checkpoint: Checkpoint
    body: str
    signatures: tuple[tuple[str, bytes], ...]


def read_note(text: str) -> Note:
    """The text of a signed note → what it says. Raises NotACheckpoint."""
    body, blank, signed = text.rpartition("\n\n")
    lines = body.split("\n")
    if len(text) > MOST_BYTES or not blank or not signed.endswith("\n") or len(lines) < 3:
        raise NotACheckpoint("it is no signed checkpoint")
    origin, size, root, *more = lines
    if not origin or not _SIZE.fullmatch(size) or not all(more):
        raise NotACheckpoint("its lines are not those of a checkpoint")
    maps = [line.removeprefix(MAP_LINE) for line in more if line.startswith(MAP_LINE)]
    if len(maps) > 1:
        raise NotACheckpoint("it names two maps")
    found = []
    for line in signed.removesuffix("\n").split("\n"):
        if (match := _SIGNATURE.fullmatch(line)) is None:
            raise NotACheckpoint("its signatures cannot be read")
        found.append((match[1], _raw(match[2])))
    checkpoint = Checkpoint(origin, int(size), _hash(root), _hash(maps[0]) if maps else None)
    return Note(checkpoint, f"{body}\n", tuple(found))


def require_signed(note: Note, publics: Iterable[bytes]) -> None:
    """Raise NotACheckpoint unless one of some keys has signed it under its origin."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  most processes verify nothing
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    origin = note.checkpoint.origin
    known: Mapping[bytes, bytes] = {key_hash(origin, public): public for public in publics}
    for name, signature in note.signatures:
        public = known.get(signature[:KEY_HASH_BYTES])
        if name != origin or public is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature[KEY_HASH_BYTES:], note.body.encode())
        except InvalidSignature:
            raise NotACheckpoint(f"the signature of {name} is wrong") from None
        return
    raise NotACheckpoint(f"no key that is known has signed it as {origin}")


def public_of(verifier_key: str) -> bytes:
    """The public key in `NAME+HASH+KEY`. Raises NotACheckpoint."""
    name, hash_, key = _split_key(verifier_key.strip())
    if len(key) != _PUBLIC_BYTES + 1 or key[:1] != ED25519 or key_hash(name, key[1:]).hex() != hash_:
        raise NotACheckpoint(f"{verifier_key.strip()[:80]!r} is no public key of Ed25519 as NAME+HASH+KEY")
    return key[1:]


def _split_key(text: str) -> tuple[str, str, bytes]:
    name, _, rest = text.partition("+")
    hash_, _, key = rest.partition("+")
    try:
        return name, hash_, base64.b64decode(key, validate=True)
    except binascii.Error:
        return name, hash_, b""


def _raw(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise NotACheckpoint("it holds what is no base64") from None


def _hash(text: str) -> bytes:
    raw = _raw(text)
    if len(raw) != HASH_BYTES or base64.b64encode(raw).decode() != text:
        raise NotACheckpoint("its root is no hash")
    return raw
