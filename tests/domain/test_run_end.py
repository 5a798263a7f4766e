"""The end of a run: why it ended, and what it still takes."""

from collections.abc import Callable
from datetime import timedelta
from typing import get_args

import pytest

from runfold.domain import run as rules
from runfold.domain.event import Event
from runfold.domain.problem import ConstraintViolated
from runfold.domain.run import Run
from runfold.domain.run_events import (
    ENDING_OF_STOP_REASON,
    RunCancelled,
    RunCompleted,
    RunFailed,
    StopReason,
)
from runfold.domain.step import EdgeTraversed, ModelCallStarted, StepStarted
from runfold.domain.tool_call import ToolSucceeded

from .samples import (
    AFTERTHOUGHTS,
    CANCELLED,
    COMPLETED,
    CONTENT,
    ENDED,
    FAILURE,
    LAST_REPORTS,
    NOON,
    ONE_O_CLOCK,
    RUNNING,
    WITH_OUTCOME,
    called,
    cancelled,
    completed,
    decided,
    failed,
    message,
    succeeded,
    waiting_for_approval,
)
from .story import fold, given

LATE = ONE_O_CLOCK + timedelta(minutes=1)
LATER = ONE_O_CLOCK + timedelta(hours=1)


# The end

SAME_AGAIN: dict[str, Callable[[Run], list[Event]]] = {
    "completed": lambda run: run.complete(),
    "failed": lambda run: run.fail(FAILURE),
    "cancelled": lambda run: run.cancel("twice"),
}


@pytest.mark.row("LT-102", "CV-28")
@pytest.mark.parametrize("status", ENDED)
def test_ending_a_run_as_it_ended_changes_nothing(status: str) -> None:
    given(*ENDED[status]).when(SAME_AGAIN[status]).then()


def test_another_output_under_a_recorded_end_is_not_swallowed() -> None:
    given(*COMPLETED).when(lambda run: run.complete(output={"answer": 42})).known("the end of run", version=3)
    given(*RUNNING, RunCompleted(stop_reason="end_turn", output=1)).when(lambda run: run.complete(output=True)).known(
        "the end of run", version=3
    )


@pytest.mark.row("CV-27")
def test_a_late_failure_leaves_a_cancelled_run_cancelled() -> None:
    refusal = given(*CANCELLED).when(lambda run: run.fail(FAILURE)).refused("an ended run accepts no more work")
    assert refusal.state == "cancelled (cancelled) at version 3"


@pytest.mark.row("LT-04", "LT-05")
def test_each_stop_reason_means_one_status() -> None:
    assert set(ENDING_OF_STOP_REASON) == set(get_args(StopReason))
    letta = {
        "completed": {"end_turn", "max_steps", "tool_rule"},
        "failed": {
            "error",
            "llm_api_error",
            "invalid_llm_response",
            "invalid_tool_call",
            "no_tool_call",
            "max_tokens_exceeded",
            "context_window_overflow_in_system_prompt",
            "insufficient_credits",
        },
        "cancelled": {"cancelled"},
    }
    ours = {
        "completed": set[str](),
        "failed": {
            "lease_expired",
            "incomplete",
            "stalled",
            "tool_doom_loop",
            "approval_denied",
            "approval_expired",
            "budget_exceeded",
            "content_filter",
        },
        "cancelled": {"client_disconnected"},
    }
    for ending in ("completed", "failed", "cancelled"):
        meant = {reason for reason, status in ENDING_OF_STOP_REASON.items() if status == ending}
        assert meant == letta[ending] | ours[ending]


ENDING_COMMANDS: dict[str, Callable[[Run, str], list[Event]]] = {
    "completed": lambda run, reason: run.complete(reason),
    "failed": lambda run, reason: run.fail(FAILURE, reason),
    "cancelled": lambda run, reason: run.cancel(stop_reason=reason),
}


@pytest.mark.row("LT-05")
@pytest.mark.parametrize("ending", ENDING_COMMANDS)
@pytest.mark.parametrize("reason", [*ENDING_OF_STOP_REASON, "requires_approval", "because"])
def test_a_stop_reason_ends_a_run_only_in_its_own_status(reason: str, ending: str) -> None:
    told = given(*RUNNING).when(lambda run: ENDING_COMMANDS[ending](run, reason))
    if ENDING_OF_STOP_REASON.get(reason) == ending:
        assert told.then(*(told.events or ())).status == ending
    else:
        told.refused(repr(reason), "those for " + ending)


