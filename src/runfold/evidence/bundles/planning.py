"""What goes into a bundle, from what is asked: which leaves, of which events more than the leaf, and what it is to show."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg.rows import tuple_row

from runfold.domain.event import event_types
from runfold.errors import NotFound, RowNotFound, SealingRefused, UsageError
from runfold.evidence.bundles.answers import AnswerAsked, AnswerRows
from runfold.evidence.bundles.samples import DrawnSample
from runfold.evidence.bundles.showing import Showing
from runfold.proofs.absence import CALLED, is_id
from runfold.proofs.claims import Absence, Claims
from runfold.proofs.findings import read_envelope
from runfold.proofs.leaf import Leaf
from runfold.proofs.records import Shown
from runfold.proofs.sample import CREATED, SUPERSEDED
from runfold.proofs.thread_map import key_of
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

QUERIES = named_queries("runfold.evidence.bundles", "bundle.sql")


class SealedTree(NamedTuple):
    """The present tree of a tenant, with its last checkpoint."""

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


class Asked(NamedTuple):
    """What somebody wants to be shown; the whole log where nothing is named."""

    ids: Sequence[str] = ()
    """Threads, or runs or approvals of them."""
    absence: tuple[str, str | None] | None = None
    """An event type, and the tool call it is about if it is about one: in the one thread that is named, or in the whole log."""
    answer: AnswerAsked | None = None
    positions: Sequence[int] = ()
    """Single events, beside the threads or alone."""


class Planned(NamedTuple):
    """What goes into a bundle."""

    claims: Claims
    showing: Showing
    rows: AnswerRows | None = None


def sealed_tree(connection: Connection, tenant_id: str) -> SealedTree:
    """The present tree of a tenant. Raises SealingRefused where there is none."""
    with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        found: Any = cursor.execute(QUERIES["tree"], [tenant_id]).fetchone()
    if found is None:
        raise SealingRefused(f"nothing of tenant {tenant_id} is sealed yet", "run `runfold seal now`, or `runfold work`")
    return SealedTree(*found)


@dataclass(frozen=True)
class Planner:
    """Plans bundles of one tenant's tree."""

    connection: Connection
    tenant_id: str
    tree: SealedTree
    left_out: Sequence[str]

    def plan(self, asked: Asked, sample: DrawnSample | None = None) -> Planned:
        """Return what goes in. Raises NotFound, UsageError."""
        if sample is not None:
            return self._of_sample(sample)
        if asked.answer is not None:
            return self._of_answer(asked.answer)
        threads = tuple(dict.fromkeys(map(self._thread_of, asked.ids)))
        if asked.absence is None:
            return Planned(Claims(threads, not threads and not asked.positions), Showing(self.left_out))
        wanted, call = asked.absence
        event_types.require([wanted])
        if wanted not in event_types:
            raise UsageError(f"{wanted!r} stands for several event types; give one of them", type=wanted)
        if call is not None and not is_id(call):
            raise UsageError(f"{call!r} is no id of a tool call; `runfold tool-calls` lists them", call=call)
        if call is not None and wanted != CALLED:
            self._require_named(call, threads)
        if threads:
            return Planned(Claims(threads, absence=Absence(threads[0], wanted, call)), Showing(self.left_out))
        return self._of_absence(wanted, call)

    def _of_answer(self, asked: AnswerAsked) -> Planned:
        """What a fold looks at: of other events no payload, and where all leaves are there, the leaf alone."""
        rows = AnswerRows(asked, self.connection, self.tenant_id, self.tree.position)

        def is_looked_at(leaf: Leaf, _thread_id: str, _whole: Shown) -> bool:
            return rows.folding.looks_at(leaf.type)

        if not rows.is_of_thread:
            claims = Claims((), True, answer=rows.claim(None, self.tree.epoch))
            return Planned(claims, Showing(self.left_out, events=is_looked_at), rows)
        thread = self._thread_of_rows(rows)
        claims = Claims((thread,), answer=rows.claim(thread, self.tree.epoch))
        return Planned(claims, Showing(self.left_out, payloads=is_looked_at), rows)

    def _of_absence(self, type: str, call: str | None) -> Planned:
        """All leaves; and what tells the call: of each event of the type, and of its whole stream where it names none itself.

        Payloads only where the call is not named beside them.
        """
        streams = set[str]() if call is None else {stream for (stream,) in self._rows("streams without call", type=type)}

        def may_name_it(leaf: Leaf, _thread_id: str, _whole: Shown) -> bool:
            return call is not None and (leaf.type == type or leaf.stream in streams)

        def names_none_beside(_leaf: Leaf, _thread_id: str, whole: Shown) -> bool:
            context = read_envelope(whole.envelope).get("context")
            return not (isinstance(context, dict) and "call_id" in context)

        claims = Claims((), True, Absence(None, type, call))
        return Planned(claims, Showing(self.left_out, may_name_it, names_none_beside))

    def _of_sample(self, sample: DrawnSample) -> Planned:
        """The threads of the sample; where all leaves go in, the beginnings of runs that are left out as superseded, too."""
        threads, superseded = {*sample.threads}, set[str]()
        claims = Claims(sample.threads, sample.with_all_leaves, sample=sample.claim)
        if not claims.log:
            return Planned(claims, Showing(self.left_out))
        if not sample.claim.filters:
            superseded = {stream for (stream,) in self._rows("streams with", type=SUPERSEDED)}

        def is_shown(leaf: Leaf, thread_id: str, _whole: Shown) -> bool:
            return thread_id in threads or (leaf.type == CREATED and thread_id in superseded)

        def is_of_sample(_leaf: Leaf, thread_id: str, _whole: Shown) -> bool:
            return thread_id in threads

        return Planned(claims, Showing(self.left_out, is_shown, is_of_sample))

    def _require_named(self, call: str, threads: Sequence[str]) -> None:
        """Raise UsageError for a call that is nowhere: all is absent of it, which looks as if nothing had happened."""
        ((is_named,),) = self._rows("names call", call=call, threads=list(threads), every=not threads)
        if not is_named:
            where = f"of {threads[0]}" if threads else "that is sealed"
            raise UsageError(f"no event {where} names the tool call {call!r}; `runfold tool-calls` lists them", call=call)

    def _thread_of(self, id: str) -> str:
        if self._rows("in map", key=key_of(id)):
            return id
        found = self._rows("thread of", id=id)
        if not found:
            raise NotFound(id, "is not sealed, or is not there; `runfold seal now` seals what was recorded")
        return str(found[0][0])

    def _thread_of_rows(self, rows: AnswerRows) -> str:
        found = self._rows("threads of rows", positions=rows.some_positions(), streams=rows.some_streams())
        if not found:
            raise RowNotFound(rows.name, f"is not there, or not sealed; `runfold rows {rows.projection.name}` lists them")
        if len(found) > 1:
            raise UsageError(f"rows of {rows.name} are of {len(found)} threads; give more of the key", key=list(rows.key))
        return str(found[0][0])

    def _rows(self, query: str, **asked: Any) -> list[tuple[Any, ...]]:
        of = {"tenant_id": self.tenant_id, "generation": self.tree.generation, "size": self.tree.size}
        with self.connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            return cursor.execute(QUERIES[query], {**of, **asked}).fetchall()
