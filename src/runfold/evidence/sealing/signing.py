"""The keys that checkpoints are signed with: a file outside of the database, and signed notes as C2SP defines them.

The file holds Ed25519 keys in base64, one a line, and only its owner reads it. Every one of them signs each note. To change the
key, `runfold seal rotate` puts a new one on the first line; once everybody who verifies knows it, the old line is removed.
"""

import base64
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runfold.durable_files import write_whole
from runfold.errors import SealingRefused
from runfold.file_errors import why
from runfold.logs import logger
from runfold.proofs.note import ED25519, Checkpoint, Key, NoteRefused, Signed, public_key, read_note, signature_line

SEED_BYTES = 32


class Signer:
    """The keys of one file. The first is the one that counts; the others sign as long as somebody may not know it yet."""

    def __init__(self, keys: Sequence[Ed25519PrivateKey]) -> None:
        self._keys = list(keys)

    @property
    def public_keys(self) -> list[bytes]:
        """Return the public keys, the first one first."""
        return [key.public_key().public_bytes_raw() for key in self._keys]

    def sign(self, checkpoint: Checkpoint) -> str:
        """Return the signed note of a checkpoint."""
        body = checkpoint.body()
        return f"{body}\n{''.join(signature_line(body, key, checkpoint.origin) for key in self._keys)}"

    def verifier_keys(self, origin: str) -> list[str]:
        """Return the public keys, the first one first, as a policy names them."""
        return [str(public_key(key, origin)) for key in self._keys]


def require_signed(note: Signed, publics: Iterable[bytes]) -> Checkpoint:
    """Return what a note says. Raises NoteRefused unless one of some keys has signed it under the name of its tree."""
    checkpoint = note.checkpoint()
    if not note.signed_by(Key(checkpoint.origin, ED25519, public) for public in publics):
        raise NoteRefused(f"no key that is known has signed it as {checkpoint.origin}")
    return checkpoint


def not_signed(note: str, publics: Iterable[bytes]) -> str | None:
    """Return why the checkpoint that the database holds is none that one of some keys has signed; None where one has."""
    try:
        require_signed(read_note(note), publics)
    except NoteRefused as error:
        step = "where keys were changed, `runfold seal now` signs anew; else find out who wrote it"
        return f"the checkpoint in the database is not one of ours: {error}; {step}"
    return None


def read_signer(file: Path, *, may_make: bool) -> Signer:
    """Return the keys of a file; where there is none, one is made if it may be. Raises SealingRefused."""
    if not file.exists():
        if not may_make:
            fact = f"the log was sealed before, and its signing keys are not in {file}"
            raise SealingRefused(fact, "put the file back, or see `runfold seal rotate --help` for keys that were lost")
        if _write_whole(file, [os.urandom(SEED_BYTES)], over=False):
            step = "keep a copy of it apart from the database: only who has it can seal the log on"
            logger().warning("signing keys were made", file=str(file), next_step=step)
    return Signer([Ed25519PrivateKey.from_private_bytes(seed) for seed in _seeds(file)])


def known_publics(file: Path) -> list[bytes] | None:
    """Return the public keys of a file, the first one first; None where there is none that can be read here."""
    with suppress(SealingRefused, PermissionError):
        return read_signer(file, may_make=False).public_keys
    return None


def add_key(file: Path, *, only: bool) -> None:
    """Put a new key on the first line; with `only`, the others go. Raises SealingRefused."""
    kept = [] if only or not file.exists() else _seeds(file)
    _write_whole(file, [os.urandom(SEED_BYTES), *kept], over=True)


def keep_newest(file: Path) -> int:
    """Keep the first key alone; return how many went. Raises SealingRefused."""
    first, *others = _seeds(file)
    _write_whole(file, [first], over=True)
    return len(others)


def _seeds(file: Path) -> list[bytes]:
    try:
        seeds = [base64.b64decode(line.strip(), validate=True) for line in file.read_bytes().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise SealingRefused(
            f"the signing keys in {file} cannot be read ({why(error)})", "put the file back from where it is kept"
        ) from None
    if not seeds or any(len(seed) != SEED_BYTES for seed in seeds):
        raise SealingRefused(f"{file} holds no signing keys", f"put one key of {SEED_BYTES} bytes in base64 on each line")
    return seeds


def _write_whole(file: Path, seeds: Sequence[bytes], *, over: bool) -> bool:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return write_whole(file, b"".join(base64.b64encode(seed) + b"\n" for seed in seeds), over=over)
