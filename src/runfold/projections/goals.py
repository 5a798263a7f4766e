"""Goals: what was done towards each, over all its runs, threads and agents.

Only what adds up from one event to the next is here. The rest is put together when it is read, by goal:
from `run_summaries` the runs that are active and the threads they are in; from `decision_log` the nodes, patterns and
commonest errors; from `problems` what is open; from `usage` tokens and cost. A criterion's progress compares its words
with those of decisions, so it is read from the log, where `described_position` has the goal's own words.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from runfold.domain.decision import DecisionMade, OutcomeCorrected, OutcomeRecorded
from runfold.domain.event import Event
from runfold.domain.problem import ConstraintViolated
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import Goal, RunCancelled, RunCompleted, RunCreated, RunFailed
from runfold.projections.projection import Key, Projection, Row

Changes = dict[str, Any]


class GoalRow(Row):
    """One goal."""

    goal_id: str
    """The goal."""
    runs: int = 0
    """Runs asked for."""
    completed_runs: int = 0
    """Those that completed."""
    failed_runs: int = 0
    """Those that failed."""
    cancelled_runs: int = 0
    """Those that were cancelled."""
    first_run_at: datetime | None = None
    """When the earliest run was asked for, by the producer's clock where it gave one."""
    last_run_at: datetime | None = None
    """When the latest one was."""
    last_run_position: int = 0
    """The creation of the run that was recorded last."""

    decisions: int = 0
    """Decisions made."""
    outcomes: int = 0
    """Decisions whose outcome is known."""
    successes: int = 0
    """Decisions that came out well, by their last outcome."""
    failures: int = 0
    """Decisions that came out badly, by their last outcome."""
    hard_violations: int = 0
    """Times that a run broke a hard constraint."""
    soft_violations: int = 0
    """Times that a run broke a soft one."""
    last_violation_position: int | None = None
    """The last of those events."""

    described_position: int | None = None
    """The creation of the last run that said more of the goal than its id: description, criteria, constraints."""
    criteria: int = 0
    """How many criteria it names there."""
    criteria_weight: float = 0.0
    """The sum of their weights."""
    hard_constraints: int = 0
    """How many hard constraints it names there."""
    soft_constraints: int = 0
    """How many soft ones."""

    @property
    def open_runs(self) -> int:
        """Runs that have not ended."""
        return self.runs - self.completed_runs - self.failed_runs - self.cancelled_runs


class Goals(Projection[GoalRow]):
    """One row per goal: its runs, decisions and violations, counted."""

    name = "goals"
    row = GoalRow
    key = ("goal_id",)
    events = (
        RunCreated,
        RunCompleted,
        RunFailed,
        RunCancelled,
        DecisionMade,
        OutcomeRecorded,
        OutcomeCorrected,
        ConstraintViolated,
    )
    indexes = (("last_run_position",),)
    partition = "goal"

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """The goal of the run, if it has one."""
        goal_id = recorded.context.goal_id
        return () if goal_id is None else ((goal_id,),)

    def evolve(self, row: GoalRow, recorded: Recorded) -> GoalRow:
        """The goal after something was done towards it."""
        changes = _CHANGE[type(recorded.event)](row, recorded, recorded.event)
        return row.but(changes) if changes else row


def _run_created(row: GoalRow, recorded: Recorded, event: RunCreated) -> Changes:
    at, goal = recorded.happened_at, event.goal
    changes: Changes = {
        "runs": row.runs + 1,
        "last_run_position": recorded.position,
        "first_run_at": at if row.first_run_at is None else min(row.first_run_at, at),
        "last_run_at": at if row.last_run_at is None else max(row.last_run_at, at),
    }
    if goal is not None and (goal.description or goal.criteria or goal.constraints):
        changes |= _described(recorded.position, goal)
    return changes


def _described(position: int, goal: Goal) -> Changes:
    hard = sum(constraint.kind == "hard" for constraint in goal.constraints)
    return {
        "described_position": position,
        "criteria": len(goal.criteria),
        "criteria_weight": float(sum(criterion.weight for criterion in goal.criteria)),
        "hard_constraints": hard,
        "soft_constraints": len(goal.constraints) - hard,
    }


def _completed(row: GoalRow, _: Recorded, __: RunCompleted) -> Changes:
    return {"completed_runs": row.completed_runs + 1}


def _failed(row: GoalRow, _: Recorded, __: RunFailed) -> Changes:
    return {"failed_runs": row.failed_runs + 1}


def _cancelled(row: GoalRow, _: Recorded, __: RunCancelled) -> Changes:
    return {"cancelled_runs": row.cancelled_runs + 1}


def _decided(row: GoalRow, _: Recorded, __: DecisionMade) -> Changes:
    return {"decisions": row.decisions + 1}


def _outcome_recorded(row: GoalRow, _: Recorded, event: OutcomeRecorded) -> Changes:
    return {"outcomes": row.outcomes + 1, **_more(row, event.outcome.success, not event.outcome.success)}


def _outcome_corrected(row: GoalRow, _: Recorded, event: OutcomeCorrected) -> Changes:
    more = event.replacement.success - event.previous.success
    return _more(row, more, -more) if more else {}


def _more(row: GoalRow, successes: int, failures: int) -> Changes:
    return {"successes": row.successes + successes, "failures": row.failures + failures}


def _violated(row: GoalRow, recorded: Recorded, event: ConstraintViolated) -> Changes:
    said = "hard_violations" if event.kind == "hard" else "soft_violations"
    return {said: getattr(row, said) + 1, "last_violation_position": recorded.position}


_CHANGE: dict[type[Event], Callable[[GoalRow, Recorded, Any], Changes]] = {
    RunCreated: _run_created,
    RunCompleted: _completed,
    RunFailed: _failed,
    RunCancelled: _cancelled,
    DecisionMade: _decided,
    OutcomeRecorded: _outcome_recorded,
    OutcomeCorrected: _outcome_corrected,
    ConstraintViolated: _violated,
}
