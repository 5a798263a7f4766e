"""hive's tracker over the ledger."""

import inspect
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any

import pytest

from runfold import CommandRefused, InvalidEvent, Ledger
from runfold.adapters.hive import StreamDecisionTracker
from runfold.domain.decision import DecisionMade, OutcomeCorrected, OutcomeRecorded
from runfold.domain.problem import ProblemReported
from runfold.domain.run_events import RunCreated, RunFailed
from runfold.domain.step import NodeEntered

OPTIONS = [{"id": "howto", "description": "a how-to question"}, {"id": "bug", "confidence": 0.2}]


@pytest.fixture
def tracker(ledger: Ledger) -> StreamDecisionTracker:
    return StreamDecisionTracker("webhook", ledger=ledger)


def recorded(ledger: Ledger, kind: type) -> list[Any]:
    return [found.event for found in ledger.events() if isinstance(found.event, kind)]


@pytest.mark.row("HV-20", "HV-27", "HV-29")
def test_a_run_is_recorded_from_its_start_to_its_end(ledger: Ledger, tracker: StreamDecisionTracker) -> None:
    run_id = tracker.start_run("exec_1", "support", "Answer tickets", {"ticket": 42})
    assert tracker.get_stats() == {"stream_id": "webhook", "active_executions": 1, "execution_ids": ["exec_1"]}
    going_on = tracker.get_run("exec_1")
    assert going_on is not None
    assert (going_on.id, going_on.status, tracker.handle("exec_1")) == (run_id, "running", ledger.run(run_id))

    tracker.end_run("exec_1", success=True, narrative="Answered", output_data={"category": "howto"})

    run = ledger.now.run(run_id)
    assert (run.status, run.input, run.output) == ("completed", {"ticket": 42}, {"category": "howto"})
    assert run.goal is not None
    assert (run.goal.id, run.goal.description) == ("support", "Answer tickets")
    assert (run.metadata["stream_id"], run.metadata["execution_id"]) == ("webhook", "exec_1")
    assert tracker.get_stats() == {"stream_id": "webhook", "active_executions": 0, "execution_ids": []}


@pytest.mark.row("HV-27")
def test_a_failed_run_keeps_its_narrative_and_its_output(ledger: Ledger, tracker: StreamDecisionTracker) -> None:
    run_id = tracker.start_run("exec_1", "support")
    tracker.end_run("exec_1", success=False, narrative="The mailbox is full", output_data={"sent": 3})
    run = ledger.now.run(run_id)
    assert (run.status, run.output) == ("failed", {"sent": 3})
    assert [failed.error.message for failed in recorded(ledger, RunFailed)] == ["The mailbox is full"]


@pytest.mark.row("HV-20", "HV-12")
def test_many_executions_run_at_once_and_their_decisions_never_collide(ledger: Ledger, tracker: StreamDecisionTracker) -> None:
    def work(number: int) -> list[str]:
        execution = f"exec_{number}"
        tracker.start_run(execution, "support")
        decisions = [tracker.quick_decision(execution, f"step {step}", "go on", "") for step in range(5)]
        tracker.end_run(execution, success=True)
        return decisions

    with ThreadPoolExecutor(8) as threads:
        decisions = [decision for made in threads.map(work, range(8)) for decision in made]
    assert len(set(decisions)) == 40
    runs = tracker.thread.tree().nodes
    assert [ledger.now.run(run_id).decisions for run_id in runs] == [5] * 8
    assert all(node.parent is None for node in runs.values())


