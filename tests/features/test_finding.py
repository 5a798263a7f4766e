"""A builder finds runs by goal, by state and by node, and no list keeps what is no longer so."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from runfold import Ledger, Run, Thread
from tests.databases import TestDatabase

STATUSES = ("created", "running", "waiting", "stuck", "completed", "failed", "cancelled")


def by_status(ledger: Ledger) -> dict[str, list[str]]:
    """The runs of each state, where there are any."""
    ledger.fold()
    found = {status: sorted(row.run_id for row in ledger.now.runs(status=status).items) for status in STATUSES}
    return {status: runs for status, runs in found.items() if runs}


@pytest.mark.row("HV-50")
def test_runs_are_found_by_goal_state_and_node_and_all_of_them_are_counted(
    ledger: Ledger, thread: Thread, database: TestDatabase
) -> None:
    runs = [thread.start_run(parent=None, goal={"id": goal}, run_id=f"run_{goal}_{number}") for goal in "ab" for number in (1, 2)]
    for number, run in enumerate(runs):
        run.enter_node("plan")
        if number % 2:
            run.enter_node("act")
            run.complete()
    ledger.fold()

    def found(**asked: str) -> list[str]:
        return sorted(row.run_id for row in ledger.now.runs(**asked).items)  # type: ignore[arg-type]

    assert found(goal_id="a") == ["run_a_1", "run_a_2"]
    assert found(status="completed") == ["run_a_2", "run_b_2"]
    assert found(node_id="act") == ["run_a_2", "run_b_2"]
    assert found(node_id="plan") == found() == sorted(run.id for run in runs)
    assert sorted(goal.goal_id for goal in ledger.now.goals().items) == ["a", "b"]
    counting = "SELECT (SELECT count(*) FROM runfold_read.run_summaries), (SELECT count(*) FROM runfold_read.goals)"
    with psycopg.connect(database.admin_url) as connection:
        counted = connection.execute(counting).fetchone()
    assert counted == (4, 2)


@pytest.mark.row("HV-51")
def test_a_run_is_in_the_list_of_the_state_that_it_has_and_in_no_other(ledger: Ledger, thread: Thread) -> None:
    run = thread.create_run(parent=None)
    steps = {
        "created": lambda: None,
        "running": run.start,
        "waiting": lambda: run.wait("input"),
        "stuck": lambda: (run.resume(), run.mark_stuck()),
        "completed": lambda: (run.enter_node("plan"), run.complete()),
    }
    for status, step in steps.items():
        step()
        assert by_status(ledger) == {status: [run.id]}

    others = [thread.start_run(parent=None) for _ in range(12)]

    def end(numbered: tuple[int, Run]) -> None:
        number, other = numbered
        [other.complete, lambda: other.fail("no"), other.cancel][number % 3]()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(end, enumerate(others)))
    found = by_status(ledger)
    assert {status: len(runs) for status, runs in found.items()} == {"completed": 5, "failed": 4, "cancelled": 4}
    assert len(set(itertools.chain(*found.values()))) == 13
    ledger.rebuild("run_summaries", processes=1)
    assert by_status(ledger) == found
