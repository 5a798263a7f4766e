"""A run's life has rules, and they hold for everybody."""

import re
from datetime import timedelta

import pytest

from runfold import CommandRefused, InvalidEvent, Ledger, Run, Thread, VersionConflict


@pytest.mark.row("CV-20", "CV-02", "LT-21", "LT-03", "HV-01")
def test_a_run_goes_from_created_over_running_and_waiting_to_its_end(thread: Thread) -> None:
    run = thread.create_run("go")
    seen = [run.view().status]
    for step in (
        run.start,
        lambda: run.wait("input"),
        run.resume,
        run.mark_stuck,
        lambda: run.add_message("user", "x"),
        run.complete,
    ):
        step()
        seen.append(run.view().status)
    assert seen == ["created", "running", "waiting", "running", "stuck", "running", "completed"]


STOP_REASONS = {
    "completed": ["end_turn", "max_steps", "tool_rule"],
    "failed": [
        "error",
        "llm_api_error",
        "invalid_llm_response",
        "invalid_tool_call",
        "no_tool_call",
        "max_tokens_exceeded",
        "context_window_overflow_in_system_prompt",
        "insufficient_credits",
        "stalled",
        "tool_doom_loop",
        "lease_expired",
    ],
    "cancelled": ["cancelled"],
}


@pytest.mark.row("LT-04", "LT-05", "LT-22", "LT-105")
def test_every_stop_reason_means_one_status_and_no_other(thread: Thread) -> None:
    def end(run: Run, status: str, reason: str) -> None:
        if status == "completed":
            run.complete(stop_reason=reason)
        elif status == "failed":
            run.fail("no", stop_reason=reason)
        else:
            run.cancel(stop_reason=reason)

    for status, reasons in STOP_REASONS.items():
        for reason in reasons:
            run = thread.start_run(parent=None)
            for wrong in STOP_REASONS.keys() - {status}:
                with pytest.raises(CommandRefused, match=f"'{reason}' means {status}"):
                    end(run, wrong, reason)
            end(run, status, reason)
            assert (run.view().status, run.view().stop_reason) == (status, reason)
    with pytest.raises(CommandRefused, match="'boredom' is not a known stop reason"):
        thread.start_run(parent=None).complete(stop_reason="boredom")


@pytest.mark.row("LT-24", "CV-25", "CV-26", "CV-27", "CV-28")
@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
def test_what_comes_after_the_end_is_refused_and_the_caller_is_told_the_run_as_it_is(ledger: Ledger, run: Run, end: str) -> None:
    call = run.call_tool("search")
    {"complete": run.complete, "fail": lambda: run.fail("no"), "cancel": lambda: run.cancel("enough")}[end]()
    status = run.view().status
    before = ledger.position()
    for late in (
        run.start,
        run.resume,
        run.mark_stuck,
        lambda: run.wait("input"),
        lambda: run.add_message("user", "x"),
        lambda: run.call_tool("x"),
        lambda: run.set_state({}),
        lambda: run.claim("worker"),
    ):
        with pytest.raises(CommandRefused, match=f"{run.id} is {status}") as refused:
            late()
        assert refused.value.stream == run.id
    if end != "complete":
        with pytest.raises(CommandRefused):
            call.succeed("too late")
        assert ledger.now.tool_calls(run_id=run.id).items[0].status == {"fail": "failed", "cancel": "cancelled"}[end]
    assert ledger.position() == before


@pytest.mark.row("CV-29", "LT-02")
def test_an_ended_run_may_still_be_linked_and_described(run: Run) -> None:
    run.merge_metadata({"channel": "mail", "draft": True})
    run.complete()
    run.link("workflow-7")
    run.merge_metadata({"draft": None, "reviewed": True})
    view = run.view()
    assert (view.workflow_id, view.metadata, view.status) == ("workflow-7", {"channel": "mail", "reviewed": True}, "completed")


@pytest.mark.row("CV-22")
def test_one_worker_holds_a_run_and_renews_its_lease(ledger: Ledger, run: Run) -> None:
    execution = run.claim("worker-1", lease="5m")
    assert run.view().worker == "worker-1"
    with pytest.raises(CommandRefused, match="worker-1 holds the lease until"):
        run.claim("worker-2")
    assert run.claim("worker-1", execution_id=execution, lease="10m") == execution
    assert [found.type for found in ledger.events(types=["run.claimed", "run.lease_renewed"])] == [
        "run.claimed",
        "run.lease_renewed",
    ]
    run.release(execution)
    run.claim("worker-2")
    assert run.view().worker == "worker-2"


@pytest.mark.row("CV-23")
def test_a_lease_that_expired_is_seen_and_goes_over_only_on_purpose(run: Run) -> None:
    run.claim("worker-1", lease=timedelta(microseconds=1))
    with pytest.raises(CommandRefused, match="which has passed; claim it with `take_over=True`, or `fail"):
        run.claim("worker-2")
    run.claim("worker-2", take_over=True)
    assert (run.view().worker, run.view().status) == ("worker-2", "running")


@pytest.mark.row("CV-28", "LT-102", "LT-105")
def test_cancelling_closes_what_is_open_keeps_what_was_said_and_may_be_repeated(ledger: Ledger, run: Run) -> None:
    run.add_message("assistant", "Let me look.")
    run.call_tool("search")
    run.request_cancellation("changed my mind", actor="human:ada")
    assert run.view().status == "running"
    assert run.cancel("changed my mind").appended == 1
    assert run.cancel("again").appended == 0
    assert [call.status for call in ledger.now.tool_calls(run_id=run.id).items] == ["cancelled"]
    assert [message.text for message in run.messages()] == ["Let me look."]


