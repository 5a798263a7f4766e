"""Reads a bundle once, and holds every leaf, event and thread of it against a checkpoint that is trusted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runfold.proofs.claims import Claims
from runfold.proofs.container import ENTRIES, EVENTS, MAP, PROOFS, Bundle, BundleUnreadable
from runfold.proofs.findings import Findings, Search, Seen, name_of, read_envelope
from runfold.proofs.leaf import Leaf, NotALeaf, decoded, envelope_digest, payload_digest
from runfold.proofs.note import Checkpoint
from runfold.proofs.records import Shown, ThreadInMap, entry_of, read_event, read_proof, read_thread
from runfold.proofs.thread_map import key_of, verify_present
from runfold.proofs.tree import Frontier, ProofFailed, leaf_hash, verify_inclusion


@dataclass
class _Thread:
    """How far a thread was read."""

    events: int = 0
    last_leaf: bytes = b""


class BundleReading:
    """A bundle read once, in the order of its leaves. Memory grows with the threads and streams in question, not with events."""

    def __init__(self, bundle: Bundle, checkpoint: Checkpoint, claims: Claims, searches: Sequence[Search]) -> None:
        self._bundle, self._checkpoint, self._log, self._searches = bundle, checkpoint, claims.log, searches
        self._found = Findings(checkpoint)
        self._threads = {thread: _Thread() for thread in claims.threads}
        self._frontier = Frontier()

    def findings(self) -> Findings:
        """Read it, and return what was found. Raises BundleUnreadable."""
        events, proofs = map(read_event, self._bundle.lines(EVENTS)), map(read_proof, self._bundle.lines(PROOFS))
        shown, after = next(events, None), 0
        for line in self._bundle.lines(ENTRIES):
            try:
                leaf = decoded(line)
            except NotALeaf as error:
                raise BundleUnreadable(f"{ENTRIES}: {error}") from None
            if leaf.seq <= after:
                raise BundleUnreadable(f"{ENTRIES} is not in order, or holds a leaf twice")
            after, hash_ = leaf.seq, leaf_hash(line)
            included = self._is_included(leaf, hash_, proofs)
            if shown is not None and shown.seq == leaf.seq:
                seen = self._take(leaf, hash_, shown, included)
                shown = next(events, None)
            elif not self._log:
                raise BundleUnreadable(f"{EVENTS} lacks the event of leaf {leaf.seq}")
            else:
                self._found.counts["REDACTED"] += 1
                seen = Seen(leaf, None, None, {})
            for search in self._searches:
                search.take(seen)
        if shown is not None or next(proofs, None) is not None:
            raise BundleUnreadable(f"{EVENTS} or {PROOFS} holds what is of no leaf in {ENTRIES}, or is not in order")
        self._close()
        return self._found

    def _is_included(self, leaf: Leaf, hash_: bytes, proofs: Iterator[tuple[int, list[bytes]]]) -> bool:
        if self._log:
            if leaf.seq != self._frontier.size + 1:
                raise BundleUnreadable(f"{ENTRIES} lacks leaf {self._frontier.size + 1}")
            self._frontier.append(hash_)
            return True
        seq, hashes = next(proofs, (0, []))
        if seq != leaf.seq:
            raise BundleUnreadable(f"{PROOFS} lacks the proof of leaf {leaf.seq}, or is not in order")
        try:
            verify_inclusion(leaf.seq - 1, self._checkpoint.size, hash_, hashes, self._checkpoint.root)
        except ProofFailed as error:
            self._found.problem(f"ALTERED {name_of(leaf)}: it is not in the tree of the checkpoint: {error}")
            return False
        return True

    def _take(self, leaf: Leaf, hash_: bytes, shown: Shown, included: bool) -> Seen:
        verdict = "VERIFIED" if included else "ALTERED"
        if envelope_digest(shown.envelope_salt, shown.envelope) != leaf.envelope_sha256:
            self._found.problem(f"ALTERED {name_of(leaf)}: actor, time or what else is beside its payload is not what was sealed")
            verdict = "ALTERED"
        elif shown.payload is None:
            verdict = "REDACTED" if included else "ALTERED"
        elif payload_digest(shown.payload_salt or b"", shown.payload) != leaf.payload_sha256:
            self._found.problem(f"ALTERED {name_of(leaf)}: its payload is not what was sealed")
            verdict = "ALTERED"
        self._found.counts[verdict] += 1
        beside = read_envelope(shown.envelope)
        thread_id = beside.get("thread_id")
        if not isinstance(thread_id, str):
            raise BundleUnreadable(f"{EVENTS}: the event of leaf {leaf.seq} names no thread")
        if (thread := self._threads.get(thread_id)) is not None:
            if leaf.thread_seq > thread.events + 1:
                missing = f"{thread.events + 1} to {leaf.thread_seq - 1}"
                self._found.problem(f"MISSING events {missing} of {thread_id}, before {name_of(leaf)}")
            if leaf.thread_seq <= thread.events:
                self._found.problem(f"ALTERED {name_of(leaf)}: event {leaf.thread_seq} of {thread_id} was there before")
            thread.events, thread.last_leaf = leaf.thread_seq, hash_
        return Seen(leaf, shown, thread_id, beside)

    def _close(self) -> None:
        if not self._log and not self._threads and not self._found.counts:
            raise BundleUnreadable("it shows nothing")
        if self._log:
            sealed = self._checkpoint.size, self._checkpoint.root
            self._found.is_whole_log = (self._frontier.size, self._frontier.root()) == sealed
            if not self._found.is_whole_log:
                self._found.problem("ALTERED: the leaves are not those that the checkpoint was made of")
        in_map = {each.thread: each for each in map(read_thread, self._bundle.lines(MAP))}
        for name, thread in self._threads.items():
            self._found.threads[name] = self._verdict(name, thread, in_map.get(name))
        for search in self._searches:
            search.close(self._found)

    def _verdict(self, name: str, thread: _Thread, found: ThreadInMap | None) -> str:
        root = self._checkpoint.map_root
        if not thread.events:
            self._found.problem(f"INCOMPLETE {name}: no event of it is shown")
            return "INCOMPLETE"
        if root is None:
            return "SUPPORTED"
        if found is None:
            raise BundleUnreadable(f"{MAP} says nothing of {name}")
        try:
            verify_present(entry_of(found, key_of(name)), found.proof, root)
        except ProofFailed as error:
            self._found.problem(f"INCOMPLETE {name}: what {MAP} says of it is not in the sealed map: {error}")
            return "INCOMPLETE"
        if (found.events, found.last_leaf) != (thread.events, thread.last_leaf):
            self._found.problem(f"INCOMPLETE {name}: it has {found.events} events, and the bundle ends at {thread.events}")
            return "INCOMPLETE"
        return "COMPLETE"
