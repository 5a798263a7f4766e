"""What an import says about itself: counts of what the source holds, what was appended, and what could not be taken."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runfold.domain.approval_events import ApprovalRequested
from runfold.domain.decision import DecisionMade
from runfold.domain.event import Event
from runfold.domain.message import MessageAdded
from runfold.domain.run_events import RunCreated
from runfold.domain.thread import ThreadCreated
from runfold.domain.tool_call import ToolCalled, ToolFailed
from runfold.domain.usage import UsageCorrected, UsageRecorded

COUNTS = (
    "threads",
    "runs",
    "messages",
    "tool_calls",
    "tool_errors",
    "decisions",
    "approvals",
    "input_tokens",
    "output_tokens",
)
"""Counts of what the ledger holds of the imported threads: the same after the first import and after the second."""
MOST_STRANGE = 10_000
"""Lines that cannot be taken before the first that can: then a file is no longer read."""


@dataclass(frozen=True)
class Problem:
    """Something of a record that did not go in. `line` counts from 1; None where the whole file is meant."""

    file: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        return f"{_place(self.file, self.line)}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        """Ready for `--json`."""
        return {"file": self.file, "line": self.line, "reason": self.reason}


@dataclass(frozen=True)
class Note:
    """Something to know about a record of which nothing was lost, or that is of no use here.

    Notes are counted by `kind`, which therefore names no id and quotes nothing that differs from record to record:
    "lines of type 'frame-link', which are no part of a conversation". The place is that of the first.
    """

    file: str
    line: int | None
    kind: str
    count: int = 1

    def __str__(self) -> str:
        times = f"{self.count:,} times, first " if self.count > 1 else ""
        return f"{self.kind} ({times}in {_place(self.file, self.line)})"

    def as_json(self) -> dict[str, Any]:
        """Ready for `--json`."""
        return {"kind": self.kind, "count": self.count, "file": self.file, "line": self.line}


@dataclass
class Reports:
    """Problems one by one, and notes counted by kind. `take` is the `Report` that formats are given."""

    problems: list[Problem] = field(default_factory=list)
    by_kind: dict[str, Note] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def take(self, told: Problem | Note) -> None:
        """Keep a problem, or count a note. One thread is read while another goes in, and both may tell."""
        if isinstance(told, Problem):
            self.problems.append(told)
            return
        with self._turn:
            known = self.by_kind.get(told.kind)
            self.by_kind[told.kind] = replace(known, count=known.count + told.count) if known else told

    @property
    def is_strange(self) -> bool:
        """Return whether so many lines of a file cannot be taken that it is another kind's, where none could be so far."""
        return len(self.problems) >= MOST_STRANGE

    def keep_first(self, wanted: str) -> None:
        """Keep one of the problems of a file of which no line is what was wanted."""
        if len(self.problems) > 1:
            first, rest = self.problems[0], "; the rest of the file is not read" if self.is_strange else ""
            self.problems[:] = [Problem(first.file, first.line, f"no line is {wanted}; {first.reason}{rest}")]

    def tell(self, report: Callable[[Problem | Note], None]) -> None:
        """Report all of it elsewhere."""
        for problem in self.problems:
            report(problem)
        for note in self.by_kind.values():
            report(note)


@dataclass
class Tally:
    """Counts of what the ledger holds of the imported threads, and beside them what this import did.

    `messages` has results of tools among them. `events` counts what was appended now, and `skipped` the threads that were in
    already and have not changed since. Tokens are those of all model calls.
    """

    threads: int = 0
    runs: int = 0
    messages: int = 0
    tool_calls: int = 0
    tool_errors: int = 0
    decisions: int = 0
    approvals: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    events: int = 0
    skipped: int = 0
    seconds: float = 0.0
    reports: Reports = field(default_factory=Reports)

    @property
    def problems(self) -> list[Problem]:
        """What did not go in, in the order of the source."""
        return self.reports.problems

    @property
    def notes(self) -> list[Note]:
        """What is to be known beside, one for each kind."""
        return list(self.reports.by_kind.values())

    def counted(self) -> tuple[int, ...]:
        """Return the counts, in the order of `COUNTS`."""
        return tuple(getattr(self, name) for name in COUNTS)

    def add(self, counts: Sequence[int], instead_of: Sequence[int] | None = None) -> None:
        """Count what another thread holds too, or holds now."""
        for name, more, before in zip(COUNTS, counts, instead_of or [0] * len(COUNTS), strict=True):
            setattr(self, name, getattr(self, name) + more - before)

    def count(self, event: Event) -> None:
        """Count an event of the ledger."""
        match event:
            case ThreadCreated():
                self.threads += 1
            case RunCreated():
                self.runs += 1
            case MessageAdded():
                self.messages += 1
            case ToolCalled():
                self.tool_calls += 1
            case ToolFailed():
                self.tool_errors += 1
            case DecisionMade():
                self.decisions += 1
            case ApprovalRequested():
                self.approvals += 1
            case UsageRecorded():
                self.add_tokens(event.tokens.input_tokens, event.tokens.output_tokens)
            case UsageCorrected():
                self.add_tokens(-(event.corrected.input_tokens or 0), -(event.corrected.output_tokens or 0))
                self.add_tokens(event.replacement.input_tokens, event.replacement.output_tokens)
            case _:
                return

    def add_tokens(self, input_tokens: int | None, output_tokens: int | None) -> None:
        """Count what one model call used; what is not reported adds nothing."""
        self.input_tokens += input_tokens or 0
        self.output_tokens += output_tokens or 0

    def as_json(self) -> dict[str, Any]:
        """One object, as `--json` ends with it."""
        return {
            "threads": self.threads,
            "runs": self.runs,
            "messages": self.messages,
            "tool_calls": self.tool_calls,
            "tool_errors": self.tool_errors,
            "decisions": self.decisions,
            "approvals": self.approvals,
            "problems": len(self.problems),
            "notes": sum(note.count for note in self.notes),
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "events": self.events,
            "skipped": self.skipped,
            "seconds": round(self.seconds, 3),
        }


def _place(file: str, line: int | None) -> str:
    shown = file.replace("\n", "\\n").replace("\r", "\\r")  # one line for each
    return f"{shown}:{line}" if line else shown
