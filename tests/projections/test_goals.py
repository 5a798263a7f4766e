"""Goals: given what was recorded in all their runs, then these rows."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.domain.decision import OutcomeRecorded
from runfold.importers.importing import import_paths
from runfold.projections.goals import GoalRow, Goals
from tests.projections.folded import rows_of

OPTIONS = [{"id": "a", "description": "one"}, {"id": "b", "description": "other"}]
GOAL = {
    "id": "tickets",
    "description": "answer every ticket",
    "criteria": [
        {"id": "fast", "description": "within a day", "weight": 0.5},
        {"id": "right", "description": "no complaint", "weight": 0.25},
    ],
    "constraints": [{"id": "budget", "kind": "hard"}, {"id": "tone", "kind": "soft"}, {"id": "length"}],
}


def goal(ledger: Ledger, goal_id: str = "tickets") -> GoalRow:
    return rows_of(Goals(), ledger)[goal_id,]


def test_a_goal_counts_its_runs_of_all_threads_and_agents_by_how_they_ended(ledger: Ledger) -> None:
    march = datetime(2026, 3, 1, tzinfo=UTC)
    threads = [ledger.create_thread(agent_id=name) for name in ("support", "sales")]
    runs = [
        threads[number % 2].start_run(goal=GOAL, parent=None, occurred_at=march - timedelta(days=number)) for number in range(4)
    ]
    threads[0].start_run(parent=None)
    threads[0].start_run(parent=None, goal={"id": "other"})
    runs[0].complete()
    runs[1].fail("broken")
    runs[2].cancel()
    row = goal(ledger)
    assert (row.runs, row.completed_runs, row.failed_runs, row.cancelled_runs, row.open_runs) == (4, 1, 1, 1, 1)
    assert (row.first_run_at, row.last_run_at) == (march - timedelta(days=3), march)
    assert row.last_run_position == ledger.events(run_id=runs[3].id)[0].position
    assert rows_of(Goals(), ledger).keys() == {("tickets",), ("other",)}


def test_a_goal_is_described_where_a_run_last_said_more_than_its_id(ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="support")
    thread.start_run(goal={"id": "tickets", "description": "older words"}, parent=None)
    described = thread.start_run(goal=GOAL, parent=None)
    thread.start_run(goal={"id": "tickets"}, parent=None)
    row = goal(ledger)
    assert row.described_position == ledger.events(run_id=described.id)[0].position
    assert (row.criteria, row.criteria_weight, row.hard_constraints, row.soft_constraints) == (2, 0.75, 1, 2)
    assert "answer" not in row.model_dump_json()
    thread.start_run(goal={"id": "tickets", "description": "no criteria any more"}, parent=None)
    row = goal(ledger)
    assert (row.criteria, row.criteria_weight, row.hard_constraints, row.soft_constraints) == (0, 0.0, 0, 0)


@pytest.mark.row("HV-13")
def test_outcomes_are_counted_once_whatever_is_corrected(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run(goal={"id": "tickets"})
    made = [run.decide(f"number {number}", options=OPTIONS, chosen="a") for number in range(4)]
    made[0].outcome(success=True)
    made[1].outcome(success=False, error="no")
    made[2].outcome(success=False, error="no")
    row = goal(ledger)
    assert (row.decisions, row.outcomes, row.successes, row.failures) == (4, 3, 1, 2)
    run.complete()
    made[1].correct_outcome(success=True)
    made[1].correct_outcome(success=True, summary="again")
    made[0].correct_outcome(success=False, error="after all")
    made[2].correct_outcome(success=True)
    row = goal(ledger)
    assert (row.decisions, row.outcomes, row.successes, row.failures) == (4, 3, 2, 1)


def test_broken_constraints_are_counted_by_kind(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run(goal={"id": "tickets"})
    run.violate_constraint("budget", "hard", "too much")
    run.violate_constraint("tone", "soft", "too rude")
    run.violate_constraint("tone", "soft", "ruder")
    row = goal(ledger)
    assert (row.hard_violations, row.soft_violations, row.last_violation_position) == (1, 2, ledger.position())


def test_a_run_without_a_goal_is_in_no_row(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    run.violate_constraint("budget", "hard", "too much")
    run.complete()
    assert rows_of(Goals(), ledger) == {}


def test_the_goals_of_real_runs_are_their_tasks(ledger: Ledger, trajectories: Path) -> None:
    import_paths(ledger, "tau-bench", [trajectories / "tau-bench-airline"])
    rows = rows_of(Goals(), ledger)
    assert len(rows) == 50
    assert {(row.runs, row.completed_runs, row.decisions, row.outcomes) for row in rows.values()} == {(4, 4, 4, 4)}
    scored: defaultdict[str | None, Counter[bool]] = defaultdict(Counter)
    for recorded in ledger.subscribe(types=["decision.outcome_recorded"], follow=False):
        assert isinstance(recorded.event, OutcomeRecorded)
        scored[recorded.context.goal_id][recorded.event.outcome.success] += 1
    assert {key: (row.successes, row.failures) for (key,), row in rows.items()} == {
        goal_id: (count[True], count[False]) for goal_id, count in scored.items()
    }
    assert sum(row.successes for row in rows.values()) == 84
