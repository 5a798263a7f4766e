"""Rows of a read model in a bundle, and whether the fold of its events comes to them. The fold itself comes from outside."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from runfold.proofs.claims import Answer
from runfold.proofs.container import ANSWER, Bundle, BundleUnreadable
from runfold.proofs.fields import count_in, object_in
from runfold.proofs.findings import AnswerFound, Findings, Seen
from runfold.proofs.leaf import canonical

NOT_TRIED = "the fold was not tried; `runfold-verify --refold` tries it where Runfold is installed"
NOT_HERE = "Runfold is not installed here, so the fold was not tried; take the `runfold-verify` that comes with Runfold"


class AnswerRow(NamedTuple):
    """A row of a read model, and the position of the last event that changed it."""

    position: int
    row: dict[str, Any]


class CannotFold(ValueError):
    """The events of a bundle cannot be folded here: they are not all there, or the fold is another one."""


class Fold(Protocol):
    """Folds the events of a bundle as a read model does."""

    def take(self, seen: Seen) -> None:
        """Take the next leaf in, in the order of the log."""

    def differences(self, rows: list[AnswerRow]) -> list[str]:
        """Return in what given rows are not what the fold comes to. Raises CannotFold."""


Folding = Callable[[Answer], Fold]
"""Gives the fold that an answer is by. Raises CannotFold."""


def write_row(row: AnswerRow) -> bytes:
    """A row → its line."""
    return canonical({"position": str(row.position), "row": row.row}).encode() + b"\n"


def read_row(line: bytes) -> AnswerRow:
    """A line → a row. Raises BundleUnreadable."""
    said = object_in(line, ANSWER)
    if set(said) != {"position", "row"} or not isinstance(said["row"], dict):
        raise BundleUnreadable(f"{ANSWER} has a row with fields that none has")
    return AnswerRow(count_in(said["position"], ANSWER), said["row"])


class AnswerSearch:
    """Finds whether the rows of a bundle are what its events come to."""

    def __init__(self, bundle: Bundle, answer: Answer, folding: Folding | None, why_not: str = NOT_TRIED) -> None:
        self._rows = list(map(read_row, bundle.lines(ANSWER)))
        self._answer, self._why_not = answer, why_not
        self._fold: Fold | None = None
        self._last = 0
        if not self._rows:
            raise BundleUnreadable(f"{ANSWER} has no row")
        try:
            self._fold = folding(answer) if folding else None
        except CannotFold as error:
            self._why_not = str(error)

    def take(self, seen: Seen) -> None:
        """Take the next leaf in, in the order of the log."""
        self._last = seen.leaf.position
        if self._fold is not None and (self._answer.thread is None or seen.thread == self._answer.thread):
            self._fold.take(seen)

    def close(self, found: Findings) -> None:
        """Note what was found, after events, threads and the log were judged."""
        found.answer = AnswerFound(self._answer, [each.row for each in self._rows], "NOT REFOLDED", self._why_not)
        if fact := self._lacking(found):
            found.answer.why = fact
            found.problem(f"NOT REFOLDED {self._answer.named()}: {fact}")
        elif self._fold is not None:
            try:
                self._judge(found, found.answer, self._fold.differences(self._rows))
            except CannotFold as error:
                found.answer.why = str(error)

    def _judge(self, found: Findings, answer: AnswerFound, differences: list[str]) -> None:
        answer.verdict, answer.why = "DIFFERS" if differences else "REFOLDED", ""
        for difference in differences:
            found.problem(f"DIFFERS {self._answer.named()}: {difference}")

    def _lacking(self, found: Findings) -> str | None:
        """Return why the events that are there are not those that the rows are to be made of; None where they are."""
        answer = self._answer
        if not found.holds_all_of(answer.thread):
            whole = "the whole log is" if answer.thread is None else f"{answer.thread} is"
            return f"{whole} not proven to be complete"
        if self._last > answer.position:
            return f"it is to be as of position {answer.position}, and there are events up to {self._last}"
        return None if not found.problem_count else "its events are not proven"
