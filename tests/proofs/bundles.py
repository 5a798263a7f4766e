"""Bundles of a made-up log, written with what the room itself holds."""

import hashlib
import json
import random
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runfold.proofs.answer import AnswerRow, write_row
from runfold.proofs.claims import Absence, Answer, Claims, Sample
from runfold.proofs.container import ANSWER, MANIFEST, SAMPLE, Described, manifest_of
from runfold.proofs.leaf import Leaf, envelope, envelope_digest, payload_digest, salts
from runfold.proofs.note import Checkpoint, public_key, signature_line
from runfold.proofs.records import Shown, ThreadInMap
from runfold.proofs.sample import SampledRun, write_run
from runfold.proofs.thread_map import MapEntry, key_of, prove_among, root_of
from runfold.proofs.writing import BundleWriter
from tests.proofs import naive

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
ORIGIN = "runfold/made-up"
POLICY = f"log {public_key(KEY, ORIGIN)}\nquorum none\n"
ASKED, GRANTED = "approval.requested", "approval.granted"
ANSWER_OF_A = Answer("counts", ("thread_a",), "thread_a", 110, "epoch", 1, "digest")
"""An answer that a made-up fold gives: how many events there are."""


def listed_anew(folder: Path) -> None:
    """Write the MANIFEST anew, as somebody does who lies."""
    files = [path for path in sorted(folder.iterdir()) if path.name != MANIFEST]
    described = [Described(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
    (folder / MANIFEST).write_text(manifest_of(described))


def change_something(whole: Path, folder: Path, names: Sequence[str], dice: random.Random) -> str:
    """Copy a bundle, with something changed in one of some files, and mostly a MANIFEST that says so; return which."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    name = dice.choice(names)
    raw = (folder / name).read_bytes()
    at, until = sorted(dice.sample(range(len(raw)), 2))
    changed = dice.choice(
        [
            raw[:at] + bytes([raw[at] ^ (1 << dice.randrange(8))]) + raw[at + 1 :],
            raw[:at] + raw[until:],
            raw[:until] + raw[at:],
            raw[:at] + dice.randbytes(3) + raw[at:],
        ]
    )
    (folder / name).write_bytes(changed)
    if dice.random() < 0.9:
        listed_anew(folder)
    return name


ALTERNATING = [
    event
    for type_, stream in zip(
        ["thread.created", ASKED, GRANTED, ASKED, "run.started"],
        ["thread_a", "approval_1", "approval_1", "approval_2", "run_1"],
        strict=True,
    )
    for event in (("thread_a", stream, type_), ("thread_b", f"{stream}_b", "message.added"))
]
"""The events of two threads take turns; thread_a is granted call_1 and asks for call_2."""


class MadeUp:
    """A log of one tenant."""

    def __init__(self, events: Sequence[tuple[str, str, str]] = ALTERNATING, *, has_map: bool = True) -> None:
        """Make up a log of `events`: the thread, the stream and the type of each."""
        self.leaves: list[Leaf] = []
        self.shown: list[Shown] = []
        self.threads: list[str] = []
        for thread, stream, type_ in events:
            call = f"call_{stream[-1]}" if type_ == ASKED else None
            payload = {"text": "hello"} if type_ == "message.added" else {"call_id": call} if call else {"amount": "46.00 EUR"}
            self._add(self.threads.count(thread) + 1, thread, stream, type_, payload)
        self.hashes = [leaf.hash() for leaf in self.leaves]
        ends = {thread: at for at, thread in enumerate(self.threads)}
        self.entries = {
            thread: MapEntry(key_of(thread), self.leaves[at].thread_seq, self.hashes[at]) for thread, at in ends.items()
        }
        map_root = root_of(self.entries.values()) if has_map else None
        self.checkpoint = Checkpoint(ORIGIN, len(self.leaves), naive.root(self.hashes), map_root)

    def _add(self, count: int, thread: str, stream: str, type_: str, payload: dict[str, str | None]) -> None:
        seq = len(self.leaves) + 1
        state, (payload_salt, envelope_salt) = json.dumps(payload).encode(), salts(bytes([seq]) * 16)
        beside = envelope(
            event_id=f"{seq:032x}",
            tenant_id="t",
            thread_id=thread,
            recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
            context="{}",
            metadata='{"actor":"human:ada"}',
        )
        digests = payload_digest(payload_salt, state), envelope_digest(envelope_salt, beside)
        self.leaves.append(Leaf(seq, count, stream, count, type_, 1, 100 + seq, *digests))
        self.shown.append(Shown(seq, beside, envelope_salt, state, payload_salt))
        self.threads.append(thread)

    def note(self, key: Ed25519PrivateKey = KEY) -> str:
        body = self.checkpoint.body()
        return f"{body}\n{signature_line(body, key, ORIGIN)}"

    def write(
        self,
        folder: Path,
        *threads: str,
        log: bool = False,
        absence: Absence | None = None,
        answer: Answer | None = None,
        rows: Sequence[AnswerRow] = (AnswerRow(109, {"thread": "thread_a", "events": 5}),),
        sample: Sample | None = None,
        population: Sequence[SampledRun] = (),
        left_out: set[int] | None = None,
        alone: set[int] | None = None,
        lacking: set[int] | None = None,
        key: Ed25519PrivateKey = KEY,
    ) -> Path:
        """Write a bundle. Of `left_out` the payload is left out, of `alone` all but the leaf; `lacking` are not there at all."""
        folder.mkdir()
        with BundleWriter(folder) as writer:
            for at, leaf in enumerate(self.leaves):
                if leaf.seq in (lacking or set()) or not (log or self.threads[at] in threads):
                    continue
                shown: Shown | None = self.shown[at]
                if leaf.seq in (left_out or set()):
                    shown = self.shown[at]._replace(payload=None, payload_salt=None)
                if leaf.seq in (alone or set()):
                    shown = None
                writer.add(leaf, shown, None if log else naive.inclusion(at, self.hashes))
            if self.checkpoint.map_root is not None:
                for thread in threads:
                    entry = self.entries[thread]
                    proof = prove_among(entry.key, self.entries.values())
                    writer.add_thread(ThreadInMap(thread, entry.events, entry.last_leaf, proof))
            for row in rows if answer is not None else ():
                writer.add_beside(ANSWER, write_row(row))
            for run in population if sample is not None else ():
                writer.add_beside(SAMPLE, write_run(run))
            writer.report("<p>for people\n")
            writer.finish(Claims(threads, log, absence, answer, sample), self.note(key))
        return folder
