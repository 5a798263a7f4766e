"""How the runs of a thread stand, straight from the log: as many questions however many runs there are."""

from collections.abc import Mapping
from datetime import datetime

from runfold.domain.recorded import Recorded
from runfold.domain.run import NO_PROGRESS
from runfold.domain.run_events import (
    Parent,
    RunCancelled,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunStuck,
    RunWaiting,
    Status,
)
from runfold.errors import ThreadNotFound
from runfold.history.path import thread_tree
from runfold.history.views import View
from runfold.queries.question import question
from runfold.queries.sources.source import LocalSource
from runfold.store.reading.thread_scan import ThreadScan

_LIFE = ("run.created", "run.started", "run.waiting", "run.resumed", "run.stuck", "run.completed", "run.failed", "run.cancelled")
_ENDED: Mapping[type, Status] = {RunCompleted: "completed", RunFailed: "failed", RunCancelled: "cancelled"}
_NO_PROGRESS = tuple(event.type for event in NO_PROGRESS)


class RunState(View):
    """A run of a thread: where it comes from, and how far it is."""

    run_id: str
    parent: Parent | None
    agent_id: str
    status: Status
    stop_reason: str | None
    heads: tuple[str, ...]
    """The heads that point at it."""
    events: int
    created_at: datetime
    created_position: int
    last_position: int


@question
def run_states(source: LocalSource, thread_id: str) -> list[RunState]:
    """The runs of a thread in the order of their creation: parent, status, heads, and how far each is. Raises ThreadNotFound."""
    pinned = source.pinned()
    pinned.first(thread_id, ThreadNotFound)
    tree = thread_tree(pinned.reader, thread_id, pinned.up_to)
    ends = {end.run_id: end for end in ThreadScan(pinned.reader, thread_id, pinned.up_to).runs(_LIFE, _NO_PROGRESS)}
    lives = pinned.reader.at_positions(end.last_of_types for end in ends.values() if end.last_of_types)
    found = []
    for node in tree.nodes.values():
        end = ends[node.run_id]
        status, stop_reason = _status(lives[end.last_of_types or node.position], end.last_beside or 0)
        found.append(
            RunState(
                run_id=node.run_id,
                parent=node.parent,
                agent_id=node.agent_id,
                status=status,
                stop_reason=stop_reason,
                heads=tuple(name for name, run_id in sorted(tree.heads.items()) if run_id == node.run_id),
                events=end.events,
                created_at=node.created_at,
                created_position=node.position,
                last_position=end.last_position,
            )
        )
    return found


def _status(life: Recorded, last_progress: int) -> tuple[Status, str | None]:
    """How a run stands after the last event of its life, and why it ended or waits."""
    match life.event:
        case RunCompleted() | RunFailed() | RunCancelled() as ending:
            return _ENDED[type(ending)], ending.stop_reason
        case RunWaiting() as waiting:
            return "waiting", "requires_approval" if waiting.approval_ids else None
        case RunStuck():
            return ("running" if last_progress > life.position else "stuck"), None
        case RunCreated():
            return "created", None
        case _:
            return "running", None
