"""Holds trees against their checkpoints: the database's own, those kept outside of it, and what was verified before."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from runfold.evidence.sealing.comparing import compare
from runfold.evidence.sealing.signing import require_signed
from runfold.evidence.verifying.map_verifying import SealedMap
from runfold.evidence.verifying.next_steps import CHANGED, LOST
from runfold.evidence.verifying.verified_tree import VerifiedTree
from runfold.maintenance.checking import Finding
from runfold.proofs.note import Checkpoint, NoteRefused, read_note


class Kept(NamedTuple):
    """A checkpoint that somebody keeps outside of the database."""

    text: str
    where: str


@dataclass
class Checkpoints:
    """All that is known of trees beside themselves."""

    publics: Sequence[bytes] | None
    """The public keys of who signs; None where they are not known here."""
    kept: Sequence[Kept]
    since: Mapping[str, Checkpoint]
    """What was verified before, by the names of trees."""
    absent: Sequence[str]
    """The names of trees that are not begun here."""
    former: Mapping[str, str] = field(default_factory=dict)
    """Of the names of trees that were gone on from under another name, after a loss that was accepted, the tenant."""
    count: int = 0
    """How many were held against a tree."""
    maps: dict[str, list[SealedMap]] = field(default_factory=dict)
    """The maps of threads that they seal, by the names of trees."""

    def findings(
        self, trees: Sequence[VerifiedTree], stored_maps: Mapping[tuple[str, int], bytes]
    ) -> Iterator[tuple[Finding, str]]:
        """Yield what of trees is otherwise than they say, with the tenant that it is of.

        `stored_maps` has the roots of the maps of threads that are stored, by the tree's tenant and generation.
        """
        for tree in trees:
            tenant_id = tree.stored.tenant_id
            own = [Kept(tree.stored.note, "the database")] if tree.stored.note is not None else []
            if not own and tree.stored.size:
                fact = f"no checkpoint of {tree.stored.origin} is stored, and its tree has {tree.stored.size} events"
                yield Finding("missing", fact, LOST), tenant_id
            for kept in own:
                for finding in self._held_against(tree, kept, stored_maps.get(tree.stored[:2]), must_be_whole=True):
                    yield finding, tenant_id
            before = self.since.get(tree.stored.origin)
            if before is not None and (changed := _compared(tree, before, "what was verified here before")):
                yield changed, tenant_id
        for origin in self.absent:
            if (before := self.since.get(origin)) is not None and before.size:
                yield _taken_away(before, "what was verified here before"), ""
        for kept in self.kept:
            named = _named(kept, trees)
            if named is not None:
                for finding in self._held_against(named, kept):
                    yield finding, named.stored.tenant_id
            elif (next_tree := self._gone_on_from(kept, trees)) is not None:
                for finding in self._held_against_next(next_tree, kept):
                    yield finding, next_tree.stored.tenant_id
            else:
                yield self._of_none(kept, trees), ""

    def _of_none(self, kept: Kept, trees: Sequence[VerifiedTree]) -> Finding:
        try:
            said = read_note(kept.text).checkpoint()
        except NoteRefused as error:
            return Finding("checkpoint", f"{kept.where} is no checkpoint: {error}", "name a file that holds one")
        if said.origin in self.absent:
            return _taken_away(said, kept.where)
        here = ", ".join(tree.stored.origin for tree in trees) or "none"
        fact = (
            f"{kept.where} is of {said.origin} with {said.size} events, and no tree here has that name ({here}):"
            " the sealed log was made anew, or this is another ledger"
        )
        return Finding("forked", fact, "find the ledger that the checkpoint is of; " + CHANGED)

    def _held_against(
        self, tree: VerifiedTree, kept: Kept, map_root: bytes | None = None, *, must_be_whole: bool = False
    ) -> Iterator[Finding]:
        said = self._said(kept, tree.stored.origin)
        if isinstance(said, Finding):
            yield said
            return
        if must_be_whole and said.size != tree.stored.size:
            fact = f"the last checkpoint of {said.origin} is of {said.size} events, and its tree has {tree.stored.size}"
            yield Finding("rolled back" if said.size > tree.stored.size else "checkpoint", fact, CHANGED)
        elif finding := _compared(tree, said, kept.where):
            yield finding
        elif said.map_root is not None:
            self.maps.setdefault(said.origin, []).append(SealedMap(said.size, said.map_root, kept.where))
            if must_be_whole and said.map_root != map_root:
                fact = f"the stored map of the threads of {said.origin} is not the one that its checkpoint seals"
                yield Finding("altered", fact, CHANGED, field="map")

    def _gone_on_from(self, kept: Kept, trees: Sequence[VerifiedTree]) -> VerifiedTree | None:
        tenant_id = self.former.get(_origin(kept))
        return next((tree for tree in trees if tree.stored.tenant_id == tenant_id), None)

    def _held_against_next(self, tree: VerifiedTree, kept: Kept) -> Iterator[Finding]:
        """Hold a checkpoint of before a loss against the tree that was begun after it: up to the loss its events are the same."""
        said = self._said(kept, _origin(kept))
        if isinstance(said, Finding):
            yield said
        elif (found := _compared(tree, said._replace(origin=tree.stored.origin), kept.where)) is not None:
            after = f"{tree.stored.origin} was begun after events of {said.origin} were lost, which somebody accepted"
            fact = f"{kept.where}: not all of its {said.size} events are here as they were sealed; {after}"
            step = "`runfold events --type security.loss_accepted` tells by whom, and why; where that is not right, " + LOST
            yield replace(found, fact=fact, next_step=step)

    def _said(self, kept: Kept, origin: str) -> Checkpoint | Finding:
        """Return what a checkpoint says, and count it; or that nobody known has signed it."""
        try:
            note = read_note(kept.text)
            said = note.checkpoint() if self.publics is None else require_signed(note, self.publics)
        except NoteRefused as error:
            fact = f"the checkpoint of {origin} in {kept.where} is not one of ours: {error}"
            return Finding("checkpoint", fact, "find out who wrote it; a key that was changed is named with --key")
        self.count += 1
        return said


def _origin(kept: Kept) -> str:
    return kept.text.partition("\n")[0]


def _named(kept: Kept, trees: Sequence[VerifiedTree]) -> VerifiedTree | None:
    return next((tree for tree in trees if tree.stored.origin == _origin(kept)), None)


def _compared(tree: VerifiedTree, said: Checkpoint, where: str) -> Finding | None:
    found = compare(said, tree.stored.origin, tree.stored.size, tree.read)
    if found.verdict == "consistent":
        return None
    kind = "forked" if found.verdict == "damaged" else found.verdict
    return Finding(kind, f"{where}: {found.fact}", LOST if kind == "rolled back" else CHANGED)


def _taken_away(said: Checkpoint, where: str) -> Finding:
    fact = f"{where}: {said.origin} has {said.size} events, and nothing that was sealed is here: somebody took all of it away"
    return Finding("rolled back", fact, LOST)
