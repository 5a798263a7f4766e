"""The life of a run: what may follow what."""

from collections.abc import Callable
from typing import get_args

import pytest

from runfold.domain.event import Event
from runfold.domain.problem import ConstraintViolated
from runfold.domain.run import Run
from runfold.domain.run_events import (
    STATUS_ALIASES,
    RunCancellationRequested,
    RunCompleted,
    RunLinked,
    RunMetadataMerged,
    RunOutputRecorded,
    RunReleased,
    RunResumed,
    RunStarted,
    RunStuck,
    RunTimingRecorded,
    RunWaiting,
    Status,
    StuckRule,
)
from runfold.domain.step import NodeEntered, StepStarted
from runfold.domain.thread import ThreadArchived

from .samples import (
    AFTERTHOUGHTS,
    CANCELLED,
    COMPLETED,
    CREATED,
    FAILED,
    FAILURE,
    NOON,
    RUNNING,
    STATUSES,
    STUCK,
    WAITING,
    WITH_OUTCOME,
    called,
    cancelled,
    claimed,
    completed,
    created,
    decided,
    message,
    started,
    stuck,
    used,
    waiting_for_approval,
)
from .story import fold, given


@pytest.mark.row("HV-01", "LT-03", "CV-02", "LT-27")
def test_a_run_has_seven_statuses_and_waiting_is_not_an_end() -> None:
    assert set(get_args(Status)) == set(STATUSES)
    assert {status: fold(*events).status for status, events in STATUSES.items()} == {status: status for status in STATUSES}
    assert fold(*WAITING).ending is None


@pytest.mark.row("CV-02")
def test_other_systems_words_for_a_status_are_known() -> None:
    assert STATUS_ALIASES == {
        "pending": "created",
        "success": "completed",
        "canceled": "cancelled",
        "active": "running",
        "paused": "waiting",
    }


# Which status leads to which

COMMANDS: dict[str, Callable[[Run], list[Event]]] = {
    "start": lambda run: run.start(),
    "wait": lambda run: run.wait("input"),
    "resume": lambda run: run.resume(),
    "mark_stuck": lambda run: run.mark_stuck(),
    "complete": lambda run: run.complete(),
    "fail": lambda run: run.fail(FAILURE),
    "cancel": lambda run: run.cancel(),
}

ALLOWED = {
    "created": {"start": "running", "fail": "failed", "cancel": "cancelled"},
    "running": {
        "start": "running",
        "resume": "running",
        "wait": "waiting",
        "mark_stuck": "stuck",
        "complete": "completed",
        "fail": "failed",
        "cancel": "cancelled",
    },
    "waiting": {"wait": "waiting", "resume": "running", "fail": "failed", "cancel": "cancelled"},
    "stuck": {"start": "running", "wait": "waiting", "mark_stuck": "stuck", "fail": "failed", "cancel": "cancelled"},
    "completed": {"complete": "completed"},
    "failed": {"fail": "failed"},
    "cancelled": {"cancel": "cancelled"},
}


@pytest.mark.row("LT-24")
@pytest.mark.fault("F14")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("status", STATUSES)
def test_a_transition_is_allowed_or_refused_by_the_table(status: str, command: str) -> None:
    told = given(*STATUSES[status]).when(COMMANDS[command])
    leads_to = ALLOWED[status].get(command)
    if leads_to is None:
        told.refused()
        return
    run = told.then(*(told.events or ()))
    assert run.status == leads_to
    assert bool(told.events) == (leads_to != status or (status, command) == ("stuck", "start"))


@pytest.mark.row("LT-21")
def test_a_created_run_starts() -> None:
    given(created).when(lambda run: run.start("2.1", "a1b2c3")).then(
        RunStarted(attempt=1, agent_version="2.1", code_version="a1b2c3")
    )


def test_a_run_is_asked_for_once() -> None:
    given().when(lambda run: run.create(created)).then(created)
    given(*RUNNING).when(lambda run: run.create(created)).known("run", version=1)


@pytest.mark.parametrize("status", ["created", "waiting", "stuck"])
def test_only_a_running_run_completes(status: str) -> None:
    given(*STATUSES[status]).when(lambda run: run.complete()).refused("only a running run can complete")


def test_a_started_run_starts_again_only_as_the_next_attempt() -> None:
    given(*RUNNING).when(lambda run: run.start(attempt=1)).then()
    given(*RUNNING).when(lambda run: run.start(attempt=2)).then(RunStarted(attempt=2))
    given(*RUNNING).when(lambda run: run.start(attempt=3)).refused("the next attempt is 2, not 3")
    given(*RUNNING, RunStarted(attempt=2)).when(lambda run: run.start(attempt=1)).refused("the next attempt is 3, not 1")


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_count_from_one(attempt: int) -> None:
    given(created).when(lambda run: run.start(attempt=attempt)).refused(f"the next attempt is 1, not {attempt}")


