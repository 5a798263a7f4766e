"""Signed checkpoints of a log, as C2SP defines them: notes, signatures with Ed25519, and those of witnesses with their time.

Nothing that a note says is trusted before somebody known has signed it. Keys are written as NAME+HASH+KEY.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from runfold.proofs.tree import HASH_BYTES

ED25519, COSIGNATURE = 1, 4
"""What a key is for: to sign as the log, or to sign as a witness, with the time."""
MAP_LINE = "runfold-map "
MOST_BYTES = 64 * 1024
"""A longer text is no checkpoint."""
_MOST_SIGNATURES = 64
_SIGNATURE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_AFTER_SIGNATURES = re.compile(r"^(— [^\n]*\n)\n*(?=[^—\n])", re.MULTILINE)
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_KEY_ID_BYTES, _TIME_BYTES, _PUBLIC_BYTES, _SIGNATURE_BYTES = 4, 8, 32, 64


class NoteRefused(ValueError):
    """A text that is no signed checkpoint, or that nobody known has signed."""


class Checkpoint(NamedTuple):
    """What a checkpoint says: how many leaves the tree of a name had, its root, and the root of the map of threads then."""

    origin: str
    size: int
    root: bytes
    map_root: bytes | None = None

    def body(self) -> str:
        """Return the text that is signed."""
        lines = [self.origin, str(self.size), _text(self.root)]
        lines += [] if self.map_root is None else [MAP_LINE + _text(self.map_root)]
        return "".join(f"{line}\n" for line in lines)


class Key(NamedTuple):
    """A public key, with the name and the purpose that it signs under."""

    name: str
    purpose: int
    public: bytes

    @property
    def id(self) -> bytes:
        """Return by which bytes a signature says that it was made with this key."""
        said = self.name.encode() + b"\n" + self.purpose.to_bytes(1) + self.public
        return hashlib.sha256(said).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_text(self.purpose.to_bytes(1) + self.public)}"


class Signed(NamedTuple):
    """A text with the signatures that came with it, of which none was looked at."""

    body: str
    signatures: tuple[tuple[str, bytes], ...]

    def checkpoint(self) -> Checkpoint:
        """Return what it says as a checkpoint. Raises NoteRefused."""
        lines = self.body.removesuffix("\n").split("\n")
        if len(lines) < 3 or not all(lines) or not _SIZE.fullmatch(lines[1]):
            raise NoteRefused("its lines are not those of a checkpoint")
        origin, size, root, *more = lines
        maps = [line.removeprefix(MAP_LINE) for line in more if line.startswith(MAP_LINE)]
        if len(maps) > 1:
            raise NoteRefused("it names two maps")
        return Checkpoint(origin, int(size), _hash(root), _hash(maps[0]) if maps else None)

    def signed_by(self, keys: Iterable[Key]) -> list[Key]:
        """Return the keys that have signed it. Raises NoteRefused for a signature that is wrong."""
        known = {(key.name, key.id): key for key in keys}
        found: list[Key] = []
        for name, raw in self.signatures:
            key = known.get((name, raw[:_KEY_ID_BYTES]))
            if key is None:
                continue
            if not _verifies(key, self.body, raw[_KEY_ID_BYTES:]):
                raise NoteRefused(f"the signature of {name} is wrong")
            if key not in found:
                found.append(key)
        return found


def read_note(text: str) -> Signed:
    """The text of a signed note → its body and its signatures. Raises NoteRefused."""
    body, blank, signed = text.rpartition("\n\n")
    if len(text) > MOST_BYTES or not blank or not signed.endswith("\n"):
        raise NoteRefused("it is no signed note")
    if any(ord(letter) < 32 and letter != "\n" for letter in text):
        raise NoteRefused("it holds control characters")
    found = []
    for line in signed.removesuffix("\n").split("\n"):
        if (match := _SIGNATURE.fullmatch(line)) is None:
            raise NoteRefused("its signatures cannot be read")
        found.append((match[1], _raw(match[2])))
    if len(found) > _MOST_SIGNATURES:
        raise NoteRefused("it has too many signatures")
    return Signed(f"{body}\n", tuple(found))


def notes_in(text: str) -> list[str]:
    """The texts of signed notes that follow one another, as `runfold seal now` shows those of several tenants."""
    return _AFTER_SIGNATURES.sub("\\1\0", f"{text.strip(chr(10))}\n").split("\0")


def read_key(text: str) -> Key:
    """NAME+HASH+KEY → the key. Raises NoteRefused."""
    name, _, rest = text.strip().partition("+")
    said, _, coded = rest.partition("+")
    try:
        raw = _raw(coded)
    except NoteRefused:
        raw = b""
    key = Key(name, raw[0] if raw else 0, raw[1:])
    fits = key.purpose in {ED25519, COSIGNATURE} and len(key.public) == _PUBLIC_BYTES and key.id.hex() == said
    if not name or any(letter.isspace() for letter in name) or not fits:
        raise NoteRefused(f"{text.strip()[:80]!r} is no public key of Ed25519 as NAME+HASH+KEY")
    return key


def public_key(private: Ed25519PrivateKey, name: str, purpose: int = ED25519) -> Key:
    """The public key of a private one, as it signs under a name."""
    return Key(name, purpose, private.public_key().public_bytes_raw())


def signature_line(body: str, private: Ed25519PrivateKey, name: str) -> str:
    """The line by which a log signs a text under a name."""
    raw = public_key(private, name).id + private.sign(body.encode())
    return f"— {name} {_text(raw)}\n"


def cosignature_line(body: str, private: Ed25519PrivateKey, name: str, seconds: int) -> str:
    """The line by which a witness says that a checkpoint is the largest that it has seen, at a time of the clock."""
    key = public_key(private, name, COSIGNATURE)
    signature = private.sign(_cosigned(body, seconds))
    return f"— {name} {_text(key.id + seconds.to_bytes(_TIME_BYTES) + signature)}\n"


def _cosigned(body: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{body}".encode()


def _verifies(key: Key, body: str, signature: bytes) -> bool:
    said = body.encode()
    if key.purpose == COSIGNATURE:
        said, signature = _cosigned(body, int.from_bytes(signature[:_TIME_BYTES])), signature[_TIME_BYTES:]
    if len(signature) != _SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, said)
    except (InvalidSignature, ValueError):
        return False
    return True


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _raw(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not raw or _text(raw) != text:
        raise NoteRefused("it holds what is no base64")
    return raw


def _hash(text: str) -> bytes:
    raw = _raw(text)
    if len(raw) != HASH_BYTES:
        raise NoteRefused("its root is no hash")
    return raw