@pytest.mark.row("HV-21", "HV-22", "HV-05", "HV-07")
def test_a_decision_belongs_to_the_node_it_names_or_else_to_the_current_one(
    ledger: Ledger, tracker: StreamDecisionTracker
) -> None:
    tracker.start_run("exec_1", "support")
    tracker.decide("exec_1", "before any node", OPTIONS, "howto", "looks like it")
    tracker.set_node("exec_1", "classify")
    tracker.decide("exec_1", "at the current", OPTIONS, "howto", "")
    tracker.decide("exec_1", "elsewhere", OPTIONS, "bug", "", node_id="triage", constraints=["polite"], context={"k": 1})
    made = recorded(ledger, DecisionMade)
    assert [decision.node_id for decision in made] == ["unknown", "classify", "triage"]
    assert [decision.ordinal for decision in made] == [1, 2, 3]
    assert [(option.id, option.description, option.action_type, option.confidence) for option in made[0].options] == [
        ("howto", "a how-to question", "unknown", 0.5),
        ("bug", "", "unknown", 0.2),
    ]
    assert (made[2].active_constraints, made[2].input_context) == (("polite",), {"k": 1})
    assert [node.node_id for node in recorded(ledger, NodeEntered)] == ["classify"]


@pytest.mark.row("HV-06")
def test_hives_own_enum_of_decision_types_is_understood(ledger: Ledger, tracker: StreamDecisionTracker) -> None:
    class HivesDecisionType(Enum):
        PATH_CHOICE = "path_choice"

    tracker.start_run("exec_1", "support")
    tracker.decide("exec_1", "go", OPTIONS, "howto", "", decision_type=HivesDecisionType.PATH_CHOICE)  # type: ignore[arg-type]
    assert [decision.decision_type for decision in recorded(ledger, DecisionMade)] == ["path_choice"]


@pytest.mark.row("HV-23", "HV-13")
def test_a_second_outcome_corrects_the_first(ledger: Ledger, tracker: StreamDecisionTracker) -> None:
    tracker.start_run("exec_1", "support")
    decision = tracker.quick_decision("exec_1", "send", "send the mail", "asked to")
    tracker.record_outcome("exec_1", decision, success=True, summary="sent", tokens_used=12, latency_ms=30)
    tracker.record_outcome("exec_1", decision, success=False, error="bounced")
    (first,) = recorded(ledger, OutcomeRecorded)
    (second,) = recorded(ledger, OutcomeCorrected)
    assert (first.outcome.tokens_used, first.outcome.latency_ms) == (12, 30)
    assert second.previous == first.outcome
    assert (second.replacement.error, second.replacement.tokens_used) == ("bounced", None)


@pytest.mark.row("HV-13")
def test_an_outcome_for_an_unknown_decision_is_refused(tracker: StreamDecisionTracker) -> None:
    tracker.start_run("exec_1", "support")
    with pytest.raises(CommandRefused, match="has no decision 'dec_7'"):
        tracker.record_outcome("exec_1", "dec_7", success=True)


@pytest.mark.row("HV-24", "HV-10")
def test_a_problem_is_reported(ledger: Ledger, tracker: StreamDecisionTracker) -> None:
    tracker.start_run("exec_1", "support")
    decision = tracker.quick_decision("exec_1", "send", "send the mail", "")
    problem = tracker.report_problem("exec_1", "critical", "no answer", decision, "server down", "try later")
    (reported,) = recorded(ledger, ProblemReported)
    assert reported == ProblemReported(
        problem_id=problem,
        severity="critical",
        description="no answer",
        decision_id=decision,
        root_cause="server down",
        suggested_fix="try later",
    )
    with pytest.raises(InvalidEvent, match="severity"):
        tracker.report_problem("exec_1", "terrible", "no answer")


@pytest.mark.row("HV-25")
def test_a_quick_decision_has_one_option_to_execute(ledger: Ledger, tracker: StreamDecisionTracker) -> None:
    tracker.start_run("exec_1", "support")
    tracker.quick_decision("exec_1", "send", "send the mail", "asked to", "mail")
    (made,) = recorded(ledger, DecisionMade)
    (option,) = made.options
    assert (made.node_id, made.chosen_option_id, made.reasoning) == ("mail", "action", "asked to")
    assert (option.id, option.description, option.action_type) == ("action", "send the mail", "execute")


@pytest.mark.row("HV-26")
def test_deciding_and_executing_records_the_result_and_how_long_it_took(ledger: Ledger, tracker: StreamDecisionTracker) -> None:
    tracker.start_run("exec_1", "support")
    decision, result = tracker.decide_and_execute(
        "exec_1", "add", OPTIONS, "howto", "", lambda left, right: left + right, left=1, right=2
    )
    (outcome,) = recorded(ledger, OutcomeRecorded)
    assert (outcome.decision_id, outcome.outcome.success, outcome.outcome.result, result) == (decision, True, 3, 3)
    assert outcome.outcome.latency_ms is not None


