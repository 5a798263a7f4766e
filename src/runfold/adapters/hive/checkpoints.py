"""hive's checkpoints: versions of a run at which another can go on, found in what is recorded.

None is written and none has to be pruned: each is a version of the run's stream, and its memory is the shared state as of it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Unpack

from runfold.adapters.hive.schemas import View
from runfold.domain.decision import OutcomeCorrected, OutcomeRecorded
from runfold.domain.event import Event
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCancelled, RunCompleted, RunFailed, RunStarted, RunStuck
from runfold.domain.step import EdgeTraversed, NodeEntered, StepFinished, StepStarted
from runfold.domain.tool_call import ToolFailed
from runfold.errors import UsageError
from runfold.handles.creation import RunRequest
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.handles.run import Run
from runfold.queries.reading import Reading
from runfold.remote.ledger import RemoteLedger


class CheckpointType(StrEnum):
    """What a run had come to."""

    NODE_START = "node_start"
    NODE_COMPLETE = "node_complete"
    EDGE_TRANSITION = "edge_transition"
    LOOP_ITERATION = "loop_iteration"


class Checkpoint(View):
    """A version of a run to go on from."""

    checkpoint_id: str
    checkpoint_type: CheckpointType
    session_id: str
    """The run."""
    created_at: datetime
    current_node: str | None
    execution_path: list[str]
    """The nodes it had come to, in order, each as often as it came."""
    is_clean: bool
    """Whether nothing had failed, got stuck or been begun again."""
    version: int
    """Of the run's stream: it holds all events up to this one."""
    position: int


@dataclass
class Walk:
    """Follows a run through its graph, event by event."""

    path: list[str] = field(default_factory=list)
    visits: Counter[str] = field(default_factory=Counter)
    current: str | None = None
    is_clean: bool = True
    _has_just_come: bool = False

    def follow(self, event: Event) -> None:
        """Go where an event goes."""
        self.is_clean = self.is_clean and not _spoils(event)
        match event:
            case EdgeTraversed():
                self._come_to(event.to_node_id)
                self._has_just_come = True
                return
            case NodeEntered():
                if not (self._has_just_come and self.current == event.node_id):
                    self._come_to(event.node_id)
            case StepStarted() if event.node_id is not None and event.node_id != self.current:
                self._come_to(event.node_id)
        self._has_just_come = False

    def _come_to(self, node_id: str) -> None:
        self.path.append(node_id)
        self.visits[node_id] += 1
        self.current = node_id


def checkpoints(
    reading: Reading,
    session_id: str,
    checkpoint_type: CheckpointType | None = None,
    node_id: str | None = None,
    is_clean: bool | None = None,
) -> list[Checkpoint]:
    """Return the checkpoints of a run, oldest first: all, of a type, of a node, or only clean ones. Raises RunNotFound."""
    return [
        found
        for found in checkpoints_of(reading.run_events(session_id))
        if checkpoint_type in {None, found.checkpoint_type}
        and node_id in {None, found.current_node}
        and is_clean in {None, found.is_clean}
    ]


def latest_checkpoint(reading: Reading, session_id: str, *, clean: bool = False) -> Checkpoint | None:
    """Return the last checkpoint of a run, or its last clean one. Raises RunNotFound."""
    found = checkpoints(reading, session_id, is_clean=True if clean else None)
    return found[-1] if found else None


def memory_at(reading: Reading, checkpoint: Checkpoint) -> Any:
    """Return the shared state as of a checkpoint; empty where the run had none."""
    return reading.state(checkpoint.session_id, at_version=checkpoint.version)


def resume(
    ledger: TenantLedger | RemoteLedger,
    session_id: str,
    checkpoint_id: str | None = None,
    input: Any = None,
    **request: Unpack[RunRequest],
) -> Run:
    """Go on from a checkpoint, the last one if none is named: a new run whose past is the run up to it. `start` it.

    Raises RunNotFound, and UsageError where there is no such checkpoint.
    """
    found = checkpoints(ledger.now, session_id)
    chosen = next((each for each in reversed(found) if checkpoint_id in {None, each.checkpoint_id}), None)
    if chosen is None:
        named = "has no checkpoint" if checkpoint_id is None else f"has no checkpoint {checkpoint_id[:60]!r}"
        raise UsageError(f"run {session_id} {named}; `checkpoints(ledger.now, …)` lists what it has")
    asked: RunRequest = {**request, "at_version": chosen.version}
    return ledger.run(session_id).branch(input, **asked)


def checkpoints_of(events: Iterable[Recorded]) -> Iterator[Checkpoint]:
    """Return the checkpoints that a run's events are, or are the end of."""
    walk, before = Walk(), None
    for recorded in events:
        event, left, was_clean = recorded.event, walk.current, walk.is_clean
        if before is not None and left is not None and _leaves(event, left):
            yield _checkpoint(CheckpointType.NODE_COMPLETE, before, walk, is_clean=was_clean)
        came_to = len(walk.path)
        walk.follow(event)
        if isinstance(event, EdgeTraversed):
            yield _checkpoint(CheckpointType.EDGE_TRANSITION, recorded, walk, is_clean=walk.is_clean)
        elif len(walk.path) > came_to or isinstance(event, NodeEntered):
            yield _checkpoint(CheckpointType.NODE_START, recorded, walk, is_clean=walk.is_clean)
        if isinstance(event, StepStarted):
            yield _checkpoint(CheckpointType.LOOP_ITERATION, recorded, walk, is_clean=walk.is_clean)
        before = recorded


def _checkpoint(kind: CheckpointType, recorded: Recorded, walk: Walk, *, is_clean: bool) -> Checkpoint:
    return Checkpoint(
        checkpoint_id=f"cp_{kind}_{recorded.version}",
        checkpoint_type=kind,
        session_id=recorded.stream,
        created_at=recorded.happened_at,
        current_node=walk.current,
        execution_path=list(walk.path),
        is_clean=is_clean,
        version=recorded.version,
        position=recorded.position,
    )


def _leaves(event: Event, node_id: str) -> bool:
    match event:
        case EdgeTraversed():
            return event.from_node_id == node_id
        case NodeEntered() | StepStarted():
            return event.node_id not in {None, node_id}
        case RunCompleted() | RunFailed() | RunCancelled():
            return True
    return False


def _spoils(event: Event) -> bool:
    match event:
        case OutcomeRecorded():
            return not event.outcome.success
        case OutcomeCorrected():
            return not event.replacement.success
        case StepFinished():
            return not event.ok
        case RunStarted():
            return event.attempt > 1
    return isinstance(event, ToolFailed | RunStuck | RunFailed)
