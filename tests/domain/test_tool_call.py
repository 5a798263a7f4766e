"""Tool calls: asked for, started, and ended exactly once."""

from dataclasses import replace

import pytest

from runfold.domain.run_events import RunResumed, RunWaiting
from runfold.domain.tool_call import (
    ToolArgumentsAppended,
    ToolCallEvent,
    ToolCallState,
    ToolCancelled,
    ToolFailed,
    ToolStarted,
    ToolSucceeded,
)
from runfold.errors import CommandRefused

from .samples import FAILURE, RUNNING, called, cancelled, failed
from .story import Given, fold, given

gated = called.model_copy(update={"needs_approval": True})
writing = ToolArgumentsAppended(call_id="call_9", offset=0, text='{"a":', name="search", message_id="msg_1")
tool_started = ToolStarted(call_id="call_1", execution_key="key_1")
ENDS: list[ToolSucceeded | ToolFailed | ToolCancelled] = [
    ToolSucceeded(call_id="call_1", result={"refunded": True}),
    ToolFailed(call_id="call_1", error=FAILURE),
    ToolCancelled(call_id="call_1", reason="too slow"),
]


def left(past: ToolCallState) -> Given:
    """A run whose past left a call so."""
    story = given(*RUNNING)
    story.subject.calls.past["call_1"] = past
    return story


def test_a_tool_is_asked_for_once_under_an_id() -> None:
    given(*RUNNING).when(lambda run: run.calls.call(called)).then(called)
    given(*RUNNING, called).when(lambda run: run.calls.call(called)).known("tool call", version=3)


def test_a_side_effect_begins_once_under_its_key() -> None:
    given(*RUNNING, called).when(lambda run: run.calls.start("call_1", "key_1")).then(tool_started)
    given(*RUNNING, called, tool_started).when(lambda run: run.calls.start("call_1", "key_1")).then()
    given(*RUNNING, called, tool_started).when(lambda run: run.calls.start("call_1", "key_2")).refused(
        "call_1 has status started"
    )
    given(*RUNNING, called, ENDS[0]).when(lambda run: run.calls.start("call_1", "key_1")).refused("call_1 has status succeeded")
    given(*RUNNING).when(lambda run: run.calls.start("call_9", "key_1")).refused("have a tool call 'call_9'")


def test_a_call_that_needs_approval_begins_only_with_one() -> None:
    given(*RUNNING, gated).when(lambda run: run.calls.start("call_1", "key_1")).refused("needs an approval")
    given(*RUNNING, gated).when(lambda run: run.calls.start("call_1", "key_1", approved=True)).then(tool_started)


@pytest.mark.parametrize("end", ENDS, ids=lambda event: event.type)
@pytest.mark.parametrize("before", [(called,), (called, tool_started)], ids=["called", "started"])
def test_a_call_ends_one_way_and_once(before: tuple[ToolCallEvent, ...], end: ToolSucceeded) -> None:
    run = given(*RUNNING, *before).when(lambda run: run.calls.end(end)).then(end)
    assert run.calls.open_ids == []
    for other in ENDS:
        given(*RUNNING, *before, end).when(lambda run, other=other: run.calls.end(other)).known(
            "the end of tool call", version=3 + len(before)
        )


def test_an_unknown_call_does_not_end() -> None:
    given(*RUNNING).when(lambda run: run.calls.end(ENDS[0])).refused(
        "neither this run nor its ancestors have a tool call 'call_1'"
    )


@pytest.mark.row("RV-55")
def test_a_call_of_the_past_may_be_answered_here_once() -> None:
    past = ToolCallState(called_at=0, needs_approval=False)
    run = left(past).when(lambda run: run.calls.end(ENDS[0])).then(ENDS[0])
    assert run.calls.by_id["call_1"].status == "succeeded"
    given(*RUNNING, ENDS[0]).when(lambda run: run.calls.end(ENDS[1])).known("the end of tool call", version=3)


