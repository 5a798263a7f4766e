"""The tree of runs of a thread, folded from the log: who comes from whom, and where the heads are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice

from runfold.domain.recorded import Recorded
from runfold.domain.run_events import FOLLOWED, Parent, RunCreated
from runfold.domain.thread import MAIN, HeadMoved, HeadNamed
from runfold.errors import RunNotFound


@dataclass(frozen=True)
class Node:
    """A run in the tree."""

    run_id: str
    parent: Parent | None
    agent_id: str
    position: int
    created_at: datetime
    """When the run was created, by the producer's clock where it gave one."""


@dataclass
class Tree:
    """The runs of a thread in the order of their creation, and its heads."""

    thread_id: str
    nodes: dict[str, Node] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    position: int = 0

    def evolve(self, recorded: Recorded) -> None:
        """Take in what happened."""
        self.position = recorded.position
        match recorded.event:
            case RunCreated() as created:
                parent = created.parent
                self.nodes[recorded.stream] = Node(
                    recorded.stream, parent, created.agent_id, recorded.position, recorded.happened_at
                )
                self._follow(recorded.stream, parent)
            case HeadNamed() as named:
                self.heads[named.name] = named.run_id
            case HeadMoved() as moved:
                self.heads[moved.name] = moved.to_run_id
            case _:
                return

    def node(self, run_id: str) -> Node:
        """A run of this thread. Raises RunNotFound."""
        if run_id not in self.nodes:
            raise RunNotFound(run_id)
        return self.nodes[run_id]

    def children(self, run_id: str | None) -> list[Node]:
        """The runs that come from a run, or the roots, oldest first."""
        return list(self._children().get(run_id, ()))

    def spawned(self, run_id: str) -> Iterator[str]:
        """The runs that a run spawned, each followed by those that it spawned itself."""
        waiting = [run_id]
        while waiting:
            at = waiting.pop()
            if at != run_id:
                yield at
            children = reversed(self._children().get(at, ()))
            waiting += [node.run_id for node in children if node.parent and node.parent.kind == "spawned_by"]

    def main_of(self, run_id: str) -> str:
        """A run, or the one whose sub-agent it is, however deep."""
        while (parent := self.node(run_id).parent) is not None and parent.kind == "spawned_by":
            run_id = parent.run_id
        return run_id

    def last_after(self, run_id: str) -> str:
        """The last of the runs that go on from a run."""
        while following := [each for each in self._children().get(run_id, ()) if each.parent and each.parent.kind in FOLLOWED]:
            run_id = following[-1].run_id
        return run_id

    def _children(self) -> Mapping[str | None, Sequence[Node]]:
        known, found = self._indexed
        for node in islice(self.nodes.values(), known[0], None) if known[0] < len(self.nodes) else ():
            found.setdefault(node.parent.run_id if node.parent else None, []).append(node)
        known[0] = len(self.nodes)
        return found

    @cached_property
    def _indexed(self) -> tuple[list[int], dict[str | None, list[Node]]]:
        """How many of the runs are among the children that are known of each, and these: no part of what the tree says."""
        return [0], {}

    def _follow(self, run_id: str, parent: Parent | None) -> None:
        if parent is None:
            self.heads.setdefault(MAIN, run_id)
        elif parent.kind in FOLLOWED:
            for name, at in self.heads.items():
                if at == parent.run_id:
                    self.heads[name] = run_id
