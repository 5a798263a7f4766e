"""Every method of every handle, once, through real storage: what it records, and that a cold process reads the same."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runfold import Ledger, Run, Thread
from runfold.domain.thread import ThreadImported
from runfold.handles.approval import Approval
from runfold.handles.decision import Decision, Problem
from runfold.handles.message import Message
from runfold.handles.step import ModelCall, Step
from runfold.handles.tool_call import ToolCall
from runfold.handles.usage import Usage

DIGEST = "sha256:" + "0" * 64
OPTIONS = [{"id": "a", "description": "one"}, {"id": "b", "description": "two"}]

THREAD: dict[str, tuple[Callable[[Thread, Run], object], list[str]]] = {
    "create_run": (lambda thread, _: thread.create_run({"q": 1}), ["run.created"]),
    "start_run": (lambda thread, _: thread.start_run({"q": 1}, agent_version="2"), ["run.created", "run.started"]),
    "rename": (lambda thread, _: thread.rename("Orders"), ["thread.renamed"]),
    "archive": (lambda thread, _: thread.archive("done"), ["thread.archived"]),
    "restore": (lambda thread, _: (thread.archive(), thread.restore()), ["thread.archived", "thread.restored"]),
    "delete": (lambda thread, _: thread.delete("asked to"), ["thread.deleted"]),
    "name_head": (lambda thread, run: thread.name_head("best", run), ["thread.head_named"]),
    "move_head": (
        lambda thread, _: thread.move_head("main", thread.start_run(parent=None)),
        ["run.created", "run.started", "thread.head_moved"],
    ),
    "put_head": (
        lambda thread, _: thread.put_head("main", thread.start_run(parent=None)),
        ["run.created", "run.started", "thread.head_moved"],
    ),
    "supersede": (lambda thread, _: thread.supersede(("thread_2",), "read otherwise"), ["thread.superseded"]),
    "record_import": (
        lambda thread, _: thread.record_import(ThreadImported(format="test", source_digest=DIGEST, source_ids=("x",))),
        ["thread.imported"],
    ),
}

RUN: dict[str, tuple[Callable[[Run], object], list[str]]] = {
    "start": (lambda run: run.start(attempt=2, code_version="abc"), ["run.started"]),
    "claim": (lambda run: run.claim("worker-1", lease="5m"), ["run.claimed"]),
    "renew": (lambda run: run.renew(run.claim("worker-1", lease="5m"), lease="1h"), ["run.claimed", "run.lease_renewed"]),
    "expire_lease": (
        lambda run: run.expire_lease(run.claim("worker-1", lease=timedelta(microseconds=1))),
        ["run.claimed", "run.stuck", "run.released"],
    ),
    "release": (lambda run: run.release(run.claim("worker-1")), ["run.claimed", "run.released"]),
    "wait": (lambda run: run.wait("input"), ["run.waiting"]),
    "resume": (lambda run: (run.wait("external"), run.resume()), ["run.waiting", "run.resumed"]),
    "mark_stuck": (lambda run: run.mark_stuck("idle", "no event for 5 min"), ["run.stuck"]),
    "complete": (lambda run: run.complete({"a": 1}, narrative="well"), ["run.completed"]),
    "fail": (lambda run: run.fail("no", code="e", error_type="E", retriable=True), ["run.failed"]),
    "cancel": (lambda run: run.cancel("enough"), ["run.cancelled"]),
    "request_cancellation": (lambda run: run.request_cancellation("enough"), ["run.cancellation_requested"]),
    "link": (lambda run: run.link("wf-1"), ["run.linked"]),
    "merge_metadata": (lambda run: run.merge_metadata({"a": 1}), ["run.metadata_merged"]),
    "record_output": (lambda run: run.record_output({"a": 1}, schema={"type": "object"}), ["run.output_recorded"]),
    "record_timing": (lambda run: run.record_timing(ttft_ns=1, total_duration_ns=2), ["run.timing_recorded"]),
    "add_message": (lambda run: run.add_message("user", "hello", name="ada", author="human:ada"), ["message.added"]),
    "call_tool": (lambda run: run.call_tool("search", '{"q":  1}', provider_call_id=""), ["tool.called"]),
    "decide": (lambda run: run.decide("go", options=OPTIONS, chosen="a", reasoning="why"), ["decision.made"]),
    "report_problem": (lambda run: run.report_problem("minor", "slow"), ["problem.reported"]),
    "violate_constraint": (
        lambda run: run.violate_constraint("c_1", "hard", "too dear", details={"x": 1}),
        ["constraint.violated"],
    ),
    "usage": (lambda run: run.usage(provider="openai", model="gpt-4o", input_tokens=8, output_tokens=0), ["usage.recorded"]),
    "report_cost": (lambda run: run.report_cost("0.0012", "EUR", source="local"), ["usage.cost_reported"]),
    "start_step": (lambda run: run.start_step("plan", node_id="planner"), ["step.started"]),
    "start_model_call": (lambda run: run.start_model_call(provider="openai", request_model="gpt-4o"), ["model_call.started"]),
    "enter_node": (lambda run: run.enter_node("planner"), ["node.entered"]),
    "traverse_edge": (lambda run: run.traverse_edge("planner", "writer", condition="ok"), ["node.edge_traversed"]),
    "set_state": (lambda run: run.set_state({"a": 1}), ["state.snapshot_taken"]),
    "patch_state": (
        lambda run: run.patch_state([{"op": "add", "path": "/a", "value": 1}]),
        ["state.snapshot_taken", "state.patched"],
    ),
    "request_approval": (lambda run: run.request_approval("send", expires_in="1h"), ["approval.requested", "run.waiting"]),
    "compact_context": (lambda run: run.compact_context("manual", tokens_before=9), ["context.compacted"]),
    "branch": (lambda run: run.branch({"q": 2}), ["run.created"]),
}


def granted(run: Run) -> Approval:
    approval = run.request_approval("send", arguments={"to": "ada"})
    approval.grant(actor="human:ada")
    return approval


PART: dict[tuple[type, str], tuple[Callable[[Run], object], list[str]]] = {
    (Message, "revise"): (
        lambda run: run.add_message("user", "a").revise("b", reason="typo"),
        ["message.added", "message.revised"],
    ),
    (Message, "append_text"): (
        lambda run: run.add_message("assistant", streaming=True).append_text("b", offset=0),
        ["message.added", "message.part_appended"],
    ),
    (Message, "seal"): (
        lambda run: run.add_message("assistant", "a", streaming=True).seal(finish_reason="stop"),
        ["message.added", "message.sealed"],
    ),
    (Message, "redact"): (
        lambda run: run.add_message("user", "a").redact(legal_basis="art17"),
        ["message.added", "message.redacted"],
    ),
    (ToolCall, "append_arguments"): (
        lambda run: run.tool_call("call_1").append_arguments('{"q":', name="search", offset=0),
        ["tool.arguments_appended"],
    ),
    (ToolCall, "start"): (lambda run: run.call_tool("s").start(), ["tool.called", "tool.started"]),
    (ToolCall, "succeed"): (lambda run: run.call_tool("s").succeed({"hits": 1}), ["tool.called", "tool.succeeded"]),
    (ToolCall, "fail"): (lambda run: run.call_tool("s").fail("no", code="e"), ["tool.called", "tool.failed"]),
    (ToolCall, "cancel"): (lambda run: run.call_tool("s").cancel("late"), ["tool.called", "tool.cancelled"]),
    (Decision, "outcome"): (
        lambda run: run.decide("go", options=OPTIONS, chosen="a").outcome(success=True, summary="went"),
        ["decision.made", "decision.outcome_recorded"],
    ),
    (Decision, "correct_outcome"): (
        lambda run: [
            run.decide("go", options=OPTIONS, chosen="a", decision_id="dec_1").outcome(success=True),
            run.decision("dec_1").correct_outcome(success=False, reason="it broke later"),
        ],
        ["decision.made", "decision.outcome_recorded", "decision.outcome_corrected"],
    ),
    (Decision, "evaluate"): (
        lambda run: run.decide("go", options=OPTIONS, chosen="a").evaluate(better_option_id="b", outcome_quality=0.4),
        ["decision.made", "decision.evaluated"],
    ),
    (Problem, "resolve"): (
        lambda run: run.report_problem("minor", "slow").resolve("index"),
        ["problem.reported", "problem.resolved"],
    ),
    (Usage, "correct"): (
        lambda run: run.usage(input_tokens=1).correct(reason="bill", input_tokens=2),
        ["usage.recorded", "usage.corrected"],
    ),
    (Step, "finish"): (lambda run: run.start_step("plan").finish(error="no plan"), ["step.started", "step.finished"]),
    (ModelCall, "finish"): (
        lambda run: run.start_model_call().finish(finish_reasons=["stop"], ttft_ns=5),
        ["model_call.started", "model_call.finished"],
    ),
    (Approval, "grant"): (
        granted,
        ["approval.requested", "run.waiting", "approval.vote_cast", "approval.granted", "run.resumed"],
    ),
    (Approval, "deny"): (
        lambda run: run.request_approval("send").deny("no", actor="human:ada"),
        ["approval.requested", "run.waiting", "approval.vote_cast", "approval.denied", "run.resumed"],
    ),
    (Approval, "vote"): (
        lambda run: run.request_approval("send").vote("approve", actor="human:ada"),
        ["approval.requested", "run.waiting", "approval.vote_cast", "approval.granted", "run.resumed"],
    ),
    (Approval, "expire"): (
        lambda run: run.request_approval("send", expires_in=timedelta(microseconds=1)).expire(),
        ["approval.requested", "run.waiting", "approval.expired", "run.resumed"],
    ),
    (Approval, "consume"): (
        lambda run: granted(run).consume({"to": "ada"}, execution_key="exec_1"),
        ["approval.requested", "run.waiting", "approval.vote_cast", "approval.granted", "run.resumed", "approval.consumed"],
    ),
}


@pytest.fixture(scope="module")
def ledger(shared_url: str) -> Iterator[Ledger]:
    with Ledger.open(shared_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def other(shared_url: str) -> Iterator[Ledger]:
    with Ledger.open(shared_url) as opened:
        yield opened


def commands_of(kind: type) -> set[str]:
    """The methods that are commands: those with a twin that submits."""
    return {name.removeprefix("submit_") for name in dir(kind) if name.startswith("submit_")}


def test_every_command_of_every_handle_is_tried_here() -> None:
    assert commands_of(Thread) == set(THREAD)
    assert commands_of(Run) == set(RUN)
    kinds = {kind for kind, _ in PART}
    assert {(kind, name) for kind in kinds for name in commands_of(kind)} == set(PART)


def check(ledger: Ledger, other: Ledger, run: Run, do: Callable[[], object], types: list[str]) -> None:
    before = ledger.position()
    do()
    recorded = ledger.events(after=before)
    assert [found.type for found in recorded] == types
    assert all(found.metadata.actor.kind in {"service", "human"} for found in recorded)
    assert other.now.run(run.id) == ledger.now.run(run.id)  # whatever it was, it can be folded again
    other.run(run.id).link("a command of a cold process")


@pytest.mark.parametrize("name", THREAD)
def test_a_command_of_a_thread(ledger: Ledger, other: Ledger, thread: Thread, run: Run, name: str) -> None:
    do, types = THREAD[name]
    check(ledger, other, run, lambda: do(thread, run), types)


@pytest.mark.parametrize("name", RUN)
def test_a_command_of_a_run(ledger: Ledger, other: Ledger, run: Run, name: str) -> None:
    do, types = RUN[name]
    check(ledger, other, run, lambda: do(run), types)


@pytest.mark.parametrize("which", PART, ids=lambda which: f"{which[0].__name__}.{which[1]}")
def test_a_command_of_a_part_of_a_run(ledger: Ledger, other: Ledger, run: Run, which: Any) -> None:
    do, types = PART[which]
    check(ledger, other, run, lambda: do(run), types)


def test_what_a_command_says_about_itself_is_recorded_beside_it(ledger: Ledger, run: Run) -> None:
    occurred_at = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    run.add_message(
        "user",
        "hi",
        actor="human:ada",
        occurred_at=occurred_at,
        causation_id="cause_1",
        correlation_id="corr_1",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    (recorded,) = ledger.events(run_id=run.id, types=["message.added"])
    said = recorded.metadata
    assert (str(said.actor), said.occurred_at, said.causation_id, said.correlation_id) == (
        "human:ada",
        occurred_at,
        "cause_1",
        "corr_1",
    )
    assert said.traceparent == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert run.messages()[0].added_at == occurred_at
