"""Verifies the log against what was sealed of it, and that against checkpoints that are kept outside of the database.

Each event is read beside its leaf, in pages; its digests are taken anew. The leaves must be those of the tree, and the tree that
of the checkpoints. Where all leaves were read, the map of threads is made anew from them. Nothing is written, and a role that
only reads is enough. Memory does not grow with the log.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any

from runfold.evidence.sealing.comparing import StoredTree, stored_trees, tile_reader
from runfold.evidence.sealing.sealed_leaf import SealedLeaf
from runfold.evidence.sealing.sealing import digested
from runfold.evidence.verifying.checkpoints import Checkpoints, Kept
from runfold.evidence.verifying.map_verifying import MapVerification
from runfold.evidence.verifying.next_steps import CHANGED, LOST
from runfold.evidence.verifying.pages import asking, verified_pages
from runfold.evidence.verifying.sharing import shared_pages
from runfold.evidence.verifying.stored_facts import stored_facts, strangers
from runfold.evidence.verifying.verified_tree import VerifiedTree
from runfold.maintenance.checking import Finding
from runfold.proofs.note import Checkpoint
from runfold.proofs.tiles import WIDTH, Growing, Tiles
from runfold.store.datastore import Connection, Datastore

MOST_LOOKED_UP = 200
"""Changed events for which it is looked up whether they were sealed elsewhere."""


@dataclass
class Verification:
    """One reading of the log beside its seals. `events` counts what was compared."""

    connection: Connection
    publics: Sequence[bytes] | None = None
    """The public keys of who signs; None where they are not known here."""
    kept: Sequence[Kept] = ()
    since: Mapping[str, Checkpoint] = field(default_factory=dict)
    """Up to where each tree was verified before: it must still begin so, and nothing of it is read again."""
    progress: Callable[[int, int], object] = lambda _done, _total: None
    datastore: Datastore | None = None
    """Where others can ask, too: then a long log is verified by several processes."""
    full: bool = False
    """Whether all is read again, from the first event on."""
    absent: Sequence[str] = ()
    """The names of trees that are not begun here, as far as nobody knows better."""
    events: int = 0
    unsealed: int = 0
    unsealed_since: datetime | None = None
    position: int = 0
    first_position: int = 0
    """After which events were read."""
    verified: dict[str, Checkpoint] = field(default_factory=dict)
    """What each tree is, where nothing is wrong with it."""
    _trees: dict[str, VerifiedTree] = field(default_factory=dict, init=False)
    _checkpoints: Checkpoints = field(init=False)
    _looked_up: int = field(default=0, init=False)
    _highest: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Nothing was held against any checkpoint yet."""
        self._checkpoints = Checkpoints(self.publics, self.kept, self.since, self.absent)

    @property
    def checkpoints(self) -> int:
        """Return how many checkpoints the log was held against."""
        return self._checkpoints.count

    def findings(self) -> Iterator[Finding]:
        """Every difference, in the order of positions, and what of it the checkpoints tell."""
        with self.connection.transaction():  # one moment, however much is sealed meanwhile
            self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            (ends,), trees = self._rows("ends"), stored_trees(self.connection)
            every = self._rows("all trees")
            maps = {(tenant_id, generation): root for tenant_id, generation, root in self._rows("map roots")}
        self.position, highest, lowest, self.unsealed_since = ends
        self._highest = highest or 0
        self.unsealed = max(0, self._highest - self.position)
        self._trees = {tree.stored.tenant_id: tree for tree in map(self._tree, trees)}
        begun_later = {tree.tenant_id: tree.generation for tree in trees}
        self._checkpoints.former = {name: tenant for tenant, number, name in every if number < begun_later[tenant]}
        if lowest is not None and lowest < 1:
            yield from self._before_the_first()
        yield from self._alarms()
        wrong = set()
        read_before = {} if self.full else self.since
        said = self._checkpoints.findings(list(self._trees.values()), maps)
        stored = chain(strangers(self.connection, trees), stored_facts(asking(self.connection), read_before))
        for finding, tenant_id in chain(said, stored):
            wrong.add(tenant_id)
            yield finding
        self.first_position = self._begin()
        for finding, tenant_id in self._events():
            wrong.add(tenant_id)
            yield finding
        for tenant_id, tree in self._trees.items():
            if tenant_id not in wrong and (left := self._whole(tree)):
                wrong.add(tenant_id)
                yield left
            for finding in self._map(tree):
                wrong.add(tenant_id)
                yield finding
            root = self._root(tree, tree.stored.size)
            if tenant_id not in wrong and root is not None:
                self.verified[tree.stored.origin] = Checkpoint(tree.stored.origin, tree.stored.size, root)

    def after_losses(self) -> list[str]:
        """Return the names of the trees with which nothing is wrong, and that were begun after a loss that somebody accepted."""
        later = (tree.stored.origin for tree in self._trees.values() if tree.stored.generation > 1)
        return [origin for origin in later if origin in self.verified]

    def _whole(self, tree: VerifiedTree) -> Finding | None:
        """Return what is wrong with a tree of which each leaf is right."""
        size, origin = tree.stored.size, tree.stored.origin
        if tree.last_seq is not None and tree.last_seq != size:
            return Finding("missing", f"leaves {tree.last_seq + 1} to {size} of {origin} are not stored", LOST)
        tree.end()
        if tree.altered:
            level, number = tree.altered[0]
            fact = f"tile {number} of level {level} of {origin} is not that of its leaves, so that no proof from it is one"
            return Finding("altered", fact, CHANGED, field="tiles")
        if tree.growing is not None and tree.growing.root() != self._root(tree, size):
            return Finding("forked", f"the leaves of {origin} are not those of its tree: its tiles were changed", CHANGED)
        return None

    def _map(self, tree: VerifiedTree) -> Iterator[Finding]:
        """Yield what is wrong with the map of a tree that was read from its first leaf on, and of which each leaf is right."""
        stored = tree.stored
        if tree.growing is None or (tree.last_seq, tree.growing.root()) != (stored.size, self._root(tree, stored.size)):
            return
        sealed = [each for each in self._checkpoints.maps.get(stored.origin, []) if each.size <= stored.size]
        anew = MapVerification(self.connection, stored.tenant_id, stored.generation, stored.origin)
        yield from anew.findings(stored.size, sealed)

    def _rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return asking(self.connection)(query, parameters)

    def _tree(self, stored: StoredTree) -> VerifiedTree:
        read = tile_reader(self.connection, stored.tenant_id, stored.generation)
        return VerifiedTree(stored, Tiles(read), read)

    def _root(self, tree: VerifiedTree, size: int) -> bytes | None:
        try:
            return tree.tiles.root(size)
        except LookupError:
            return None

    def _before_the_first(self) -> Iterator[Finding]:
        for position, stream, version, type_ in self._rows("before the first"):
            fact = f"{type_}, version {version} of {stream}, stands at position {position}, which is never given out"
            yield Finding("inserted", fact, CHANGED, position, stream, version=version)

    def _alarms(self) -> Iterator[Finding]:
        for kind, position, fact in self._rows("alarms"):
            yield Finding(kind, f"{fact} (seen while it was sealed)", CHANGED if kind == "inserted" else LOST, position)

    def _begin(self) -> int:
        """Return after which position events are read: after what all trees were verified up to, or from the first on."""
        known: list[int] = []
        for tree in self._trees.values():
            before = self.since.get(tree.stored.origin)
            if (
                self.full
                or before is None
                or before.size > tree.stored.size
                or self._root(tree, before.size) != before.root
                or not before.size
            ):
                known = []
                break
            found = self._rows("position of size", [tree.stored.tenant_id, tree.stored.generation, before.size])
            known.append(found[0][0] if found else 0)
        after = min(known, default=0)
        if after == 0:
            for tree in self._trees.values():
                tree.growing, tree.last_seq = Growing(0, tree.read), 0
        return after

    def _events(self) -> Iterator[tuple[Finding, str]]:
        total = max(0, self.position - self.first_position)
        generations = {tenant_id: tree.stored.generation for tenant_id, tree in self._trees.items()}
        asked = self._rows, generations, self.first_position, self.position
        for page in verified_pages(*asked) if self.datastore is None else shared_pages(self.datastore, *asked):
            parts = page.parts
            if parts is None or not all(self._trees[tenant].goes_on_with(part.first_seq) for tenant, part in parts.items()):
                yield from self.one_by_one(page.after, page.until)
            else:
                for tenant_id, part in parts.items():
                    self._trees[tenant_id].grow(part.hashes, part.first_seq + len(part.hashes) - 1)
                self.events += page.events
            self.progress(page.until - self.first_position, total)

    def one_by_one(self, after: int, until: int) -> Iterator[tuple[Finding, str]]:
        """Yield what is wrong with the events after a position and up to another, of which something is."""
        rows = {row[0]: row for row in self._rows("events", [after, until])}
        leaves: dict[int, SealedLeaf] = {}
        wanted: dict[str, list[int]] = {}
        for leaf in map(SealedLeaf._make, self._rows("leaves", [after, until])):
            tree = self._trees.get(leaf.tenant_id)
            if tree is not None and leaf.generation == tree.stored.generation:
                leaves[leaf.position] = leaf
                wanted.setdefault(leaf.tenant_id, []).append((leaf.seq - 1) // WIDTH)
        for tenant_id, numbers in wanted.items():
            stored = self._trees[tenant_id].stored
            tiles = self._rows("tiles", [tenant_id, stored.generation, min(numbers), max(numbers)])
            self._trees[tenant_id].give(dict(tiles))
        for position in sorted(rows.keys() | leaves.keys()):
            row, found = rows.get(position), leaves.get(position)
            tenant_id = found.tenant_id if found else row[1] if row else ""
            for finding in self._at(position, row, found):
                yield finding, tenant_id
        self.events += len(rows)

    def _at(self, position: int, row: tuple[Any, ...] | None, leaf: SealedLeaf | None) -> Iterator[Finding]:
        if leaf is None:
            assert row is not None, "one of both is there"  # noqa: S101
            fact = f"{row[5]}, version {row[4]} of {row[3]}, was put in at position {position}: it was never sealed"
            yield Finding("inserted", fact, CHANGED, position, row[3], version=row[4])
            return
        tree = self._trees[leaf.tenant_id]
        yield from self._in_tree(tree, leaf)
        if row is None:
            kind = "truncated" if position > self._highest else "missing"
            how = "is missing, as everything after it is" if kind == "truncated" else "is missing"
            fact = f"{leaf.type}, version {leaf.version} of {leaf.stream}, {how} at position {position}"
            yield Finding(kind, fact, LOST, position, leaf.stream, version=leaf.version)
            return
        try:
            changed = leaf.changed(digested(row, leaf.salt))
        except RecursionError:  # nobody has recorded JSON as deep as that
            changed = ["envelope"]
        if changed:
            yield self._changed(row, leaf, changed)

    def _in_tree(self, tree: VerifiedTree, leaf: SealedLeaf) -> Iterator[Finding]:
        hash_ = leaf.leaf().hash()
        if not tree.goes_on_with(leaf.seq):
            gone = f"leaves {(tree.last_seq or 0) + 1} to {leaf.seq - 1} of {tree.stored.origin}"
            fact = f"{gone} are not stored, before that of {leaf.named()}"
            yield Finding("missing", fact, LOST, leaf.position, leaf.stream, version=leaf.version)
            tree.growing = None
        tree.grow([hash_], leaf.seq)
        if hash_ != tree.hash_at(leaf.seq):
            fact = f"what is stored as sealed of {leaf.named()}, is not the leaf that the tree has"
            yield Finding("altered", fact, CHANGED, leaf.position, leaf.stream, "sealed", leaf.version)

    def _changed(self, row: tuple[Any, ...], leaf: SealedLeaf, fields: list[str]) -> Finding:
        position, stream, version, type_ = row[0], row[3], row[4], row[5]
        if (stream, version) != (leaf.stream, leaf.version) and self._looked_up < MOST_LOOKED_UP:
            self._looked_up += 1
            for (elsewhere,) in self._rows("sealed elsewhere", [row[1], stream, version]):
                fact = (
                    f"position {position} holds {type_}, version {version} of {stream}, which was sealed at position {elsewhere};"
                    f" here {leaf.type}, version {leaf.version} of {leaf.stream}, was sealed"
                )
                return Finding("reordered", fact, CHANGED, position, leaf.stream, version=leaf.version)
        fact = f"the {' and the '.join(fields)} of {leaf.named()} changed since it was sealed"
        return Finding("altered", fact, CHANGED, position, leaf.stream, ", ".join(fields), leaf.version)
