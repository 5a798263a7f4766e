"""hive's goals: what an aggregator knows of the goal of a run is recorded with the run, and how a goal stands is asked for.

hive's aggregator is made for a goal, with its success criteria and constraints. Where the tracker was given one, its runs say
them, and `ledger.now.goal_progress(goal_id)` answers by hive's rules, over all streams.
"""

from enum import StrEnum
from typing import Any, get_args

from runfold.domain.run_events import Constraint, Criterion, Goal
from runfold.queries.reading import Reading

_METRICS = get_args(Criterion.model_fields["metric"].annotation)
_CATEGORIES = ("time", "cost", "safety", "scope", "quality")


class GoalStatus(StrEnum):
    """How a goal stands. That one is only a draft is nowhere recorded."""

    DRAFT = "draft"
    READY = "ready"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    SUSPENDED = "suspended"


def goal_of(goal_id: str, description: str, aggregator: Any) -> Goal:
    """Return the goal of a run, with what the aggregator knows of it, where it is that goal's."""
    known = getattr(aggregator, "goal", None)
    if getattr(known, "id", None) != goal_id:
        return Goal(id=goal_id, description=description)
    return Goal(
        id=goal_id,
        description=description or getattr(known, "description", ""),
        criteria=tuple(map(_criterion, getattr(known, "success_criteria", ()))),
        constraints=tuple(map(_constraint, getattr(known, "constraints", ()))),
    )


def goal_status(reading: Reading, goal_id: str) -> GoalStatus:
    """Return how a goal stands, by its runs: reached, worked on, waiting, not begun, or given up.

    Raises GoalNotFound, ReadModelBehind.
    """
    if reading.goal_progress(goal_id).recommendation == "complete":
        return GoalStatus.COMPLETED
    open_runs: dict[tuple[str, ...], GoalStatus] = {
        ("running", "stuck"): GoalStatus.ACTIVE,
        ("waiting",): GoalStatus.SUSPENDED,
        ("created",): GoalStatus.READY,
    }
    for statuses, found in open_runs.items():
        if reading.runs(goal_id=goal_id, status=statuses, limit=1).items:
            return found
    completed = reading.runs(goal_id=goal_id, status="completed", limit=1).items
    return GoalStatus.ACTIVE if completed else GoalStatus.FAILED


def _criterion(known: Any) -> Criterion:
    metric = _word(getattr(known, "metric", "custom"))
    return Criterion(
        id=known.id,
        description=getattr(known, "description", ""),
        metric=metric if metric in _METRICS else "custom",
        target=getattr(known, "target", None),
        weight=float(getattr(known, "weight", 1.0)),
    )


def _constraint(known: Any) -> Constraint:
    category = _word(getattr(known, "category", None))
    return Constraint(
        id=known.id,
        description=getattr(known, "description", ""),
        kind="hard" if _word(getattr(known, "constraint_type", "soft")) == "hard" else "soft",
        category=category if category in _CATEGORIES else None,
        check=getattr(known, "check", None) or None,
    )


def _word(value: Any) -> Any:
    """Return the word that an enum of theirs stands for."""
    return getattr(value, "value", value)
