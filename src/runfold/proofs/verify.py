"""`runfold-verify BUNDLE --policy FILE`: whether a bundle proves what it says. Needs Python and `cryptography`, and no network.

The keys are those of the policy of whoever verifies, never of the bundle. Verdicts: an event is VERIFIED, REDACTED (its payload
is left out, all else is verified) or ALTERED; a thread is COMPLETE (all its events up to the checkpoint are there), SUPPORTED
(no event is missing in between, but the checkpoint has no map that says where it ends) or INCOMPLETE; what is to be absent is
ABSENT or NOT PROVEN. Exit 0: all is proven. 1: something is not. 2: nothing can be said of it.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runfold.proofs.container import CHECKPOINT, CLAIMS, ENTRIES, EVENTS, MAP, PROOFS, Bundle, BundleUnreadable, open_bundle
from runfold.proofs.leaf import Leaf, NotALeaf, decoded, envelope_digest, payload_digest, values
from runfold.proofs.note import Checkpoint, NoteRefused, read_note
from runfold.proofs.policy import Policy, PolicyRefused, read_policy
from runfold.proofs.records import Absence, Shown, ThreadInMap, entry_of, read_claims, read_event, read_proof, read_thread
from runfold.proofs.thread_map import key_of, verify_present
from runfold.proofs.tree import Frontier, ProofFailed, leaf_hash, verify_inclusion

PROVEN, NOT_PROVEN, UNREADABLE = 0, 1, 2
_MOST_SHOWN = 100
_MOST_POLICY = 1024 * 1024


@dataclass
class Findings:
    """What was found of a bundle."""

    checkpoint: Checkpoint
    counts: Counter[str] = field(default_factory=Counter)
    """Events by verdict."""
    threads: dict[str, str] = field(default_factory=dict)
    """Threads by verdict."""
    absence: str | None = None
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0

    def problem(self, text: str) -> None:
        """Note something that is not proven."""
        self.problem_count += 1
        if len(self.problems) < _MOST_SHOWN:
            self.problems.append(text)

    @property
    def proven(self) -> bool:
        """Return whether all that the bundle says is proven."""
        return not self.problem_count


@dataclass
class _Thread:
    """How far a thread was read."""

    claimed: bool
    events: int = 0
    last_leaf: bytes = b""


def verify_bundle(bundle: Bundle, policy: Policy) -> Findings:
    """Verify a bundle as a policy asks. Raises BundleUnreadable, NoteRefused."""
    return findings_of(bundle, policy.trusted(read_note(bundle.text(CHECKPOINT))))


def findings_of(bundle: Bundle, checkpoint: Checkpoint) -> Findings:
    """Hold a bundle against a checkpoint that is trusted already. Raises BundleUnreadable."""
    claims = read_claims(bundle.text(CLAIMS))
    return _Reading(bundle, checkpoint, claims.threads, claims.log, claims.absence).findings()


class _Reading:
    """A bundle read once, in the order of its leaves. Memory grows with the threads and streams in question, not with events."""

    def __init__(
        self, bundle: Bundle, checkpoint: Checkpoint, threads: tuple[str, ...], log: bool, absence: Absence | None
    ) -> None:
        self._bundle, self._checkpoint, self._log, self._absence = bundle, checkpoint, log, absence
        self._found = Findings(checkpoint)
        self._threads = {thread: _Thread(True) for thread in threads}
        self._frontier = Frontier()
        self._of_call: set[str] = set()
        """Streams that have to do with the call in question."""
        self._kept_back: set[str] = set()
        """Streams that might have: a payload of them is left out."""
        self._of_type: dict[str, int] = {}
        """Streams with an event of the type in question, and its position."""

    def findings(self) -> Findings:
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
                self._take(leaf, hash_, shown, included)
                shown = next(events, None)
            elif not self._log:
                raise BundleUnreadable(f"{EVENTS} lacks the event of leaf {leaf.seq}")
            else:
                self._found.counts["REDACTED"] += 1
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
            self._found.problem(f"ALTERED {_name(leaf)}: it is not in the tree of the checkpoint: {error}")
            return False
        return True

    def _take(self, leaf: Leaf, hash_: bytes, shown: Shown, included: bool) -> None:
        verdict = "VERIFIED" if included else "ALTERED"
        if envelope_digest(shown.envelope_salt, shown.envelope) != leaf.envelope_sha256:
            self._found.problem(f"ALTERED {_name(leaf)}: actor, time or what else is beside its payload is not what was sealed")
            verdict = "ALTERED"
        elif shown.payload is None:
            verdict = "REDACTED" if included else "ALTERED"
        elif payload_digest(shown.payload_salt or b"", shown.payload) != leaf.payload_sha256:
            self._found.problem(f"ALTERED {_name(leaf)}: its payload is not what was sealed")
            verdict = "ALTERED"
        self._found.counts[verdict] += 1
        beside = _object(shown.envelope)
        thread_id = beside.get("thread_id")
        if not isinstance(thread_id, str):
            raise BundleUnreadable(f"{EVENTS}: the event of leaf {leaf.seq} names no thread")
        if (thread := self._threads.get(thread_id)) is not None:
            if leaf.thread_seq > thread.events + 1:
                missing = f"{thread.events + 1} to {leaf.thread_seq - 1}"
                self._found.problem(f"MISSING events {missing} of {thread_id}, before {_name(leaf)}")
            if leaf.thread_seq <= thread.events:
                self._found.problem(f"ALTERED {_name(leaf)}: event {leaf.thread_seq} of {thread_id} was there before")
            thread.events, thread.last_leaf = leaf.thread_seq, hash_
        if self._absence is not None and self._absence.thread == thread_id:
            self._look_for(self._absence, leaf, shown, beside)

    def _look_for(self, absence: Absence, leaf: Leaf, shown: Shown, beside: dict[str, Any]) -> None:
        if leaf.type == absence.type:
            self._of_type.setdefault(leaf.stream, leaf.position)
        if absence.call is None:
            return
        said = [beside.get("context"), _object(shown.payload) if shown.payload is not None else None]
        calls = [part["call_id"] for part in said if isinstance(part, dict) and "call_id" in part]
        if absence.call in calls:
            self._of_call.add(leaf.stream)
        elif shown.payload is None and not calls:
            self._kept_back.add(leaf.stream)

    def _close(self) -> None:
        if not self._log and not self._threads and not self._found.counts:
            raise BundleUnreadable("it shows nothing")
        if self._log and (self._frontier.size != self._checkpoint.size or self._frontier.root() != self._checkpoint.root):
            self._found.problem("ALTERED: the leaves are not those that the checkpoint was made of")
        in_map = {each.thread: each for each in map(read_thread, self._bundle.lines(MAP))}
        for name, thread in self._threads.items():
            self._found.threads[name] = self._verdict(name, thread, in_map.get(name))
        if self._absence is not None:
            self._found.absence = self._absent(self._absence)

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

    def _absent(self, absence: Absence) -> str:
        streams = {stream for stream in self._of_type if absence.call is None or stream in self._of_call}
        unclear = {stream for stream in self._of_type if absence.call is not None and stream in self._kept_back}
        what = f"{absence.type}{'' if absence.call is None else f' of call {absence.call}'} in {absence.thread}"
        if streams:
            at = min(self._of_type[stream] for stream in streams)
            self._found.problem(f"NOT ABSENT: there is {what}, at position {at}")
        elif unclear:
            self._found.problem(f"NOT PROVEN: whether {what} is absent, as payloads of {min(unclear)} are left out")
        elif self._found.threads.get(absence.thread) != "COMPLETE" or not self._found.proven:
            self._found.problem(f"NOT PROVEN: whether {what} is absent, as the thread is not proven to be complete")
        else:
            return f"ABSENT: {what}"
        return "NOT PROVEN"


def main(arguments: list[str] | None = None) -> int:
    """Run `runfold-verify`; return the exit code."""
    parser = argparse.ArgumentParser(
        "runfold-verify",
        description="Verify a bundle of evidence offline. Exit 0: proven; 1: not proven; 2: unreadable or not trusted.",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a folder or a .zip that `runfold evidence` made")
    parser.add_argument("--policy", type=Path, required=True, metavar="FILE", help="whom you trust: keys of logs and witnesses")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args(arguments)
    try:
        found = verify_bundle(open_bundle(asked.bundle), _policy(asked.policy))
    except (BundleUnreadable, NoteRefused, PolicyRefused, RecursionError, MemoryError, OSError) as error:
        kind: dict[type[BaseException], str] = {
            NoteRefused: "the checkpoint is not to be trusted",
            PolicyRefused: "the policy cannot be read",
        }
        fact = " ".join(f"{kind.get(type(error), 'the bundle proves nothing')}: {error}".split())
        if asked.json:
            _print({"verdict": "UNREADABLE", "problems": [fact]})
        else:
            print(f"runfold-verify: {fact}", file=sys.stderr)  # noqa: T201
        return UNREADABLE
    if asked.json:
        _print(as_json(found))
    else:
        print("\n".join(as_lines(found)))  # noqa: T201
    return PROVEN if found.proven else NOT_PROVEN


def as_json(found: Findings) -> dict[str, Any]:
    """What was found, for machines."""
    return {
        "verdict": "VERIFIED" if found.proven else "NOT PROVEN",
        "origin": found.checkpoint.origin,
        "size": found.checkpoint.size,
        "root": found.checkpoint.root.hex(),
        "events": dict(sorted(found.counts.items())),
        "threads": found.threads,
        "absence": found.absence,
        "problems": found.problems,
        "problem_count": found.problem_count,
    }


def as_lines(found: Findings) -> list[str]:
    """What was found, for people. The last line is the verdict."""
    checkpoint = found.checkpoint
    lines = [f"checkpoint  {_plain(checkpoint.origin)}, {checkpoint.size} events, root {checkpoint.root.hex()[:16]}…"]
    lines += [f"events      {count} {verdict}" for verdict, count in sorted(found.counts.items())]
    lines += [f"thread      {_plain(name)} {verdict}" for name, verdict in found.threads.items()]
    lines += [f"absence     {_plain(found.absence)}"] if found.absence else []
    lines += [_plain(problem) for problem in found.problems]
    if found.problem_count > len(found.problems):
        lines.append(f"… and {found.problem_count - len(found.problems)} more")
    return [*lines, "VERIFIED" if found.proven else "NOT PROVEN"]


def _print(value: dict[str, Any]) -> None:
    print(json.dumps(value))  # noqa: T201


def _plain(text: str) -> str:
    """Text of a bundle as a terminal may be given it."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _policy(path: Path) -> Policy:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_POLICY + 1)
        if len(raw) > _MOST_POLICY:
            raise PolicyRefused("it is too long")
        return read_policy(raw.decode())
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyRefused(f"{path} ({type(error).__name__})") from None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        said = values(raw)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _name(leaf: Leaf) -> str:
    return f"{leaf.type}, version {leaf.version} of {leaf.stream}, position {leaf.position}"


if __name__ == "__main__":
    sys.exit(main())
