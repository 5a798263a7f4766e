"""Looks through a bundle for the events of a receipt, and holds each leaf against what was told."""

from collections.abc import Sequence
from itertools import chain

from runfold.proofs.findings import Findings, Seen, name_of
from runfold.proofs.receipt import ToldEvent


class ReceiptSearch:
    """Finds whether each event of a receipt was sealed as it was told."""

    def __init__(self, told: Sequence[ToldEvent]) -> None:
        self._told = list(dict.fromkeys(told))
        self._missing: dict[int, list[ToldEvent]] = {}
        """By position: mostly one, but who lies may tell two things of it."""
        for each in self._told:
            self._missing.setdefault(each.position, []).append(each)
        self._differs: list[str] = []

    def take(self, seen: Seen) -> None:
        """Take the next leaf in, in the order of the log."""
        for told in self._missing.pop(seen.leaf.position, ()):
            if fields := told.differs_from_leaf(seen.leaf):
                self._differs.append(f"NOT AS TOLD {name_of(seen.leaf)}: the receipt has another {', '.join(fields)}")

    def close(self, found: Findings) -> None:
        """Note what was found, after events, threads and the log were judged."""
        for told in chain.from_iterable(self._missing.values()):
            place = f"{told.type}, version {told.version} of {told.stream}, position {told.position}"
            self._differs.append(f"NOT SHOWN {place}: the receipt tells of it, and it is not in the bundle")
        found.receipt = "NOT PROVEN" if self._differs or not found.proven else f"{len(self._told)} AS TOLD"
        for problem in self._differs:
            found.problem(problem)