@pytest.mark.parametrize("end", ENDS, ids=lambda event: event.type)
def test_a_call_that_ended_in_the_past_does_not_end_otherwise(end: ToolSucceeded) -> None:
    status = end.type.removeprefix("tool.")
    past = ToolCallState(called_at=0, needs_approval=False, status=status, ended=end)  # type: ignore[arg-type]
    for other in ENDS:
        told = left(past).when(lambda run, other=other: run.calls.end(other))
        if other is end:
            told.then()
        else:
            told.refused(f"call_1 {status} in this run's past")


def test_what_the_end_of_a_run_of_the_past_closed_is_answered_late_and_not_started() -> None:
    past = ToolCallState(called_at=0, needs_approval=False, status="cancelled", ended_with_run=True)
    left(past).when(lambda run: run.calls.start("call_1", "key_1")).refused("call_1 has status cancelled")
    left(past).when(lambda run: run.calls.end(ENDS[0])).then(ENDS[0])
    left(replace(past, needs_approval=True)).when(lambda run: run.calls.end(ENDS[0])).refused("needs an approval")


def test_an_open_call_of_the_past_that_an_approval_is_asked_about_is_closed_with_the_run() -> None:
    past = ToolCallState(called_at=0, needs_approval=True)
    assert left(past).subject.calls.ask_about("call_1") == ("call_1",)
    carried_on = RunWaiting(reason="approval", approval_ids=("approval_1",), inherited_call_ids=("call_1",))
    run = left(past).when(lambda run: run.wait_for_approval("approval_1", ("call_1",))).then(carried_on)
    assert (run.calls.open_ids, run.calls.ask_about("call_1")) == (["call_1"], ())
    (ended,) = run.cancel()
    assert ended.closed_tool_calls == ("call_1",)
    run.evolve(RunResumed(by_approval_ids=("approval_1",)))
    with pytest.raises(CommandRefused, match="needs an approval"):
        run.calls.start("call_1", "key_1")
    assert run.calls.start("call_1", "key_1", approved=True) == [tool_started]


@pytest.mark.row("CV-27", "CV-28")
def test_the_end_of_a_run_closes_its_open_calls_for_good() -> None:
    before = (*RUNNING, called, called.model_copy(update={"call_id": "call_2"}), ToolSucceeded(call_id="call_2"))
    assert {call_id: call.status for call_id, call in fold(*before, cancelled).calls.by_id.items()} == {
        "call_1": "cancelled",
        "call_2": "succeeded",
    }
    assert fold(*before, failed).calls.by_id["call_1"].status == "failed"
    given(*before, cancelled).when(lambda run: run.calls.end(ENDS[0])).refused("an ended run accepts no more work")


def test_a_call_that_needs_approval_succeeds_only_after_it_was_started_with_one() -> None:
    gated = called.model_copy(update={"needs_approval": True})
    given(*RUNNING, gated).when(lambda run: run.calls.end(ToolSucceeded(call_id="call_1"))).refused("needs an approval")


def test_arguments_are_recorded_while_they_are_written_each_piece_once() -> None:
    more = ToolArgumentsAppended(call_id="call_9", offset=5, text="1}")
    given(*RUNNING).when(lambda run: run.calls.append_arguments(writing, 0)).then(writing)
    given(*RUNNING, writing).when(lambda run: run.calls.append_arguments(writing, 0)).then()
    given(*RUNNING, writing).when(lambda run: run.calls.append_arguments(more, 5)).then(more)
    given(*RUNNING, writing).when(lambda run: run.calls.append_arguments(more)).then(more)
    given(*RUNNING, writing).when(lambda run: run.calls.append_arguments(more, 6)).refused(
        "there are 5 characters of the arguments of call_9, so offset 6 would leave a gap or overlap"
    )


def test_arguments_are_of_a_tool_and_of_a_call_that_is_not_whole() -> None:
    nameless = ToolArgumentsAppended(call_id="call_9", offset=0, text="{")
    late = ToolArgumentsAppended(call_id="call_1", offset=0, text="{", name="search")
    given(*RUNNING).when(lambda run: run.calls.append_arguments(nameless)).refused("nobody has said which tool call_9 is for")
    given(*RUNNING, called).when(lambda run: run.calls.append_arguments(late)).refused("tool call call_1 is whole already")
