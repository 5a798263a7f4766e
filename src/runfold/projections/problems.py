"""Problems: what is wrong, and what was wrong. The words are in the events at the positions given here.

Constraints that were broken are not here: a violation has no id and is never mended. `goals` and `run_summaries` count
them, and the log lists them (`constraint.violated`).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from runfold.domain.problem import ProblemReported, ProblemResolved, Severity
from runfold.domain.recorded import Recorded
from runfold.projections.projection import Key, Projection, Row


class ProblemRow(Row):
    """One problem."""

    run_id: str
    """The run that has it."""
    problem_id: str
    """The problem."""
    thread_id: str = ""
    """The thread of the run."""
    agent_id: str | None = None
    """Who runs."""
    goal_id: str | None = None
    """What the run is for."""
    decision_id: str | None = None
    """The decision that it comes from; null where nobody said."""
    severity: Severity = "minor"
    """critical, warning or minor."""
    status: Literal["open", "resolved"] = "open"
    """open or resolved."""
    reported_at: datetime | None = None
    """When it was reported, by the producer's clock where it gave one; so are all times here."""
    reported_position: int = 0
    """The event that holds its description, root cause and suggested fix."""
    has_root_cause: bool = False
    """Whether somebody said why."""
    has_suggested_fix: bool = False
    """Whether somebody said what to do."""
    resolved_at: datetime | None = None
    """When it was mended; null while it is open."""
    resolved_position: int | None = None
    """The event that says how."""


class Problems(Projection[ProblemRow]):
    """One row per problem that a run reported, open or resolved."""

    name, version = "problems", 3
    row = ProblemRow
    key = ("run_id", "problem_id")
    events = (ProblemReported, ProblemResolved)
    indexes = (
        ("reported_position",),
        ("resolved_position",),
        ("severity", "reported_position"),
        ("status", "reported_position"),
        ("status", "severity", "reported_position"),
        ("run_id", "severity", "reported_position"),
        ("thread_id", "severity", "reported_position"),
        ("goal_id", "severity", "reported_position"),
        ("agent_id", "severity", "reported_position"),
        ("decision_id", "severity", "reported_position"),
        ("problem_id",),
    )
    partition = "thread"

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """The problem it is about."""
        event = recorded.event
        match event:
            case ProblemReported() | ProblemResolved():
                return ((recorded.stream, event.problem_id),)
        return ()

    def evolve(self, row: ProblemRow, recorded: Recorded) -> ProblemRow:
        """The problem as reported, or mended."""
        event = recorded.event
        match event:
            case ProblemReported():
                return _reported(row, recorded, event)
            case ProblemResolved():
                return row.but(status="resolved", resolved_at=recorded.happened_at, resolved_position=recorded.position)
        return row


def _reported(row: ProblemRow, recorded: Recorded, event: ProblemReported) -> ProblemRow:
    context = recorded.context
    return row.but(
        thread_id=recorded.thread_id,
        agent_id=context.agent_id,
        goal_id=context.goal_id,
        decision_id=event.decision_id,
        severity=event.severity,
        reported_at=recorded.happened_at,
        reported_position=recorded.position,
        has_root_cause=event.root_cause is not None,
        has_suggested_fix=event.suggested_fix is not None,
    )