def test_a_waiting_run_is_not_started() -> None:
    given(*WAITING).when(lambda run: run.start()).refused("it has begun; it waits for input; `resume()` it first")


# Waiting


def test_a_waiting_run_is_held_by_nobody() -> None:
    run = given(*RUNNING, claimed).when(lambda run: run.wait_for_approval("approval_1")).then(waiting_for_approval)
    assert (run.status, run.lease.held) == ("waiting", None)
    given(*RUNNING, claimed, waiting_for_approval).when(lambda run: run.lease.claim("exec_2", "w2", NOON, NOON)).refused(
        "a run that waits cannot be claimed"
    )


@pytest.mark.row("CV-42", "CV-44")
def test_a_run_goes_on_when_the_last_approval_is_decided() -> None:
    both = RunWaiting(reason="approval", approval_ids=("approval_1", "approval_2"))
    given(*RUNNING, waiting_for_approval).when(lambda run: run.wait_for_approval("approval_2")).then(both)
    run = (
        given(*RUNNING, both)
        .when(lambda run: run.approval_resolved("approval_1"))
        .then(RunWaiting(reason="approval", approval_ids=("approval_2",)))
    )
    assert run.status == "waiting"
    run = (
        given(*RUNNING, RunWaiting(reason="approval", approval_ids=("approval_2",)))
        .when(lambda run: run.approval_resolved("approval_2"))
        .then(RunResumed(by_approval_ids=("approval_2",)))
    )
    assert (run.status, run.waiting_for) == ("running", ())


def test_an_approval_is_waited_for_once_and_resolved_once() -> None:
    given(*RUNNING, waiting_for_approval).when(lambda run: run.wait_for_approval("approval_1")).then()
    given(*RUNNING).when(lambda run: run.approval_resolved("approval_1")).then()
    given(*RUNNING, waiting_for_approval, cancelled).when(lambda run: run.approval_resolved("approval_1")).then()


def test_a_run_that_waits_for_approval_resumes_by_that_alone() -> None:
    before = (*RUNNING, waiting_for_approval)
    given(*before).when(lambda run: run.resume()).refused("its approvals are to be decided first (`grant()`, `deny()`)")
    given(*before).when(lambda run: run.wait("input")).refused("its approvals are to be decided first (`grant()`, `deny()`)")


@pytest.mark.parametrize(
    ("before", "first"), [(CREATED, "`start()` it first"), (WAITING, "it waits for input; `resume()` it first")]
)
def test_only_a_running_run_asks_for_approval(before: tuple[Event, ...], first: str) -> None:
    given(*before).when(lambda run: run.wait_for_approval("approval_1")).refused(first)


def test_what_a_run_waits_for_may_change() -> None:
    given(*WAITING).when(lambda run: run.wait("external")).then(RunWaiting(reason="external"))
    given(*RUNNING, RunWaiting(reason="external")).when(lambda run: run.wait("external")).then()


# Stuck


@pytest.mark.parametrize("rule", get_args(StuckRule))
def test_a_run_is_stuck_by_a_named_rule(rule: StuckRule) -> None:
    run = given(*RUNNING).when(lambda run: run.mark_stuck(rule, "three times")).then(RunStuck(rule=rule, detail="three times"))
    assert run.status == "stuck"


PROGRESS: tuple[Event, ...] = (
    message,
    called,
    decided,
    used,
    StepStarted(step_id="step_1", name="plan"),
    NodeEntered(node_id="plan"),
    RunOutputRecorded(output=1),
    RunTimingRecorded(ttft_ns=1),
    RunStarted(attempt=2),
    claimed,
    ConstraintViolated(constraint_id="budget", kind="soft", description="close to it"),
)


@pytest.mark.parametrize("event", PROGRESS, ids=lambda event: event.type)
def test_any_progress_leaves_stuck(event: Event) -> None:
    assert fold(*STUCK, event).status == "running"


@pytest.mark.parametrize("thought", AFTERTHOUGHTS)
def test_what_is_said_about_a_stuck_run_is_no_progress(thought: str) -> None:
    told = given(*RUNNING, *WITH_OUTCOME, stuck).when(AFTERTHOUGHTS[thought])
    assert told.then(*(told.events or ())).status == "stuck"


@pytest.mark.parametrize("event", [RunCancellationRequested(), RunReleased(execution_id="exec_1")], ids=lambda event: event.type)
def test_a_wish_to_stop_and_a_release_are_no_progress(event: Event) -> None:
    assert fold(*RUNNING, claimed, stuck, event).status == "stuck"


