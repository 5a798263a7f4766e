"""Problems: given what was recorded, then these rows."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from runfold import Ledger, Run
from runfold.projections.problems import ProblemRow, Problems
from tests.projections.folded import rows_of

Found = Callable[[], list[ProblemRow]]


@pytest.fixture
def run(ledger: Ledger) -> Run:
    thread = ledger.create_thread(agent_id="support")
    return thread.start_run(goal={"id": "tickets"})


@pytest.fixture
def problems(ledger: Ledger) -> Found:
    return lambda: list(rows_of(Problems(), ledger).values())


@pytest.mark.row("HV-10")
def test_a_problem_is_a_row_without_its_words(run: Run, problems: Found) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    made = run.decide("one", options=[{"id": "a", "description": "b"}], chosen="a")
    reported = run.report_problem(
        "critical",
        "the key has run out",
        root_cause="nobody renewed it",
        decision_id=made.id,
        suggested_fix="renew it",
        occurred_at=noon,
    )
    run.report_problem("minor", "a typo")
    first, second = problems()
    assert reported.receipt is not None
    assert (first.run_id, first.problem_id, first.decision_id) == (run.id, reported.id, made.id)
    assert (first.goal_id, first.agent_id, first.thread_id) == ("tickets", "support", run.view().thread_id)
    assert (first.severity, first.status, first.reported_at) == ("critical", "open", noon)
    assert (first.reported_position, first.has_root_cause, first.has_suggested_fix) == (reported.receipt.position, True, True)
    assert (second.severity, second.decision_id, second.has_root_cause, second.has_suggested_fix) == ("minor", None, False, False)
    assert not any(word in first.model_dump_json() for word in ("key", "renew"))


def test_a_problem_may_be_reported_and_resolved_after_the_end_and_once(run: Run, problems: Found) -> None:
    run.complete()
    problem = run.report_problem("warning", "slow")
    receipt = problem.resolve("made it faster")
    problem.resolve("made it faster again")
    (row,) = problems()
    assert (row.status, row.resolved_position, row.severity) == ("resolved", receipt.position, "warning")
    assert row.resolved_at == receipt.recorded_at


def test_a_broken_constraint_is_no_problem(run: Run, problems: Found) -> None:
    run.violate_constraint("budget", "hard", "it cost too much")
    assert problems() == []


def test_equal_ids_in_two_runs_are_two_problems(ledger: Ledger, run: Run) -> None:
    other = run.branch()
    for each in (run, other):
        each.report_problem("minor", "a typo", problem_id="prob_1")
    run.problem("prob_1").resolve("mended")
    rows = rows_of(Problems(), ledger)
    assert {key: row.status for key, row in rows.items()} == {
        (run.id, "prob_1"): "resolved",
        (other.id, "prob_1"): "open",
    }
