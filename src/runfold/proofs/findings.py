"""What is found of a bundle by who verifies it, and what of it is handed to those who look for something in it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from runfold.proofs.claims import Answer, Sample
from runfold.proofs.leaf import Leaf, canonical_values, values
from runfold.proofs.note import Checkpoint
from runfold.proofs.records import Shown

_MOST_SHOWN = 100


@dataclass
class AnswerFound:
    """What became of the rows of a read model that a bundle shows."""

    answer: Answer
    rows: list[dict[str, Any]]
    verdict: Literal["REFOLDED", "DIFFERS", "NOT REFOLDED"]
    why: str = ""
    """Why they were not folded anew."""


@dataclass
class SampleFound:
    """What became of a sample that a bundle holds."""

    sample: Sample
    runs: list[str]
    """Those that are drawn, in their order."""
    drawn: Literal["DRAWN", "NOT DRAWN"] = "NOT DRAWN"
    population: Literal["COMPLETE", "GIVEN", "INCOMPLETE"] = "GIVEN"


@dataclass
class Findings:
    """What was found of a bundle."""

    checkpoint: Checkpoint
    counts: Counter[str] = field(default_factory=Counter)
    """Events by verdict."""
    threads: dict[str, str] = field(default_factory=dict)
    """Threads by verdict."""
    is_whole_log: bool = False
    """Whether all leaves of the log are there, and make the root."""
    absence: str | None = None
    answer: AnswerFound | None = None
    timestamp: str | None = None
    """When an authority of the policy saw the checkpoint, and which; or why that was not looked at."""
    receipt: str | None = None
    """What became of the events of a receipt that was held against it."""
    sample: SampleFound | None = None
    passed_over: tuple[str, ...] = ()
    """What lies beside the files of the bundle, and nobody looked at."""
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
        return self.verdict == "VERIFIED"

    @property
    def verdict(self) -> Literal["VERIFIED", "NOT REFOLDED", "NOT PROVEN"]:
        """Return what it comes to. NOT REFOLDED: all else is verified."""
        if self.problem_count:
            return "NOT PROVEN"
        return "NOT REFOLDED" if self.answer is not None and self.answer.verdict == "NOT REFOLDED" else "VERIFIED"

    def holds_all_of(self, thread: str | None) -> bool:
        """Return whether all events of a thread, or of the log, are proven to be there."""
        return self.is_whole_log if thread is None else self.threads.get(thread) == "COMPLETE"


class Seen(NamedTuple):
    """A leaf of a bundle, with its event where that is shown."""

    leaf: Leaf
    shown: Shown | None
    thread: str | None
    """The thread, which only a shown event tells."""
    beside: dict[str, Any]
    """What the envelope says; empty where it is not shown."""

    def name(self) -> str:
        """Return what a person finds it by."""
        return name_of(self.leaf)


class Search(Protocol):
    """Looks through a bundle for what it is to show."""

    def take(self, seen: Seen) -> None:
        """Take the next leaf in, in the order of the log."""

    def close(self, found: Findings) -> None:
        """Note what was found, after events, threads and the log were judged."""


def name_of(leaf: Leaf) -> str:
    """What a person finds a leaf by."""
    return f"{leaf.type}, version {leaf.version} of {leaf.stream}, position {leaf.position}"


def read_object(payload: bytes) -> dict[str, Any]:
    """The object that a payload holds; an empty one where it holds none, or is no JSON."""
    return _object(payload, values)


def read_envelope(envelope: bytes) -> dict[str, Any]:
    """The object that an envelope holds; an empty one where it holds none, or is not written as envelopes are."""
    return _object(envelope, canonical_values)


def _object(raw: bytes, read: Callable[[bytes], Any]) -> dict[str, Any]:
    try:
        said = read(raw)
    except (ValueError, ArithmeticError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