# What is said beside its life


def test_somebody_wishes_a_run_to_stop_once() -> None:
    wish = RunCancellationRequested(reason="too slow", requested_by="human:ada")
    run = given(*RUNNING).when(lambda run: run.request_cancellation("too slow", "human:ada")).then(wish)
    assert run.status == "running"
    given(*RUNNING, wish).when(lambda run: run.request_cancellation("again")).then()
    given(*CANCELLED).when(lambda run: run.request_cancellation()).then()
    given(*COMPLETED).when(lambda run: run.request_cancellation()).refused("an ended run")


@pytest.mark.row("CV-29")
def test_a_run_is_linked_to_another_systems_workflow() -> None:
    given(created).when(lambda run: run.details.link("workflow-7")).then(RunLinked(workflow_id="workflow-7"))
    given(created, RunLinked(workflow_id="workflow-7")).when(lambda run: run.details.link("workflow-7")).then()


@pytest.mark.row("LT-02")
def test_metadata_is_merged_key_by_key() -> None:
    before = (created.model_copy(update={"metadata": {"a": 1, "b": 2, "c": None}}), started)
    patch = {"b": None, "d": [3]}
    run = given(*before).when(lambda run: run.details.merge_metadata(patch)).then(RunMetadataMerged(patch=patch))
    assert run.details.metadata == {"a": 1, "d": [3]}
    given(*before).when(lambda run: run.details.merge_metadata({"a": 1, "x": None})).then()
    given(*before).when(lambda run: run.details.merge_metadata({})).then()
    given(*before).when(lambda run: run.details.merge_metadata({"a": True})).then(RunMetadataMerged(patch={"a": True}))


def test_the_last_output_counts_and_the_same_again_adds_nothing() -> None:
    first, second = RunOutputRecorded(output={"draft": 1}), RunOutputRecorded(output={"draft": 2})
    run = given(*RUNNING, first).when(lambda run: run.details.record_output({"draft": 2})).then(second)
    assert run.details.output == {"draft": 2}
    given(*RUNNING, second).when(lambda run: run.details.record_output({"draft": 2})).then()
    assert fold(*RUNNING, second, completed).details.output == {"draft": 2}
    assert fold(*RUNNING, second, RunCompleted(stop_reason="end_turn", output="final")).details.output == "final"


def test_timing_is_recorded_in_nanoseconds_once() -> None:
    timing = RunTimingRecorded(ttft_ns=1_000_000, total_duration_ns=9_000_000)
    given(*RUNNING).when(lambda run: run.details.record_timing(1_000_000, 9_000_000)).then(timing)
    given(*RUNNING, timing, completed).when(lambda run: run.details.record_timing(1_000_000, 9_000_000)).then()


def test_a_run_tells_its_state_in_words() -> None:
    assert Run("run_1").describe() == "not created"
    assert fold(*RUNNING, waiting_for_approval).describe() == "waiting for approval_1 at version 3"
    assert fold(*FAILED).describe() == "failed (error) at version 3"


def test_an_event_of_another_stream_is_not_folded_into_a_run() -> None:
    with pytest.raises(TypeError, match=r"thread\.archived does not belong"):
        fold(*RUNNING, ThreadArchived())


# What a refusal says to do


NEEDS_RUNNING: dict[str, Callable[[Run], list[Event]]] = {
    "complete": lambda run: run.complete(),
    "wait": lambda run: run.wait("external"),
    "resume": lambda run: run.resume(),
    "mark_stuck": lambda run: run.mark_stuck(),
    "request_approval": lambda run: run.wait_for_approval("approval_9"),
}
WAY_ON: list[tuple[tuple[Event, ...], str]] = [
    (CREATED, "`start()` it first"),
    (WAITING, "`resume()` it first"),
    ((*RUNNING, waiting_for_approval), "(`grant()`, `deny()`)"),
    (COMPLETED, "continue it with a new run, or branch it"),
]


@pytest.mark.parametrize("command", NEEDS_RUNNING)
@pytest.mark.parametrize(("before", "way_on"), WAY_ON)
def test_what_takes_a_running_run_says_what_makes_it_run(before: tuple[Event, ...], way_on: str, command: str) -> None:
    told = given(*before).when(NEEDS_RUNNING[command])
    if told.error is not None:
        assert told.refused(way_on).command == command
    else:  # more approvals are asked while one is open, one that waits is resumed, and what is so already is so
        assert fold(*before).status in {"waiting", "completed"}
        told.then(*(told.events or ()))
