"""hive's sessions: a run with how far it has come, as a view; and the list of them."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from runfold.adapters.hive.checkpoints import Walk, checkpoints_of
from runfold.adapters.hive.run_view import run_of
from runfold.adapters.hive.schemas import Decision, Problem, RunMetrics, View
from runfold.domain.decision import DecisionMade
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunStarted, RunWaiting, Status
from runfold.errors import RunNotFound
from runfold.projections.run_summaries import RunSummaries
from runfold.projections.runs.summary import RunSummary
from runfold.queries.reading import Reading

MOST_SESSIONS = 100
Quality = Literal["clean", "degraded", "failed"]
_RUNS = RunSummaries()


class SessionStatus(StrEnum):
    """How a session stands."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ExecutionStatus(StrEnum):
    """How an execution stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    CANCELLING = "cancelling"


_SESSIONS: dict[Status, SessionStatus] = {
    "created": SessionStatus.ACTIVE,
    "running": SessionStatus.ACTIVE,
    "waiting": SessionStatus.PAUSED,
    "stuck": SessionStatus.FAILED,
    "completed": SessionStatus.COMPLETED,
    "failed": SessionStatus.FAILED,
    "cancelled": SessionStatus.CANCELLED,
}
"""What hive makes of its runs' states; of a stuck one that it failed, though here it may still go on."""
_EXECUTIONS: dict[Status, ExecutionStatus] = {
    "created": ExecutionStatus.PENDING,
    "running": ExecutionStatus.RUNNING,
    "waiting": ExecutionStatus.PAUSED,
    "stuck": ExecutionStatus.RUNNING,
    "completed": ExecutionStatus.COMPLETED,
    "failed": ExecutionStatus.FAILED,
    "cancelled": ExecutionStatus.CANCELLED,
}


class SessionProgress(View):
    """How far a session has come."""

    current_node: str | None
    paused_at: str | None
    """The node it waits at, while it waits."""
    path: list[str]
    """The nodes it came to, in order, each as often as it came."""
    node_visit_counts: dict[str, int]
    steps_executed: int
    total_tokens: int
    total_latency_ms: int
    total_retries: int
    """Attempts after the first, and decisions to retry."""


class SessionState(View):
    """A run, as hive keeps a session."""

    session_id: str
    """The run."""
    stream_id: str
    execution_id: str
    goal_id: str
    status: SessionStatus
    execution_status: ExecutionStatus
    started_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    progress: SessionProgress
    result: dict[str, Any]
    memory: Any
    """The shared state; empty where it has none."""
    metrics: RunMetrics
    problems: list[Problem]
    decisions: list[Decision]
    checkpoint_ids: list[str]
    execution_quality: Quality
    """clean, degraded where it needed retries, failed where it failed."""


class SessionItem(View):
    """A session on a list."""

    session_id: str
    goal_id: str | None
    status: SessionStatus
    execution_status: ExecutionStatus
    started_at: datetime
    updated_at: datetime
    has_checkpoints: bool


def session(reading: Reading, session_id: str) -> SessionState:
    """Return a session, now or as of the moment that is asked about. Raises RunNotFound."""
    events = list(reading.run_events(session_id))
    if not events:
        raise RunNotFound(session_id)
    run, row, walk = run_of(events), RunSummary(run_id=session_id), Walk()
    said: dict[str, Any] = reading.run(session_id).metadata
    paused_at: str | None = None
    for recorded in events:
        row = _RUNS.evolve(row, recorded)
        walk.follow(recorded.event)
        paused_at = walk.current if isinstance(recorded.event, RunWaiting) else paused_at
    retries = _retries(events)
    progress = SessionProgress(
        current_node=walk.current,
        paused_at=paused_at if row.status == "waiting" else None,
        path=walk.path,
        node_visit_counts=dict(walk.visits),
        steps_executed=len(walk.path),
        total_tokens=run.metrics.total_tokens or row.total_tokens or 0,
        total_latency_ms=run.metrics.total_latency_ms,
        total_retries=retries,
    )
    status = _SESSIONS[row.status]
    return SessionState(
        session_id=session_id,
        stream_id=str(said.get("stream_id") or events[0].thread_id),
        execution_id=str(said.get("execution_id") or session_id),
        goal_id=run.goal_id,
        status=status,
        execution_status=execution_status(row),
        started_at=run.started_at,
        updated_at=row.last_event_at,
        completed_at=run.completed_at,
        progress=progress,
        result=run.output_data,
        memory=reading.state(session_id),
        metrics=run.metrics,
        problems=run.problems,
        decisions=run.decisions,
        checkpoint_ids=[found.checkpoint_id for found in checkpoints_of(events)],
        execution_quality="failed" if status is SessionStatus.FAILED else "degraded" if retries else "clean",
    )


def sessions(
    reading: Reading,
    status: SessionStatus | Literal["all"] = "all",
    goal_id: str | None = None,
    has_checkpoints: bool | None = None,
    limit: int = MOST_SESSIONS,
) -> list[SessionItem]:
    """Return sessions, those that something happened in last first. Raises UsageError, ReadModelBehind."""
    wanted = None if status == "all" else [ours for ours, word in _SESSIONS.items() if word == SessionStatus(status)]
    found: list[SessionItem] = []
    cursor: str | None = None
    while len(found) < limit:
        page = reading.runs(
            status=wanted, goal_id=goal_id, order_by="last_event_at", limit=min(limit, MOST_SESSIONS), cursor=cursor
        )
        items = (_item(reading, row) for row in page.items)
        found += [item for item in items if has_checkpoints in {None, item.has_checkpoints}]
        cursor = page.next_cursor
        if cursor is None:
            break
    return found[:limit]


def execution_status(run: RunSummary) -> ExecutionStatus:
    """Return how an execution stands: cancelling while a worker was asked to stop and has not."""
    if run.cancellation_requested and run.finished_at is None:
        return ExecutionStatus.CANCELLING
    return _EXECUTIONS[run.status]


def _item(reading: Reading, row: RunSummary) -> SessionItem:
    return SessionItem(
        session_id=row.run_id,
        goal_id=row.goal_id,
        status=_SESSIONS[row.status],
        execution_status=execution_status(row),
        started_at=row.started_at or row.created_at,
        updated_at=row.last_event_at,
        has_checkpoints=_has_checkpoints(reading, row),
    )


def _has_checkpoints(reading: Reading, row: RunSummary) -> bool:
    """Return whether there is one; a node that only a decision names is none."""
    if row.steps or row.edges_traversed or not row.nodes_executed:
        return bool(row.steps or row.edges_traversed)
    return any(True for _ in checkpoints_of(reading.run_events(row.run_id)))


def _retries(events: list[Recorded]) -> int:
    def is_one(recorded: Recorded) -> bool:
        match recorded.event:
            case RunStarted():
                return recorded.event.attempt > 1
            case DecisionMade():
                return recorded.event.decision_type == "retry_strategy"
        return False

    return sum(map(is_one, events))