@pytest.mark.row("HV-26")
def test_an_executor_that_raises_is_recorded_and_raises(ledger: Ledger, tracker: StreamDecisionTracker) -> None:
    def broken() -> None:
        raise ValueError("out of paper")

    tracker.start_run("exec_1", "support")
    with pytest.raises(ValueError, match="out of paper"):
        tracker.decide_and_execute("exec_1", "print", OPTIONS, "howto", "", broken)
    (outcome,) = recorded(ledger, OutcomeRecorded)
    assert (outcome.outcome.success, outcome.outcome.error) == (False, "out of paper")


def test_a_result_that_is_not_json_is_recorded_as_text(ledger: Ledger, tracker: StreamDecisionTracker) -> None:
    tracker.start_run("exec_1", "support")
    assert tracker.decide_and_execute("exec_1", "collect", OPTIONS, "howto", "", lambda: {1, 2})[1] == {1, 2}
    assert [outcome.outcome.result for outcome in recorded(ledger, OutcomeRecorded)] == ["{1, 2}"]


CALLS: dict[str, dict[str, Any]] = {
    "end_run": {"success": True},
    "set_node": {"node_id": "n"},
    "decide": {"intent": "i", "options": OPTIONS, "chosen": "howto", "reasoning": ""},
    "quick_decision": {"intent": "i", "action": "a", "reasoning": ""},
    "record_outcome": {"decision_id": "dec_1", "success": True},
    "decide_and_execute": {"intent": "i", "options": OPTIONS, "chosen": "howto", "reasoning": "", "executor": lambda: None},
    "report_problem": {"severity": "minor", "description": "d"},
}


@pytest.mark.row("HV-28")
@pytest.mark.parametrize("name", CALLS)
def test_a_call_without_a_run_raises(ledger: Ledger, tracker: StreamDecisionTracker, name: str) -> None:
    tracker.start_run("another", "support")
    before = ledger.position()
    with pytest.raises(CommandRefused, match="call start_run first"):
        getattr(tracker, name)("exec_1", **CALLS[name])
    assert ledger.position() == before


@pytest.mark.row("HV-28")
def test_every_recording_method_is_among_those_that_raise_without_a_run() -> None:
    questions = {"start_run", "get_run", "handle", "get_stats", "get_active_executions"}
    methods = {name for name, _ in inspect.getmembers(StreamDecisionTracker, inspect.isfunction) if not name.startswith("_")}
    assert methods - questions == set(CALLS)


def test_an_execution_that_has_a_run_starts_no_other(tracker: StreamDecisionTracker) -> None:
    run_id = tracker.start_run("exec_1", "support")
    with pytest.raises(CommandRefused, match=f"busy with {run_id}"):
        tracker.start_run("exec_1", "support")
    tracker.end_run("exec_1", success=True)
    assert tracker.start_run("exec_1", "support") != run_id


@pytest.mark.row("HV-28")
def test_an_end_that_is_refused_leaves_the_execution_as_it_was(ledger: Ledger, tracker: StreamDecisionTracker) -> None:
    run_id = tracker.start_run("exec_1", "support")
    approval = ledger.run(run_id).request_approval("send")
    with pytest.raises(CommandRefused, match="waiting"):
        tracker.end_run("exec_1", success=True)
    approval.grant(actor="human:ada")
    tracker.end_run("exec_1", success=True)
    assert ledger.now.run(run_id).status == "completed"


def test_two_trackers_of_one_stream_share_its_thread(ledger: Ledger, tracker: StreamDecisionTracker) -> None:
    tracker.start_run("exec_1", "support")
    StreamDecisionTracker("webhook", ledger=ledger).start_run("exec_2", "support")
    assert {created.thread_id for created in recorded(ledger, RunCreated)} == {tracker.thread.id}
