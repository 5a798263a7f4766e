"""A witness: signs checkpoints of logs that have only grown since the last one that it has signed, as C2SP's tlog-witness.

It needs no ledger and no database: a folder with its key and the last size and root of each log, kept by somebody whom the
administrators of the ledger do not command. Two histories for two readers need two checkpoints, of which it signs one.
"""

import base64
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runfold.durable_files import write_whole
from runfold.errors import UsageError
from runfold.logs import logger
from runfold.proofs.note import COSIGNATURE, Checkpoint, Key, NoteRefused, cosignature_line, public_key, read_note
from runfold.proofs.tree import EMPTY_ROOT, ProofFailed, verify_consistency

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MOST_BYTES = 128 * 1024
_MOST_HASHES = 63
_SEED_BYTES = 32


class CannotSign(Exception):
    """The witness is not able to sign anything, whoever asks; it says why, and what to do."""


class _Noted(NamedTuple):
    """What was signed last of a log."""

    size: int
    root: bytes


class Answer(NamedTuple):
    """What a witness says to a request, by the statuses of HTTP."""

    status: int
    text: str
    media_type: str = "text/plain; charset=utf-8"


class Witness:
    """One witness, under a name."""

    def __init__(self, folder: Path, name: str, logs: list[Key], now: Callable[[], float] = time.time) -> None:
        """Take the key from the folder, or make one there. Raises UsageError."""
        if not name or any(letter.isspace() or letter == "+" for letter in name):
            raise UsageError(f"{name!r} is no name for a witness; take one without spaces and +, as witness.example.com/one")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._name, self._logs, self._now = folder, name, logs, now
        self.key_file = folder / "key"
        self.is_new = not self.key_file.exists()
        """Whether the key was made now. It is one for each folder, under whatever names it signs."""
        self._private = _key_in(self.key_file)

    @property
    def key(self) -> Key:
        """Return the public key, as policies name it."""
        return public_key(self._private, self._name, COSIGNATURE)

    def add_checkpoint(self, raw: bytes) -> Answer:
        """Sign a checkpoint that comes with the proof that its log has only grown, and note it first."""
        try:
            head, _, text = raw.decode().partition("\n\n")
            old, *lines = head.split("\n")
            size, proof = _size(old), [base64.b64decode(line, validate=True) for line in lines]
            signed = read_note(text)
            checkpoint = signed.checkpoint()
        except ValueError as error:
            return Answer(400, f"the request cannot be read ({type(error).__name__})\n")
        known = [key for key in self._logs if key.name == checkpoint.origin]
        if not known:
            return Answer(404, "no log of that name is known here\n")
        try:
            is_signed = bool(signed.signed_by(known))
        except NoteRefused:
            is_signed = False
        if not is_signed:
            return Answer(403, "no key of that log that is known here has signed it\n")
        if size > checkpoint.size or len(proof) > _MOST_HASHES:
            return Answer(400, "the old size is larger than the new one, or the proof is too long\n")
        try:
            with self._locked(checkpoint.origin) as file:
                return self._add(file, size, proof, checkpoint, signed.body)
        except (OSError, CannotSign) as error:
            logger().error("the witness cannot sign", origin=checkpoint.origin, error=str(error))
            return Answer(500, "this witness cannot sign anything now; whoever runs it is told why\n")

    def _add(self, file: Path, size: int, proof: list[bytes], checkpoint: Checkpoint, body: str) -> Answer:
        if (now := int(self._now())) < 0:
            raise CannotSign("its clock says that it is before 1970; set it right")
        kept = _noted(file)
        if size != kept.size:
            return Answer(409, f"{kept.size}\n", "text/x.tlog.size")
        root = kept.root
        if size == checkpoint.size and root != checkpoint.root:
            return Answer(409, f"{size}\n", "text/x.tlog.size")
        try:
            verify_consistency(size, checkpoint.size, proof, root, checkpoint.root)
        except ProofFailed as error:
            return Answer(422, f"{error}\n")
        signed = {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
        write_whole(file, json.dumps(signed).encode())
        return Answer(200, cosignature_line(body, self._private, self._name, now))

    @contextmanager
    def _locked(self, origin: str) -> Iterator[Path]:
        """Give the file in which the last checkpoint of a log is noted; one at a time, among all processes."""
        file = self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()}.json"
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield file


def server(witness: Witness, host: str, port: int) -> ThreadingHTTPServer:
    """A server of a witness: POST /add-checkpoint. Raises OSError."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10
        server_version = "runfold-witness"

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != "/add-checkpoint":
                answer = Answer(404, "POST /add-checkpoint\n")
            elif not (length.isascii() and length.isdecimal() and len(length) < 10 and int(length) <= MOST_BYTES):
                answer = Answer(413, f"a request has a length of up to {MOST_BYTES} bytes\n")
            else:
                answer = witness.add_checkpoint(self.rfile.read(int(length)))
            raw = answer.text.encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing of requests."""

    found = ThreadingHTTPServer((host, port), Handler)
    found.daemon_threads = True
    return found


def _noted(file: Path) -> _Noted:
    """Return what was signed last of a log; of one that is new here, that it was empty. Raises OSError, CannotSign."""
    try:
        kept = json.loads(file.read_bytes())
        noted = _Noted(kept["size"], bytes.fromhex(kept["root"]))
        is_sound = type(noted.size) is int and noted.size >= 0 and len(noted.root) == len(EMPTY_ROOT)
    except FileNotFoundError:
        return _Noted(0, EMPTY_ROOT)
    except (ValueError, LookupError, TypeError, RecursionError):
        is_sound = False
    if not is_sound:
        step = "put it back as it was; without it this witness might sign a second history"
        raise CannotSign(f"{file} does not say what was signed last; {step}")
    return noted


def _size(line: str) -> int:
    word, _, size = line.partition(" ")
    if word != "old" or not (size.isascii() and size.isdecimal() and len(size) < 20) or str(int(size)) != size:
        raise ValueError("no old size")
    return int(size)


def _key_in(file: Path) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  few processes sign

    if not file.exists():
        write_whole(file, base64.b64encode(os.urandom(_SEED_BYTES)) + b"\n")
    try:
        seed = base64.b64decode(file.read_bytes().strip(), validate=True)
        return Ed25519PrivateKey.from_private_bytes(seed)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} holds no key of a witness ({type(error).__name__}); put the right one back") from None
