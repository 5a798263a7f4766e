"""The trees of threads as a batch will leave them: for each command what is new is looked at, and not all of the thread again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runfold.domain.recorded import Recorded
from runfold.history.tree import Tree


@dataclass(slots=True)
class _Growing:
    """A tree, and what is in it."""

    tree: Tree
    position: int = 0
    """The last event of the log."""
    collected: int = 0
    """How many of the collected events of all threads were looked at."""


class GrowingTrees:
    """The trees that a batch was asked about while it collects one part; what it collects stands after all that is recorded."""

    def __init__(self, log: Callable[[str, int], list[Recorded]], collected: Callable[[int], Iterable[Recorded]]) -> None:
        """`log` is asked for the events that shape a thread's tree after a position, `collected` for those after so many."""
        self._log, self._collected = log, collected
        self._trees: dict[str, _Growing] = {}

    def of(self, thread_id: str) -> Tree:
        """The tree of a thread as it is by now. It grows, so nobody keeps it."""
        growing = self._trees.get(thread_id)
        recorded = self._log(thread_id, growing.position if growing else 0)
        if growing is None:
            growing = self._trees[thread_id] = _Growing(Tree(thread_id))
        elif recorded and growing.collected:  # somebody else's, which stand before what is collected
            growing = self._trees[thread_id] = _Growing(Tree(thread_id))
            recorded = self._log(thread_id, 0)
        for event in recorded:
            growing.tree.evolve(event)
            growing.position = event.position
        for event in self._collected(growing.collected):
            if event.thread_id == thread_id:
                growing.tree.evolve(event)
            growing.collected += 1
        return growing.tree
