"""Makes a bundle: the sealed events of some threads, or all, with what proves them to somebody who has no Runfold.

All is read at one moment, as of the last checkpoint. What stands in the log goes in as it stands: whether it is what was sealed
is for whoever verifies to say, and is said here too.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from psycopg.rows import tuple_row

from runfold.commands.caller import Envelope
from runfold.domain.event import event_types
from runfold.domain.security import MOST_THREADS_NAMED, BundleMade
from runfold.errors import NotFound, RowNotFound, SealingRefused, UsageError
from runfold.evidence import report
from runfold.evidence.answers import AnswerAsked, AnswerRows
from runfold.evidence.comparing import tile_reader
from runfold.evidence.cosigning import cosigned
from runfold.evidence.hidden import redactions, undisclosed_types
from runfold.evidence.mapping import entries_in, part_reader
from runfold.evidence.packing import hand_over, require_new
from runfold.evidence.refolding import folding
from runfold.evidence.showing import Showing
from runfold.handles.security_record import submit_alone
from runfold.handles.tenant_ledger import TenantLedger
from runfold.proofs.answer import write_row
from runfold.proofs.claims import Absence, Claims
from runfold.proofs.container import ANSWER, MANIFEST, open_bundle
from runfold.proofs.findings import Findings, Seen
from runfold.proofs.leaf import Leaf, envelope, salts
from runfold.proofs.note import Checkpoint, read_note
from runfold.proofs.receipt import Told
from runfold.proofs.records import Shown, ThreadInMap
from runfold.proofs.thread_map import key_of, prove
from runfold.proofs.tiles import Tiles
from runfold.proofs.verify import findings_of
from runfold.proofs.writing import BundleWriter
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

_QUERIES = named_queries("runfold.evidence", "bundle.sql")
_AT_ONCE = 500
_LEAF_FIELDS = len(Leaf._fields)
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


class _Tree(NamedTuple):
    generation: int
    size: int
    note: str
    has_map: bool
    unsealed: int
    position: int
    """Of the last event of the checkpoint."""
    epoch: str
    cosignatures: str
    """The lines of witnesses that have signed the checkpoint."""


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
        told: Sequence[Told] = (),
    ) -> Made:
        """Make a bundle of the threads that some threads, runs or approvals belong to; of the whole log where none is named.

        Of what was `told` in a receipt it has the single events, with threads or without, and is held against the receipt.
        `absence` is an event type, and the call it is about if it is about one, which the bundle is to show absent from the one
        thread. `answer` are rows of a read model that the bundle is to show to follow from its events, which are chosen by that.
        Raises NotFound, SealingRefused, UsageError, LedgerUnavailable.
        """
        more = undisclosed_types() if self.is_for_http else []
        self.left_out = tuple(dict.fromkeys([*event_types.patterns(self.left_out), *more]))
        require_new(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            with self.ledger.command_executor.recorder.store.reading() as connection, connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                at = [each.position for each in told]
                claims, checkpoint, unsealed = self._write(connection, making, ids, absence, answer, at)
            findings = findings_of(open_bundle(making), checkpoint, folding, told=told)
            self._record(making, claims, checkpoint, sum(findings.counts.values()))
            hand_over(making, folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return Made(folder, claims.threads, sum(findings.counts.values()), unsealed, findings)

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
            left_out=tuple(self.left_out),
        )
        submit_alone(self.ledger.executor, made, self.envelope).result()

    def _write(
        self,
        connection: Connection,
        folder: Path,
        ids: Sequence[str],
        absence: tuple[str, str | None] | None,
        answer: AnswerAsked | None,
        positions: Sequence[int],
    ) -> tuple[Claims, Checkpoint, int]:
        with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            found = cursor.execute(_QUERIES["tree"], [self.tenant_id]).fetchone()
            if found is None:
                raise SealingRefused("nothing of this tenant is sealed yet", "run `runfold seal now`, or `runfold work`")
            tree = _Tree(*found)
            checkpoint = read_note(tree.note).checkpoint()
            threads, showing, rows = self._thread_ids(cursor, tree, ids), Showing(self.left_out), None
            if answer is not None:
                rows = AnswerRows(answer, connection, self.tenant_id, tree.position)
                threads = self._threads_of(cursor, tree, rows)
                showing = _showing(self.left_out, rows, threads)
            if self.is_for_http:
                showing = replace(showing, hides=redactions(cursor, self.tenant_id, threads))
            sought = None if absence is None else Absence(threads[0], *absence)
            answered = None if rows is None else rows.claim(threads[0] if threads else None, tree.epoch)
            claims = Claims(threads, not threads and not positions, sought, answered)
            tiles = Tiles(tile_reader(connection, self.tenant_id, tree.generation))
            note = cosigned(tree.note + tree.cosignatures, self.witnesses, tiles.consistency)
            with BundleWriter(folder) as writer:
                writer.report(report.head(checkpoint, claims))
                for count, (leaf, thread_id, whole) in enumerate(self._events(connection, tree, threads, positions), 1):
                    shown = showing.of(leaf, thread_id, whole)
                    writer.add(leaf, shown, None if claims.log else tiles.inclusion(leaf.seq - 1, tree.size))
                    if shown is not None:
                        writer.report(report.row(leaf, shown))
                    if rows is not None:
                        rows.folding.take(Seen(leaf, whole, thread_id, {}))
                    if count % _AT_ONCE == 0:
                        self.progress(leaf.seq, tree.size)
                for each in rows.rows() if rows is not None else ():
                    writer.add_beside(ANSWER, write_row(each))
                    writer.report(report.answer(each))
                writer.report(report.TAIL)
                if tree.has_map:
                    for thread in threads:
                        writer.add_thread(self._in_map(cursor, tree, thread))
                writer.finish(claims, note)
            self.progress(tree.size, tree.size)
        return claims, checkpoint, max(0, tree.unsealed)

    def _thread_ids(self, cursor: Any, tree: _Tree, ids: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._thread_of(cursor, tree, each) for each in ids))

    def _threads_of(self, cursor: Any, tree: _Tree, rows: AnswerRows) -> tuple[str, ...]:
        """The thread that rows are made of; none where that is the whole log. Raises RowNotFound, UsageError."""
        if not rows.is_of_thread:
            return ()
        asked = {
            "tenant_id": self.tenant_id,
            "generation": tree.generation,
            "positions": rows.some_positions(),
            "streams": rows.some_streams(),
        }
        threads = [thread for (thread,) in cursor.execute(_QUERIES["threads of rows"], asked).fetchall()]
        if not threads:
            raise RowNotFound(rows.name, f"is not there, or not sealed; `runfold rows {rows.projection.name}` lists them")
        if len(threads) > 1:
            raise UsageError(f"rows of {rows.name} are of {len(threads)} threads; give more of the key", key=rows.key)
        return tuple(threads)

    def _thread_of(self, cursor: Any, tree: _Tree, id: str) -> str:
        found = cursor.execute(_QUERIES["in map"], [self.tenant_id, tree.generation, key_of(id)]).fetchone()
        if found is not None:
            return id
        found = cursor.execute(_QUERIES["thread of"], [self.tenant_id, id, tree.generation]).fetchone()
        if found is None:
            raise NotFound(id, "is not sealed, or is not there; `runfold seal now` seals what was recorded")
        return str(found[0])

    def _events(
        self, connection: Connection, tree: _Tree, threads: Sequence[str], positions: Sequence[int]
    ) -> Iterator[tuple[Leaf, str, Shown]]:
        asked = {
            "tenant_id": self.tenant_id,
            "generation": tree.generation,
            "size": tree.size,
            "every": not threads and not positions,
            "threads": list(threads),
            "positions": list(positions),
        }
        name = f"bundle_{os.urandom(4).hex()}"
        with connection.cursor(name, row_factory=tuple_row) as cursor:
            cursor.itersize = _AT_ONCE
            for row in cursor.execute(_QUERIES["sealed events"], asked):
                leaf = Leaf(*row[:_LEAF_FIELDS])
                yield leaf, row[-6], _whole(leaf, *row[_LEAF_FIELDS:])

    def _in_map(self, cursor: Any, tree: _Tree, thread: str) -> ThreadInMap:
        _, events, last_leaf = cursor.execute(_QUERIES["in map"], [self.tenant_id, tree.generation, key_of(thread)]).fetchone()
        whose = cursor, self.tenant_id, tree.generation
        proof = prove(key_of(thread), part_reader(*whose), lambda bucket: entries_in(*whose, [bucket]).get(bucket, []))
        return ThreadInMap(thread, events, last_leaf, proof)


def _showing(left_out: Sequence[str], rows: AnswerRows, threads: Sequence[str]) -> Showing:
    """What a fold looks at; of other events no payload, and where all leaves are there, the leaf alone."""

    def is_looked_at(leaf: Leaf, _thread_id: str) -> bool:
        return rows.folding.looks_at(leaf.type)

    return Showing(left_out, payloads=is_looked_at) if threads else Showing(left_out, events=is_looked_at)


def _whole(leaf: Leaf, salt: bytes | None, event_id: str | None, *beside: Any) -> Shown:
    tenant_id, thread_id, recorded_at, context, metadata, key_id, state = beside
    if event_id is None or salt is None:
        fact = f"{leaf.type}, version {leaf.version} of {leaf.stream}, was sealed at position {leaf.position} and is not there"
        raise SealingRefused(fact, "run `runfold verify --full`: the log was changed")
    payload_salt, envelope_salt = salts(salt)
    written = envelope(
        event_id=event_id,
        tenant_id=tenant_id,
        thread_id=thread_id,
        recorded_at=recorded_at,
        context=context,
        metadata=metadata,
        key_id=key_id,
    )
    return Shown(leaf.seq, written, envelope_salt, bytes(state), payload_salt)
