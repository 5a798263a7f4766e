"""hive's log of runs at three levels, as questions over what is recorded."""

from dataclasses import dataclass

import pytest

from runfold import Ledger
from runfold.adapters.hive import StreamDecisionTracker
from runfold.adapters.hive.node_logs import node_logs
from runfold.adapters.hive.run_logs import LogStatus, run_logs
from runfold.adapters.hive.step_logs import step_logs
from runfold.handles.step import Step

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Worked:
    """A run that was at two nodes, and goes on."""

    tracker: StreamDecisionTracker
    run_id: str
    decision: str
    open_step: Step


@pytest.fixture
def worked(ledger: Ledger) -> Worked:
    """A run with what is to be seen in its log."""
    tracker = StreamDecisionTracker("mail", ledger=ledger)
    run_id = tracker.start_run("exec_1", "support")
    run = ledger.run(run_id)
    tracker.set_node("exec_1", "read")
    step = run.start_step("look", node_id="read", traceparent=TRACE)
    call = run.call_tool("fetch", {"box": "in"})
    call.start()
    call.fail("locked", code="locked")
    run.usage(model="m", step_id=step.id, input_tokens=7, output_tokens=5, total_tokens=12)
    step.finish(error="locked")
    again = run.start_step("look", node_id="read")
    call = run.call_tool("fetch", {"box": "in"})
    call.start()
    call.succeed(["mail"])
    again.finish()
    asking = run.start_step("ask", node_id="answer")
    for number in range(3):
        run.request_approval("send", approval_id=f"approval_{number}").grant(actor="human:ada")
    asking.finish()
    decision = tracker.quick_decision("exec_1", "send", "send it", "", "answer")
    tracker.record_outcome("exec_1", decision, success=False, error="bounced", tokens_used=3, latency_ms=61_000)
    open_step = run.start_step("wait", node_id="answer")
    return Worked(tracker, run_id, decision, open_step)


@pytest.mark.row("HV-89")
def test_the_steps_of_a_run_are_shown_with_their_tool_calls_and_what_came_of_each(ledger: Ledger, worked: Worked) -> None:
    run_id = worked.run_id
    steps = step_logs(ledger.now, run_id)
    assert [(log.step_index, log.node_id, log.name, log.verdict) for log in steps] == [
        (0, "read", "look", "RETRY"),
        (1, "read", "look", "ACCEPT"),
        (2, "answer", "ask", "ESCALATE"),
        (3, "answer", "wait", None),
    ]
    assert [(call.tool_name, call.arguments, call.result, call.is_error) for log in steps for call in log.tool_calls] == [
        ("fetch", {"box": "in"}, "locked", True),
        ("fetch", {"box": "in"}, ["mail"], False),
    ]
    assert (steps[0].trace_id, steps[0].span_id, steps[0].error) == (TRACE[3:35], TRACE[36:52], "locked")
    assert (steps[0].input_tokens, steps[0].output_tokens, steps[1].input_tokens) == (7, 5, None)
    assert (steps[3].latency_ms, steps[0].latency_ms is None) == (None, False)
    worked.open_step.finish()
    worked.tracker.end_run("exec_1", success=True)
    assert step_logs(ledger.now, run_id)[-1].verdict == "ACCEPT"


@pytest.mark.row("HV-88", "HV-89")
def test_the_nodes_of_a_run_are_shown_with_what_a_person_should_look_at(ledger: Ledger, worked: Worked) -> None:
    run_id = worked.run_id
    read, answer = node_logs(ledger.now, run_id)
    assert (read.node_id, read.visits, read.success, read.error, read.attention_reasons) == (
        "read",
        1,
        False,
        "locked",
        ["node failure"],
    )
    assert (read.total_steps, read.tool_calls, read.tokens_used) == (2, 2, 12)
    assert (answer.node_id, answer.escalations, answer.latency_ms, answer.error) == ("answer", 3, 61_000, "bounced")
    assert answer.attention_reasons == ["node failure", "escalations", "latency"]
    ledger.run(run_id).decision(worked.decision).correct_outcome(success=True, tokens_used=4, latency_ms=1)
    _, answer = node_logs(ledger.now, run_id)
    assert (answer.success, answer.error, answer.tokens_used, answer.attention_reasons) == (None, None, 4, ["escalations"])
    worked.open_step.finish()
    worked.tracker.end_run("exec_1", success=True)
    assert [log.success for log in node_logs(ledger.now, run_id)] == [False, True]


@pytest.mark.row("HV-88", "HV-89")
def test_runs_are_listed_while_they_go_on_and_after(ledger: Ledger, worked: Worked) -> None:
    tracker, run_id = worked.tracker, worked.run_id
    retried = tracker.start_run("exec_2", "support")
    tracker.decide("exec_2", "again", [{"id": "retry"}], "retry", "", "read", decision_type="retry_strategy")
    tracker.end_run("exec_2", success=True)
    failed = tracker.start_run("exec_3", "support")
    tracker.end_run("exec_3", success=False)
    well = tracker.start_run("exec_4", "support")
    tracker.end_run("exec_4", success=True)
    ledger.fold()

    assert [(log.run_id, log.status) for log in run_logs(ledger.now)] == [
        (well, LogStatus.SUCCESS),
        (failed, LogStatus.FAILURE),
        (retried, LogStatus.DEGRADED),
        (run_id, LogStatus.IN_PROGRESS),
    ]
    (first,) = run_logs(ledger.now, LogStatus.IN_PROGRESS)
    assert (first.node_path, first.total_nodes_executed, first.duration_ms) == (["read", "answer"], 2, None)
    assert (first.total_input_tokens, first.total_output_tokens) == (7, 5)
    assert {"escalations", "tool_failure", "node_failure"} <= set(first.attention_reasons)
    assert [log.run_id for log in run_logs(ledger.now, needs_attention=True)] == [failed, run_id]
    assert [log.run_id for log in run_logs(ledger.now, LogStatus.FAILURE, needs_attention=True, limit=1)] == [failed]
    assert [log.run_id for log in run_logs(ledger.now, LogStatus.SUCCESS)] == [well]
    assert [log.run_id for log in run_logs(ledger.now, limit=2)] == [well, failed]


def test_a_run_without_steps_shows_its_model_calls(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="mail").start_run()
    run.start_model_call(request_model="m").finish()
    run.start_model_call(request_model="m").finish()
    assert [log.verdict for log in step_logs(ledger.now, run.id)] == ["CONTINUE", "ACCEPT"]
    assert node_logs(ledger.now, run.id) == []
    ledger.fold()
    assert run_logs(ledger.now, LogStatus.FAILURE) == run_logs(ledger.now, needs_attention=True) == []
