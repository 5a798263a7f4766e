"""`runfold failures`, `patterns`, `goals`, `goal` and `attention`."""

from datetime import UTC, datetime, timedelta

import pytest

from runfold import Decision, Ledger, Run, Thread
from tests.cli.conftest import Command

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOAL = {
    "id": "refunds",
    "description": "Refunds are right",
    "criteria": [{"id": "right", "description": "the amount is right", "target": "90%"}],
}


def decide(run: Run, intent: str, *, success: bool | None = None, error: str | None = None) -> Decision:
    made = run.decide(
        intent,
        options=[{"id": "a", "description": "ask"}, {"id": "b", "description": "guess"}],
        chosen="b",
        node_id="act",
        constraints=["right"],
    )
    if success is not None:
        made.outcome(success=success, error=error)
    return made


@pytest.fixture
def thread(ledger: Ledger) -> Thread:
    return ledger.create_thread(agent_id="support")


@pytest.fixture
def failed(thread: Thread) -> Run:
    run = thread.start_run(goal=GOAL, occurred_at=NOON)
    decide(run, "find the order", success=True)
    decide(run, "work out the amount", success=False, error="no such order")
    run.report_problem("critical", "the shop is down", suggested_fix="wait an hour")
    run.violate_constraint("budget", "hard", "spent 200 EUR")
    run.fail("gave up", code="down", occurred_at=NOON + timedelta(seconds=30))
    return run


@pytest.mark.row("HV-61")
def test_failures_are_listed_the_last_first(runfold: Command, failed: Run, thread: Thread) -> None:
    later = thread.start_run(parent=None)
    later.fail("again")
    answer = runfold("failures", "--fold", "--json").json
    assert [item["run_id"] for item in answer["items"]] == [later.id, failed.id]
    assert (answer["items"][1]["error"]["code"], answer["items"][1]["goal_id"]) == ("down", "refunds")
    assert (answer["next_cursor"], answer["behind_events"]) == (None, 0)
    assert [item["run_id"] for item in runfold("failures", "--goal", "refunds", "--json").json["items"]] == [failed.id]
    shown = runfold("failures", "--limit", "1").out
    assert "error: again" in shown
    assert "1 failed run as of position" in shown
    assert "--cursor" in shown


@pytest.mark.row("HV-63", "HV-64")
def test_one_failure_is_explained(runfold: Command, failed: Run) -> None:
    answer = runfold("failures", failed.id, "--fold", "--json").json
    assert (answer["failure_point"], answer["root_cause"]) == ("✗ [act] work out the amount → guess", "no such order")
    assert (answer["run_id"], len(answer["decision_chain"]), answer["as_of"]) == (failed.id, 2, 10)
    shown = " ".join(runfold("failures", failed.id).out.split())
    assert f"{failed.id} down: gave up" in shown
    assert "failed at ✗ [act] work out the amount → guess because no such order" in shown
    assert "Problems [critical] the shop is down" in shown
    assert "Try 'ask' instead of 'guess'" in shown
    assert "wait an hour" in shown


def test_a_run_that_did_not_fail_has_nothing_to_explain(runfold: Command, thread: Thread) -> None:
    run = thread.start_run()
    run.complete()
    answer = runfold("failures", run.id, "--fold")
    assert (answer.code, "is completed, and only a failed run" in answer.err) == (2, True)
    assert runfold("failures", "run_none").code == 3


@pytest.mark.row("HV-65", "HV-67")
def test_patterns_come_with_what_could_be_better(runfold: Command, failed: Run) -> None:
    answer = runfold("patterns", "refunds", "--fold", "--json").json
    assert (answer["run_count"], answer["success_rate"]) == (1, 0.0)
    assert answer["common_failures"] == [{"error": "no such order", "count": 1}]
    assert [each["type"] for each in answer["improvements"]] == ["node_improvement", "architecture"]
    shown = runfold("patterns", "refunds").out
    for said in (
        "0 of 1 runs completed",
        "1 times: no such order",
        "50% at act (1 of 2)",
        "1 of 1: find the order → guess",
        "Common choices, from 2 intents",
        "high: Improve the node act",
    ):
        assert said in shown


@pytest.mark.row("HV-72", "HV-75")
def test_a_goal_tells_how_far_it_has_come_and_what_to_do(runfold: Command, failed: Run) -> None:
    answer = runfold("goal", "refunds", "--fold", "--json").json
    assert (answer["overall_progress"], answer["recommendation"], answer["hard_violations"]) == (0.5, "adjust", 1)
    assert (answer["criteria"][0]["progress"], answer["criteria"][0]["met"]) == (0.5, False)
    assert [each["success"] for each in answer["criteria"][0]["evidence"]] == [True, False]
    shown = runfold("goal", "refunds").out
    for said in ("refunds  50% reached", "recommended: adjust", "right", "90%", "1/2", "hard budget: spent 200 EUR"):
        assert said in shown


def test_a_goal_without_criteria_says_so(runfold: Command, thread: Thread) -> None:
    thread.start_run(goal={"id": "vague"})
    assert "vague  has no criteria, so its progress is not known" in runfold("goal", "vague", "--fold").out


def test_goals_are_listed_and_one_that_is_none_is_not_found(runfold: Command, failed: Run) -> None:
    assert [item["goal_id"] for item in runfold("goals", "--fold", "--json").json["items"]] == ["refunds"]
    assert "1 goal as of position 10" in runfold("goals").out
    for command in ("goal", "patterns"):
        answer = runfold(command, "none", "--fold")
        assert (answer.code, "there is no goal 'none'; `runfold goals` lists them all" in answer.err) == (3, True)


@pytest.mark.row("HV-88")
def test_runs_that_need_a_person_are_listed_with_their_reasons(runfold: Command, failed: Run, thread: Thread) -> None:
    waiting = thread.start_run(parent=None)
    waiting.request_approval("refund")
    thread.start_run(parent=None).complete()
    answer = runfold("attention", "--fold", "--json").json
    assert {item["run_id"]: item["reasons"] for item in answer["items"]} == {
        failed.id: ["failed"],
        waiting.id: ["waiting_for_approval"],
    }
    assert [item["run_id"] for item in runfold("attention", "--reason", "failed", "--json").json["items"]] == [failed.id]
    shown = runfold("attention").out
    assert "waiting_for_approval" in shown
    assert "2 runs as of position" in shown
    refused = runfold("attention", "--reason", "sad")
    assert (refused.code, "expected one of failed, stuck" in refused.err) == (2, True)


@pytest.mark.usefixtures("left_to_workers")
def test_before_anybody_folds_every_answer_says_how_to(runfold: Command, failed: Run) -> None:
    for arguments in (("failures",), ("patterns", "refunds"), ("goal", "refunds"), ("goals",), ("attention",)):
        answer = runfold(*arguments)
        assert (answer.code, "--fold" in answer.err) == (1, True), arguments
