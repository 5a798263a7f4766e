"""What an import says about itself: counts of what the source holds, what was appended, and what could not be taken."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

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
"""Counts of what the source holds: the same at the first import and at the second."""


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

    def take(self, told: Problem | Note) -> None:
        """Keep a problem, or count a note."""
        if isinstance(told, Problem):
            self.problems.append(told)
        elif known := self.by_kind.get(told.kind):
            self.by_kind[told.kind] = replace(known, count=known.count + told.count)
        else:
            self.by_kind[told.kind] = told

    def tell(self, report: Callable[[Problem | Note], None]) -> None:
        """Report all of it elsewhere."""
        for problem in self.problems:
            report(problem)
        for note in self.by_kind.values():
            report(note)


@dataclass
class Tally:
    """Counts of what the source holds, and beside them what this import did.

    `messages` is what the source calls messages, a tool's result among them. `events` counts what was appended now, and
    `skipped` the threads that were in already and have not changed since. Tokens are all that the source reports.
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

    def add(self, other: "Tally") -> None:
        """Count what another source holds too."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

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
    return f"{file}:{line}" if line else file
