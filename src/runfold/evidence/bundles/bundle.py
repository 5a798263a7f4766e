"""Makes a bundle: the sealed events of some threads, or all, with what proves them to somebody who has no Runfold.

All is read at one moment, as of the last checkpoint. What stands in the log goes in as it stands: whether it is what was sealed
is for whoever verifies to say, and is said here too.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from psycopg.rows import tuple_row

from runfold.commands.caller import Envelope
from runfold.domain.event import event_types
from runfold.domain.recorded import not_as_stored
from runfold.domain.security import MOST_THREADS_NAMED, BundleMade
from runfold.errors import SealingRefused
from runfold.evidence.bundles import report
from runfold.evidence.bundles.answers import AnswerAsked
from runfold.evidence.bundles.hidden import redactions, undisclosed_types
from runfold.evidence.bundles.packing import hand_over, require_new
from runfold.evidence.bundles.planning import QUERIES, Asked, Planned, Planner, SealedTree, sealed_tree
from runfold.evidence.bundles.refolding import folding
from runfold.evidence.bundles.samples import DrawnSample, SampleAsked, draw
from runfold.evidence.bundles.showing import Showing
from runfold.evidence.publishing.cosigning import cosigned
from runfold.evidence.publishing.timestamping import timestamp
from runfold.evidence.sealing.comparing import tile_reader
from runfold.evidence.sealing.mapping import entries_in, part_reader
from runfold.evidence.sealing.signing import not_signed
from runfold.handles.ledgers.security_record import submit_alone
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.proofs.answer import write_row
from runfold.proofs.claims import Claims
from runfold.proofs.container import ANSWER, CHECKPOINT, MANIFEST, SAMPLE, TIMESTAMP, open_bundle
from runfold.proofs.findings import Findings, Seen
from runfold.proofs.leaf import Leaf, salts
from runfold.proofs.note import Checkpoint, read_note
from runfold.proofs.receipt import ToldEvent
from runfold.proofs.records import Shown, ThreadInMap
from runfold.proofs.stored import StoredEvent
from runfold.proofs.thread_map import key_of, prove
from runfold.proofs.tiles import Tiles
from runfold.proofs.verify import findings_of
from runfold.proofs.writing import BundleWriter
from runfold.store.datastore import Connection, Datastore

_AT_ONCE = 500
_LEAF_FIELDS = len(Leaf._fields)
_THREAD = _LEAF_FIELDS + StoredEvent._fields.index("thread_id")
_NONE_IS_SEALED = "run `runfold seal now` where they were only just recorded; `runfold verify-receipt` tells what became of them"
Progress = Callable[[int, int], object]


class Made(NamedTuple):
    """A bundle that was made."""

    folder: Path
    threads: tuple[str, ...]
    events: int
    unsealed: int
    """Events of the ledger that are not sealed yet, and not in it."""
    findings: Findings
    """What a verifier says of it."""
    signature_verified: bool
    """Whether the keys are known here that the checkpoint should be signed with, so that it was held against them."""


@dataclass
class BundleMaker:
    """Makes bundles of one tenant's events, and has each recorded before anybody can have it."""

    ledger: TenantLedger
    left_out: Sequence[str] = ()
    """Patterns of the event types of which the payload is left out."""
    progress: Progress = lambda _done, _total: None
    witnesses: Sequence[str] = ()
    """Addresses of witnesses whose signatures go under the checkpoint."""
    envelope: Envelope = field(default_factory=Envelope)
    """Who has it made, where that is not the ledger's own caller."""
    timestamp_url: str | None = None
    """Where the checkpoint is stamped with the time."""
    public_keys: Sequence[bytes] | None = None
    """Those of who signs here, which the checkpoint is held against; None where they are not known."""
    is_for_http: bool = False
    """Whether payloads are left out that HTTP does not show: with fields that it never shows, and of redacted messages."""

    @property
    def tenant_id(self) -> str:
        """Return whose events they are."""
        return self.ledger.caller.tenant_id

    def make(
        self,
        folder: Path,
        ids: Sequence[str],
        *,
        absence: tuple[str, str | None] | None = None,
        answer: AnswerAsked | None = None,
        sample: SampleAsked | None = None,
        told: Sequence[ToldEvent] = (),
    ) -> Made:
        """Make a bundle of the threads that some threads, runs or approvals belong to; of the whole log where none is named.

        Of what was `told` in a receipt it has the single events, with threads or without, and is held against the receipt.
        `absence` is an event type, and the call it is about if it is about one, which the bundle is to show absent from the one
        thread, or from the whole log. `answer` are rows of a read model that the bundle is to show to follow from its events, and
        `sample` is of runs; which threads go in is found by that. Raises NotFound, SealingRefused, UsageError, LedgerUnavailable.
        """
        more = undisclosed_types() if self.is_for_http else []
        self.left_out = tuple(dict.fromkeys([*event_types.patterns(self.left_out), *more]))
        require_new(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            with self._drawn(sample) as drawn, self._store.reading() as connection, connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                asked = Asked(ids, absence, answer, [each.position for each in told])
                claims, checkpoint, unsealed = self._write(connection, making, asked, drawn)
            findings = findings_of(open_bundle(making), checkpoint, folding, told=told)
            self._hold_against_keys(making, findings)
            self._record(making, claims, checkpoint, sum(findings.counts.values()))
            hand_over(making, folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        known = self.public_keys is not None
        return Made(folder, claims.threads, sum(findings.counts.values()), unsealed, findings, known)

    def _hold_against_keys(self, folder: Path, findings: Findings) -> None:
        """Note whether nobody who signs here has signed the checkpoint: who may write to the database can put another there."""
        note = (folder / CHECKPOINT).read_text(encoding="utf-8")
        if self.public_keys is not None and (why := not_signed(note, self.public_keys)) is not None:
            findings.problem(f"NOT SIGNED: {why}")

    @property
    def _store(self) -> Datastore:
        return self.ledger.command_executor.recorder.store

    def _drawn(self, sample: SampleAsked | None) -> AbstractContextManager[DrawnSample | None]:
        """The sample as of the last checkpoint. It may take its time, so not in a transaction."""
        if sample is None:
            return nullcontext()
        with self._store.reading() as connection:
            position = sealed_tree(connection, self.tenant_id).position
        return draw(self.ledger, sample, position)

    def _record(self, folder: Path, claims: Claims, checkpoint: Checkpoint, events: int) -> None:
        digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
        made = BundleMade(
            origin=checkpoint.origin,
            size=checkpoint.size,
            manifest_digest=f"sha256:{digest}",
            events=events,
            whole_log=claims.log,
            threads=claims.threads[:MOST_THREADS_NAMED],
            thread_count=len(claims.threads),
            absent_type=None if claims.absence is None else claims.absence.type,
            read_model=None if claims.answer is None else claims.answer.read_model,
            row_key=() if claims.answer is None else claims.answer.key,
            seed=None if claims.sample is None else claims.sample.seed,
            left_out=tuple(self.left_out),
        )
        submit_alone(self.ledger.executor, made, self.envelope).result()

    def _write(
        self, connection: Connection, folder: Path, asked: Asked, sample: DrawnSample | None
    ) -> tuple[Claims, Checkpoint, int]:
        tree = sealed_tree(connection, self.tenant_id)
        checkpoint = read_note(tree.note).checkpoint()
        planned = Planner(connection, self.tenant_id, tree, self.left_out).plan(asked, sample)
        showing = self._without_hidden(connection, planned)
        tiles = Tiles(tile_reader(connection, self.tenant_id, tree.generation))
        note = cosigned(tree.note + tree.cosignatures, self.witnesses, tiles.consistency)
        with BundleWriter(folder) as writer:
            writer.report(report.head(checkpoint, planned.claims))
            count = 0
            for count, (leaf, thread_id, whole) in enumerate(self._events(connection, tree, planned, asked.positions), 1):
                shown = showing.of(leaf, thread_id, whole)
                writer.add(leaf, shown, None if planned.claims.log else tiles.inclusion(leaf.seq - 1, tree.size))
                if shown is not None:
                    writer.report(report.row(leaf, shown))
                if planned.rows is not None:
                    planned.rows.folding.take(Seen(leaf, whole, thread_id, {}))
                if count % _AT_ONCE == 0:
                    self.progress(leaf.seq, tree.size)
            if not count:
                raise SealingRefused("none of these events is sealed here", _NONE_IS_SEALED)
            for row in planned.rows.rows() if planned.rows is not None else ():
                writer.add_beside(ANSWER, write_row(row))
                writer.report(report.answer(row))
            for line in sample.lines() if sample is not None else ():
                writer.add_beside(SAMPLE, line)
            writer.report(report.TAIL)
            for thread in planned.claims.threads if tree.has_map else ():
                writer.add_thread(self._in_map(connection, tree, thread))
            if self.timestamp_url:
                writer.add_beside(TIMESTAMP, timestamp(note.encode(), self.timestamp_url))
            writer.finish(planned.claims, note)
        self.progress(tree.size, tree.size)
        return planned.claims, checkpoint, max(0, tree.unsealed)

    def _without_hidden(self, connection: Connection, planned: Planned) -> Showing:
        """What is shown, without what HTTP does not show where the bundle goes over it."""
        if not self.is_for_http:
            return planned.showing
        threads = () if planned.claims.log else planned.claims.threads
        with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            return replace(planned.showing, hides=redactions(cursor, self.tenant_id, threads))

    def _events(
        self, connection: Connection, tree: SealedTree, planned: Planned, positions: Sequence[int]
    ) -> Iterator[tuple[Leaf, str, Shown]]:
        asked = {
            "tenant_id": self.tenant_id,
            "generation": tree.generation,
            "size": tree.size,
            "every": planned.claims.log,
            "threads": list(planned.claims.threads),
            "positions": list(positions),
        }
        name = f"bundle_{os.urandom(4).hex()}"
        with connection.cursor(name, row_factory=tuple_row) as cursor:
            cursor.itersize = _AT_ONCE
            for row in cursor.execute(QUERIES["sealed events"], asked):
                leaf = Leaf(*row[:_LEAF_FIELDS])
                whole = _whole(leaf, row[_LEAF_FIELDS:])
                yield leaf, row[_THREAD], whole

    def _in_map(self, connection: Connection, tree: SealedTree, thread: str) -> ThreadInMap:
        asked = {"tenant_id": self.tenant_id, "generation": tree.generation, "key": key_of(thread)}
        with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            found: Any = cursor.execute(QUERIES["in map"], asked).fetchone()
            _, events, last_leaf = found
            whose = cursor, self.tenant_id, tree.generation
            proof = prove(key_of(thread), part_reader(*whose), lambda bucket: entries_in(*whose, [bucket]).get(bucket, []))
        return ThreadInMap(thread, events, last_leaf, proof)


def _whole(leaf: Leaf, row: tuple[Any, ...]) -> Shown:
    event = StoredEvent._make(row)
    if event.position is None or event.salt is None:
        fact = f"{leaf.type}, version {leaf.version} of {leaf.stream}, was sealed at position {leaf.position} and is not there"
        raise SealingRefused(fact, "run `runfold verify --full`: the log was changed")
    payload_salt, envelope_salt = salts(event.salt)
    try:
        return Shown(leaf.seq, event.envelope(), envelope_salt, bytes(event.state), payload_salt)
    except RecursionError as error:
        raise not_as_stored(event.type, event.position, "context or metadata", error) from None
