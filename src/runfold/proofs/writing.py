"""Writes a bundle: its files, line by line, and at the end the MANIFEST. The same facts make the same bytes."""

import contextlib
import hashlib
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from runfold.proofs.claims import Claims, write_claims
from runfold.proofs.container import CHECKPOINT, CLAIMS, ENTRIES, EVENTS, MANIFEST, MAP, PROOFS, REPORT, Described, manifest_of
from runfold.proofs.leaf import Leaf
from runfold.proofs.records import Shown, ThreadInMap, write_event, write_proof, write_thread


class BundleWriter:
    """A bundle in a folder that was empty. It is none before `finish`, for without a MANIFEST nobody reads it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = contextlib.ExitStack()
        self._files: dict[str, IO[bytes]] = {}
        self._digests = {name: (hashlib.sha256(), 0) for name in (ENTRIES, EVENTS, PROOFS, MAP, REPORT)}

    def __enter__(self) -> Self:
        self._files = {name: self._open.enter_context((self._folder / name).open("xb")) for name in self._digests}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._open.close()

    def add(self, leaf: Leaf, shown: Shown | None, proof: list[bytes] | None) -> None:
        """Add what follows: a leaf, its event unless that is left out, and its proof unless all leaves are there."""
        self._write(ENTRIES, leaf.encoded() + b"\n")
        if shown is not None:
            self._write(EVENTS, write_event(shown))
        if proof is not None:
            self._write(PROOFS, write_proof(leaf.seq, proof))

    def add_thread(self, found: ThreadInMap) -> None:
        """Add what the map says of a thread."""
        self._write(MAP, write_thread(found))

    def add_beside(self, name: str, line: bytes) -> None:
        """Add a line to a file that not every bundle has."""
        if name not in self._files:
            self._files[name] = self._open.enter_context((self._folder / name).open("xb"))
            self._digests[name] = hashlib.sha256(), 0
        self._write(name, line)

    def report(self, text: str) -> None:
        """Add to the report for people."""
        self._write(REPORT, text.encode())

    def finish(self, claims: Claims, note: str) -> None:
        """Write what is left, and the MANIFEST."""
        self._open.close()
        described = [Described(name, size, digest.hexdigest()) for name, (digest, size) in self._digests.items()]
        for name, raw in {CLAIMS: write_claims(claims).encode(), CHECKPOINT: note.encode()}.items():
            (self._folder / name).write_bytes(raw)
            described.append(Described(name, len(raw), hashlib.sha256(raw).hexdigest()))
        (self._folder / MANIFEST).write_text(manifest_of(described), encoding="utf-8", newline="\n")

    def _write(self, name: str, line: bytes) -> None:
        digest, size = self._digests[name]
        digest.update(line)
        self._digests[name] = digest, size + len(line)
        self._files[name].write(line)