@pytest.mark.row("RV-63", "RV-62")
def test_a_run_that_failed_stays_readable_and_has_one_end(ledger: Ledger, run: Run) -> None:
    run.add_message("user", "hello")
    run.fail("the model hung up", code="llm_api_error", stop_reason="llm_api_error", retriable=True)
    view = run.view()
    assert view.error is not None
    assert (view.status, view.error.code, view.error.retriable) == ("failed", "llm_api_error", True)
    assert [message.text for message in run.messages()] == ["hello"]
    assert len(ledger.events(types=["run.completed", "run.failed", "run.cancelled"])) == 1


def test_the_last_output_is_the_runs(run: Run) -> None:
    run.record_output({"draft": 1}, schema={"type": "object"})
    run.record_output({"draft": 2})
    run.complete()
    assert run.view().output == {"draft": 2}


INVOICE = {
    "type": "object",
    "required": ["total"],
    "properties": {"total": {"type": "integer"}, "lines": {"type": "array", "items": {"type": "string", "pattern": "^(a+)+$"}}},
}


@pytest.mark.row("CV-32")
def test_an_output_that_is_what_its_schema_says_is_kept_and_the_last_one_counts(run: Run) -> None:
    for total in (1, 2):
        run.record_output({"total": total, "lines": ["aa"]}, schema=INVOICE)
    run.complete()
    assert (run.view().status, run.view().output) == ("completed", {"total": 2, "lines": ["aa"]})


@pytest.mark.row("CV-32")
@pytest.mark.parametrize(
    ("output", "where"),
    [
        ({"total": "secret"}, 'output.total: it is not of type "integer"'),
        ({}, 'output: "total" is a required property'),
        ({"total": 1, "lines": ["a", "a" * 5_000 + "!"]}, "output.lines.1: it does not match"),
        (["secret", 1], 'output: it is not of type "object"'),
        (None, 'output: it is not of type "object"'),
    ],
)
def test_an_output_that_is_not_fails_the_run_and_says_where_without_its_words(
    ledger: Ledger, run: Run, output: object, where: str
) -> None:
    run.record_output({"total": 1}, schema=INVOICE)
    call = run.call_tool("look_up")
    for _ in range(2):  # and again, the same
        with pytest.raises(CommandRefused) as refused:
            run.record_output(output, schema=INVOICE)
        assert where in str(refused.value)
    view = run.view()
    assert view.error is not None
    assert (view.status, view.stop_reason, view.error.code) == ("failed", "invalid_llm_response", "invalid_output")
    assert view.error.message.startswith(where)
    assert "secret" not in view.error.message
    assert view.output == {"total": 1}
    assert [(each.call_id, each.status) for each in ledger.now.tool_calls(run_id=run.id).items] == [(call.id, "failed")]


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"type": "nothing"}, "schema.type: is no JSON Schema"),
        ({"$ref": "http://schemas.example/invoice"}, "schema: is no JSON Schema that stands by itself"),
        ({"$ref": "#/$defs/none"}, "schema: is no JSON Schema"),
        ({"properties": {"a": {"pattern": "("}}}, "schema.properties.a.pattern: is no JSON Schema"),
    ],
)
def test_a_schema_that_is_none_is_refused_and_nothing_is_recorded(run: Run, schema: dict[str, object], where: str) -> None:
    with pytest.raises(InvalidEvent, match=re.escape(where)):
        run.record_output({"total": 1}, schema=schema)
    assert (run.view().status, run.view().output) == ("running", None)
    with pytest.raises(InvalidEvent, match=re.escape(where.replace("schema", "response_schema", 1))):
        run.request_approval("refund", response_schema=schema)


def test_the_answer_to_a_question_is_held_to_its_schema(run: Run) -> None:
    approval = run.request_approval("size", reason="input_required", response_schema=INVOICE)
    with pytest.raises(InvalidEvent, match=re.escape("response.total: is not what the approval's response_schema says: it is")):
        approval.grant(response={"total": "L"}, actor="human:ada")
    assert run.view().status == "waiting"
    approval.grant(response={"total": 3}, actor="human:ada")
    assert run.view().status == "running"


@pytest.mark.row("LT-56")
def test_times_are_kept_in_nanoseconds(ledger: Ledger, run: Run) -> None:
    run.record_timing(ttft_ns=123_456_789, total_duration_ns=9_876_543_210_123)
    (timed,) = ledger.events(types=["run.timing_recorded"])
    assert timed.event.model_dump() == {"ttft_ns": 123_456_789, "total_duration_ns": 9_876_543_210_123}


@pytest.mark.row("CV-25")
def test_an_agent_that_expects_another_version_is_told(run: Run) -> None:
    run.add_message("user", "one", expected_version=2)
    with pytest.raises(VersionConflict) as conflict:
        run.add_message("user", "two", expected_version=2)
    assert (conflict.value.expected, conflict.value.actual) == (2, 3)


@pytest.mark.row("CV-21")
def test_asking_twice_under_one_key_starts_once(thread: Thread) -> None:
    first = thread.start_run({"mail": 7}, key="mail-7")
    assert thread.start_run({"mail": 7}, key="mail-7") == first
    assert len(thread.tree().nodes) == 1
