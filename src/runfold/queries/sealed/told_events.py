"""What a client was told of events, held against the log and what was sealed: each is as told, differs, or is gone."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal, NamedTuple
from uuid import UUID

from pydantic import ConfigDict

from runfold.errors import CheckpointNotFound
from runfold.history.views import View
from runfold.proofs.leaf import Leaf
from runfold.proofs.receipt import ToldEvent, told
from runfold.proofs.stored import StoredEvent
from runfold.proofs.tiles import ReadTile, Tiles
from runfold.proofs.tree import ProofFailed, verify_inclusion
from runfold.queries.sealed.log import CheckpointView, last_checkpoint, sealed_log
from runfold.store.queries import named_queries
from runfold.store.reading.tenant_reader import TenantReader

_QUERIES = named_queries("runfold.queries.sealed", "told_events.sql")
_AT_ONCE = 500


class InclusionView(View):
    """Shows that an event is under the checkpoint: its leaf and the hashes that lead from it to the root."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    seq: int
    """Which of the tenant's sealed events it is, counted from 1."""
    leaf: str
    """The bytes that are hashed into the tree."""
    hashes: tuple[str, ...]
    """In hexadecimal digits, the lowest first."""


class ToldEventView(View):
    """Shows what became of one event of a receipt."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    position: int
    stream: str
    version: int
    type: str
    verdict: Literal["as_told", "differs", "gone"]
    """`differs` where the log, or what was sealed, says something else of it than was told; `gone` where it is not in the log."""
    differs: tuple[str, ...] = ()
    """The fields in which the log is not as told; `sealed` and a field, where what was sealed is not."""
    inclusion: InclusionView | None = None
    """The proof that it was sealed as told; null where it is not sealed yet, or was sealed otherwise."""


class ReceiptVerification(View):
    """Shows what became of the events of a receipt."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    ok: bool
    """Whether all stand in the log as told, and none is sealed otherwise."""
    unsealed: int
    """How many of them are not sealed yet."""
    checkpoint: CheckpointView | None
    """The checkpoint that the others are proven under; null where nothing of the tenant is sealed."""
    events: tuple[ToldEventView, ...]


class _Tree(NamedTuple):
    generation: int
    checkpoint: CheckpointView
    tiles: Tiles


def verify_told(reader: TenantReader, events: Sequence[ToldEvent]) -> ReceiptVerification:
    """Hold what was told of events against the log, and against what was sealed of it. Raises LedgerUnavailable."""
    tree = _tree(reader)
    found: list[ToldEventView] = []
    for first in range(0, len(events), _AT_ONCE):
        page = events[first : first + _AT_ONCE]
        stored = _stored(reader, page)
        leaves = _leaves(reader, tree, page) if tree else {}
        found += [_view(each, stored.get(each.event_id), leaves.get(each.position), tree) for each in page]
    unsealed = sum(each.inclusion is None and not any(name.startswith("sealed") for name in each.differs) for each in found)
    is_ok = all(each.verdict == "as_told" for each in found)
    return ReceiptVerification(ok=is_ok, unsealed=unsealed, checkpoint=tree.checkpoint if tree else None, events=tuple(found))


def _view(each: ToldEvent, stored: ToldEvent | None, leaf: Leaf | None, tree: _Tree | None) -> ToldEventView:
    differs = [] if stored is None else each.differs_from(stored)
    inclusion = None
    if leaf is not None and tree is not None:
        otherwise = each.differs_from_leaf(leaf)
        inclusion = None if otherwise else _inclusion(leaf, tree)
        differs += [f"sealed {name}" for name in otherwise]
        differs += ["sealed"] if inclusion is None and not otherwise else []
    verdict: Literal["as_told", "differs", "gone"] = "gone" if stored is None else "differs" if differs else "as_told"
    place = {"position": each.position, "stream": each.stream, "version": each.version, "type": each.type}
    return ToldEventView(**place, verdict=verdict, differs=tuple(differs), inclusion=inclusion)


def _inclusion(leaf: Leaf, tree: _Tree) -> InclusionView | None:
    """Return the proof of a leaf; None where the stored tree does not prove it."""
    said = tree.checkpoint
    try:
        hashes = tree.tiles.inclusion(leaf.seq - 1, said.size)
        verify_inclusion(leaf.seq - 1, said.size, leaf.hash(), hashes, bytes.fromhex(said.root))
    except (LookupError, ProofFailed):
        return None
    return InclusionView(seq=leaf.seq, leaf=leaf.encoded().decode(), hashes=tuple(hash_.hex() for hash_ in hashes))


def _stored(reader: TenantReader, events: Sequence[ToldEvent]) -> Mapping[str, ToldEvent]:
    """Return what is to be told of them by what stands in the log, by their ids; one without a salt differs in that."""
    ids = [UUID(each.event_id) for each in events]
    rows = map(StoredEvent._make, reader.rows(_QUERIES["stored"], [ids, reader.tenant]))
    return {row.event_id: told(row) for row in rows}


def _tree(reader: TenantReader) -> _Tree | None:
    try:
        checkpoint = last_checkpoint(reader)
    except CheckpointNotFound:
        return None
    generation = sealed_log(reader).generation
    return _Tree(generation, checkpoint, Tiles(_tile_reader(reader, generation)))


def _leaves(reader: TenantReader, tree: _Tree, events: Sequence[ToldEvent]) -> dict[int, Leaf]:
    positions = [each.position for each in events]
    rows = reader.rows(_QUERIES["leaves"], [positions, reader.tenant, tree.generation, tree.checkpoint.size])
    return {leaf.position: leaf for leaf in (Leaf(*row) for row in rows)}


def _tile_reader(reader: TenantReader, generation: int) -> ReadTile:
    @cache
    def read(level: int, number: int) -> bytes:
        found = reader.rows(_QUERIES["tile"], [reader.tenant, generation, level, number])
        return bytes(found[0][0]) if found else b""

    return read
