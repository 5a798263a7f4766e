"""What an import says about itself: counts of what the source holds, what was appended, and what could not be taken."""

from dataclasses import dataclass, field
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
    """A record that did not go in. `line` counts from 1; None where the whole file is meant."""

    file: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        """Ready for `--json`."""
        return {"file": self.file, "line": self.line, "reason": self.reason}


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
    problems: list[Problem] = field(default_factory=list)

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
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "events": self.events,
            "skipped": self.skipped,
            "seconds": round(self.seconds, 3),
        }