@pytest.mark.row("CV-27", "CV-28")
def test_a_run_that_fails_or_is_cancelled_names_what_it_closed() -> None:
    before = (*RUNNING, called, waiting_for_approval)
    run = (
        given(*before)
        .when(lambda run: run.cancel("the customer left"))
        .then(
            RunCancelled(
                stop_reason="cancelled",
                reason="the customer left",
                closed_tool_calls=("call_1",),
                closed_tool_names=("refund",),
                closed_approvals=("approval_1",),
            )
        )
    )
    assert (run.calls.open_ids, run.waiting_for, run.calls.by_id["call_1"].status) == ([], (), "cancelled")
    run = (
        given(*before)
        .when(lambda run: run.fail(FAILURE))
        .then(
            RunFailed(
                stop_reason="error",
                error=FAILURE,
                closed_tool_calls=("call_1",),
                closed_tool_names=("refund",),
                closed_approvals=("approval_1",),
            )
        )
    )
    assert run.calls.by_id["call_1"].status == "failed"


# What an ended run still takes


@pytest.mark.row("HV-09", "CV-29")
@pytest.mark.parametrize("thought", [*AFTERTHOUGHTS, *LAST_REPORTS])
@pytest.mark.parametrize("ending", [completed, failed, cancelled], ids=lambda event: event.type)
def test_an_ended_run_still_takes_what_is_said_about_it(ending: Event, thought: str) -> None:
    told = given(*RUNNING, *WITH_OUTCOME, ending).when((AFTERTHOUGHTS | LAST_REPORTS)[thought])
    assert [event.type for event in told.events or ()] == [thought]
    after = told.then(*(told.events or ()))
    assert after.ending == ending
    assert after.status == fold(*RUNNING, ending).status


def test_what_an_ended_run_still_takes_is_named_in_one_place() -> None:
    assert {kind.type for kind in (*rules.AFTERTHOUGHTS, *rules.LAST_REPORTS)} == {*AFTERTHOUGHTS, *LAST_REPORTS}


WORK: dict[str, Callable[[Run], list[Event]]] = {
    "start": lambda run: run.start(attempt=2),
    "claim": lambda run: run.lease.claim("exec_1", "w1", ONE_O_CLOCK, NOON),
    "renew": lambda run: run.lease.renew("exec_1", LATER),
    "wait": lambda run: run.wait("external"),
    "request_approval": lambda run: run.wait_for_approval("approval_2"),
    "resume": lambda run: run.resume(),
    "mark_stuck": lambda run: run.mark_stuck(),
    "record_output": lambda run: run.details.record_output(1),
    "add_message": lambda run: run.messages.add(message.model_copy(update={"message_id": "msg_3"})),
    "revise_message": lambda run: run.messages.revise("msg_1", ()),
    "append_text": lambda run: run.messages.append_text("msg_2", "more"),
    "call_tool": lambda run: run.calls.call(called.model_copy(update={"call_id": "call_2"})),
    "start_tool": lambda run: run.calls.start("call_1", "key_1"),
    "end_tool": lambda run: run.calls.end(ToolSucceeded(call_id="call_1")),
    "decide": lambda run: run.decisions.make(decided.model_copy(update={"decision_id": "dec_2"})),
    "record_outcome": lambda run: run.decisions.record_outcome("dec_1", succeeded),
    "violate_constraint": lambda run: run.problems.violate(
        ConstraintViolated(constraint_id="budget", kind="hard", description="spent too much")
    ),
    "start_step": lambda run: run.steps.start(StepStarted(step_id="step_1", name="plan")),
    "start_model_call": lambda run: run.steps.start(ModelCallStarted(model_call_id="mcall_9")),
    "enter_node": lambda run: run.steps.enter_node("plan"),
    "traverse_edge": lambda run: run.steps.traverse_edge(EdgeTraversed(from_node_id="plan", to_node_id="act")),
    "set_state": lambda run: run.steps.take_snapshot({}),
    "patch_state": lambda run: run.steps.patch([]),
}


@pytest.mark.row("LT-24", "CV-28")
@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("ending", [completed, failed, cancelled], ids=lambda event: event.type)
def test_an_ended_run_takes_no_more_work(ending: Event, work: str) -> None:
    told = given(*RUNNING, *CONTENT, ending).when(WORK[work])
    refusal = told.refused()
    assert refusal.state.startswith(fold(*RUNNING, ending).status)
    assert str(refusal).startswith(f"{refusal.command} refused: run_1 is {refusal.state};")
