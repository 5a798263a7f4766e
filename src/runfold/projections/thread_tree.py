"""The tree of runs of each thread: who comes from whom. Never changes once it stands.

Where a run stands is in `run_summaries`, under the same run; where the heads of a thread point is in `threads`, for a head
that follows moves from one run's row to another's, which no event names both.
"""

from collections.abc import Iterable
from datetime import datetime

from runfold.domain.recorded import Recorded
from runfold.domain.run_events import ParentKind, RunCreated
from runfold.projections.projection import Key, Projection, Row


class TreeNode(Row):
    """One run in its thread's tree."""

    thread_id: str
    """The thread."""
    run_id: str
    """The run."""
    parent_run_id: str | None = None
    """The run it comes from, of the same thread; null for a root."""
    parent_kind: ParentKind | None = None
    """How it comes from it: continues, branches, resumes, retries or spawned_by."""
    parent_version: int | None = None
    """The parent's version at which it leaves it: what the parent did later is not in its past."""
    agent_id: str = ""
    """Who runs."""
    created_at: datetime | None = None
    """When it was asked for, by the producer's clock where it gave one."""
    created_position: int = 0
    """The event that asked for it; siblings sort by it."""


class ThreadTree(Projection[TreeNode]):
    """One row per run: its place in the tree of its thread."""

    name, version, row, key, partition = "thread_tree", 1, TreeNode, ("thread_id", "run_id"), "thread"
    events = (RunCreated,)
    indexes = (("run_id",), ("parent_run_id", "created_position"))

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """The run in its thread."""
        return ((recorded.thread_id, recorded.stream),)

    def evolve(self, row: TreeNode, recorded: Recorded) -> TreeNode:
        """A run is created once, and its place is decided then."""
        if not isinstance(created := recorded.event, RunCreated):
            return row
        parent = created.parent
        return row.but(
            parent_run_id=parent.run_id if parent else None,
            parent_kind=parent.kind if parent else None,
            parent_version=parent.at_version if parent else None,
            agent_id=created.agent_id,
            created_at=recorded.happened_at,
            created_position=recorded.position,
        )
