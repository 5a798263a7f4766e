"""What an aggregator knows of a goal is recorded with its runs, and how the goal stands is asked for."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest

from runfold import Ledger
from runfold.adapters.hive import StreamDecisionTracker
from runfold.adapters.hive.goals import GoalStatus, goal_status
from runfold.errors import LedgerError


class Kind(Enum):
    """As hive has enums for these words."""

    HARD = "hard"


@dataclass
class Criterion:
    id: str
    description: str
    metric: str = "custom"
    target: Any = None
    weight: float = 1.0


@dataclass
class Constraint:
    id: str
    description: str
    constraint_type: Any = "soft"
    category: str = ""
    check: str = ""


@dataclass
class Goal:
    id: str
    description: str
    success_criteria: list[Criterion] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)


@dataclass
class Aggregator:
    goal: Goal

    def record_decision(self, **_: Any) -> None:
        """Nothing is kept here: it is about what is recorded."""

    record_outcome = record_decision


GOAL = Goal(
    "support",
    "Answers are right",
    [
        Criterion("right", "answers are right", "output_contains", "90%", 0.5),
        Criterion("quick", "answers are quick", "output_equals", "yes", 0.25),
        Criterion("kind", "answers are kind", "llm_judge", None, 0.2),
        Criterion("odd", "judged by us", "of our own", None, 0.05),
    ],
    [
        Constraint("budget", "costs little", Kind.HARD, "cost", "cost < 1"),
        Constraint("tone", "stay polite", "soft", "taste"),
    ],
)


@pytest.mark.row("HV-71", "HV-72", "HV-75")
def test_a_goal_is_recorded_as_its_aggregator_knows_it_and_says_how_it_stands(ledger: Ledger) -> None:
    tracker = StreamDecisionTracker("mail", None, Aggregator(GOAL), ledger=ledger)
    run_id = tracker.start_run("exec_1", "support")
    ledger.fold()
    told = ledger.now.goal_progress("support")
    assert told.description == "Answers are right"
    assert [(each.id, each.metric, each.target, each.weight) for each in told.criteria] == [
        ("right", "output_contains", "90%", 0.5),
        ("quick", "output_equals", "yes", 0.25),
        ("kind", "llm_judge", None, 0.2),
        ("odd", "custom", None, 0.05),
    ]
    assert [(each.id, each.kind, each.category, each.check) for each in told.constraints] == [
        ("budget", "hard", "cost", "cost < 1"),
        ("tone", "soft", None, None),
    ]

    def status() -> GoalStatus:
        ledger.fold()
        return goal_status(ledger.now, "support")

    assert status() is GoalStatus.ACTIVE
    ledger.run(run_id).wait("input")
    assert status() is GoalStatus.SUSPENDED
    ledger.run(run_id).resume()
    tracker.end_run("exec_1", success=False)
    assert status() is GoalStatus.FAILED
    ready = tracker.thread.create_run(parent=None, goal={"id": "support"})
    assert status() is GoalStatus.READY
    ready.start()
    for criterion in GOAL.success_criteria:
        chosen = ready.decide("d", options=[{"id": "o", "description": "o"}], chosen="o", constraints=[criterion.id])
        chosen.outcome(success=True)
    ready.complete()
    assert status() is GoalStatus.COMPLETED
    with pytest.raises(LedgerError, match="nobody"):
        goal_status(ledger.now, "nobody")


def test_an_aggregator_of_another_goal_says_nothing_of_this_one(ledger: Ledger) -> None:
    tracker = StreamDecisionTracker("mail", None, Aggregator(GOAL), ledger=ledger)
    run_id = tracker.start_run("exec_1", "sales", "Sell")
    goal = ledger.now.run(run_id).goal
    assert goal is not None
    assert (goal.id, goal.description, goal.criteria) == ("sales", "Sell", ())
