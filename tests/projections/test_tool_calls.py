"""Tool calls: given what was recorded, then these rows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runfold import Ledger, Run
from runfold.domain.values import digest
from runfold.importers.importing import import_paths
from runfold.projections.tool_calls import ToolCallRow, ToolCalls
from tests.projections.folded import rows_of

Calls = Callable[[], list[ToolCallRow]]


@pytest.fixture
def run(ledger: Ledger) -> Run:
    thread = ledger.create_thread(agent_id="support")
    return thread.start_run(goal={"id": "refunds"})


@pytest.fixture
def calls(ledger: Ledger) -> Calls:
    return lambda: list(rows_of(ToolCalls(), ledger).values())


@pytest.mark.row("CV-04")
def test_a_call_is_a_row_from_its_request_to_its_result(run: Run, calls: Calls) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    message = run.add_message("assistant", "looking it up")
    call = run.call_tool("search", '{"q": "order 7"}', message_id=message.id, provider_call_id="toolu_1", occurred_at=noon)
    (row,) = calls()
    assert call.receipt is not None
    assert (row.run_id, row.call_id, row.name, row.status) == (run.id, call.id, "search", "called")
    assert (row.agent_id, row.goal_id, row.message_id, row.provider_call_id) == ("support", "refunds", message.id, "toolu_1")
    assert (row.requested_at, row.requested_position) == (noon, call.receipt.position)
    assert (row.arguments_digest, row.needs_approval, row.approved) == (digest('{"q": "order 7"}'), False, None)
    call.start(execution_key="search-7")
    assert (calls()[0].status, calls()[0].execution_key) == ("started", "search-7")
    receipt = call.succeed({"found": 1}, occurred_at=noon + timedelta(seconds=1, microseconds=5))
    (row,) = calls()
    assert (row.status, row.error_code, row.resolved_position) == ("succeeded", None, receipt.position)
    assert (row.resolved_at, row.duration_ns) == (noon + timedelta(seconds=1, microseconds=5), 1_000_005_000)
    assert row.started_position == receipt.position - 1


@pytest.mark.row("CV-04")
def test_a_call_that_failed_has_the_code_and_one_given_up_has_none(run: Run, calls: Calls) -> None:
    run.call_tool("one").fail("no such order", code="not_found")
    run.call_tool("two").cancel("not needed")
    one, two = calls()
    assert (one.status, one.error_code) == ("failed", "not_found")
    assert (two.status, two.error_code) == ("cancelled", None)
    assert "no such order" not in one.model_dump_json()


def test_a_call_that_ended_before_it_began_has_no_duration(run: Run, calls: Calls) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    run.call_tool("search", occurred_at=noon).succeed(occurred_at=noon - timedelta(seconds=1))
    assert calls()[0].duration_ns is None


@pytest.mark.row("CV-27", "CV-28")
@pytest.mark.parametrize(
    ("end", "status", "error_code"),
    [
        (lambda run: run.fail("broken", code="crash"), "failed", "crash"),
        (lambda run: run.cancel("enough"), "cancelled", None),
        (lambda run: run.complete(), "called", None),
    ],
)
def test_a_bad_end_of_the_run_closes_its_open_calls_alone(
    run: Run, calls: Calls, end: Callable[[Run], object], status: str, error_code: str | None
) -> None:
    run.call_tool("ended").succeed()
    run.call_tool("open")
    end(run)
    ended, left = calls()
    assert (ended.status, ended.error_code) == ("succeeded", None)
    assert (left.status, left.error_code) == (status, error_code)
    assert (left.resolved_position is None) == (status == "called")


@pytest.mark.row("CV-04")
def test_a_gated_call_knows_its_approval(run: Run, calls: Calls) -> None:
    call = run.call_tool("refund", {"order": 7}, needs_approval=True)
    approval = run.request_approval("refund", arguments={"order": 7}, call_id=call.id)
    (row,) = calls()
    assert (row.needs_approval, row.approval_id, row.open_approvals, row.approved) == (True, approval.id, 1, None)
    approval.grant(actor="human:ada")
    (row,) = calls()
    assert (row.open_approvals, row.approved, row.status) == (0, True, "called")
    call.start(approval=approval)
    call.succeed()
    assert calls()[0].status == "succeeded"


@pytest.mark.row("LT-94", "CV-43")
def test_a_denied_call_has_failed(run: Run, calls: Calls) -> None:
    call = run.call_tool("refund", needs_approval=True)
    run.request_approval("refund", call_id=call.id).deny("no", actor="human:ada")
    (row,) = calls()
    assert (row.status, row.error_code, row.approved, row.open_approvals) == ("failed", "approval_denied", False, 0)


def test_a_call_with_several_approvals_needs_all_of_them(run: Run, calls: Calls) -> None:
    call = run.call_tool("ask", needs_approval=True)
    approvals = [run.request_approval("ask", call_id=call.id) for _ in range(2)]
    approvals[0].grant(actor="human:ada")
    (row,) = calls()
    assert (row.approval_id, row.open_approvals, row.approved) == (approvals[1].id, 1, None)
    approvals[1].grant(actor="human:ada")
    assert (calls()[0].open_approvals, calls()[0].approved) == (0, True)
    run.request_approval("ask", call_id=call.id)
    assert (calls()[0].open_approvals, calls()[0].approved) == (1, None)
    run.cancel()
    assert (calls()[0].open_approvals, calls()[0].approved, calls()[0].status) == (0, False, "cancelled")


def test_an_approval_of_no_call_touches_none(run: Run, calls: Calls) -> None:
    run.request_approval("deploy").grant(actor="human:ada")
    assert calls() == []


@pytest.mark.row("RV-55")
def test_an_answer_to_a_call_of_the_past_is_with_the_run_that_gave_it(ledger: Ledger, run: Run, calls: Calls) -> None:
    call = run.call_tool("refund", {"order": 7})
    branch = run.branch()
    branch.start()
    receipt = branch.tool_call(call.id).fail("declined", code="declined")
    asked, answered = calls()
    assert (asked.run_id, asked.status, asked.resolved_position) == (run.id, "called", None)
    assert (answered.run_id, answered.call_id, answered.status) == (branch.id, call.id, "failed")
    assert (answered.name, answered.requested_position, answered.duration_ns) == (None, None, None)
    assert (answered.error_code, answered.resolved_position) == ("declined", receipt.position)
    assert (answered.thread_id, answered.agent_id) == (asked.thread_id, "support")
    run.tool_call(call.id).succeed()
    assert [row.status for row in calls()] == ["succeeded", "failed"]


@pytest.mark.parametrize(
    ("folder", "kind", "number", "failed"),
    [("claude-code", "claude-code", 429, 29), ("ag-ui-streams", "ag-ui", 9, 0), ("tau-bench-airline", "tau-bench", 1_164, 73)],
)
def test_real_calls_are_what_their_runs_say(
    ledger: Ledger, trajectories: Path, folder: str, kind: str, number: int, failed: int
) -> None:
    import_paths(ledger, kind, [trajectories / folder])
    rows = rows_of(ToolCalls(), ledger)
    asked = {key: row for key, row in rows.items() if row.name is not None}
    answered_later = {call_id for _, call_id in rows.keys() - asked.keys()}
    assert len(asked) == number
    assert sum(row.status == "failed" for row in rows.values()) == failed
    assert {call_id for _, call_id in asked} >= answered_later
    views = {
        (run_id, view.call_id): view
        for run_id in {run_id for run_id, _ in asked}
        for view in ledger.now.tool_calls(run_id=run_id, limit=1000).items
        if view.requested_run_id == run_id  # else a run of its past asked for it
    }
    assert views.keys() == asked.keys()
    for key, view in views.items():
        row = asked[key]
        assert (row.name, row.status, row.arguments_digest) == (view.name, view.status, digest(view.arguments_text))
        assert (row.message_id, row.provider_call_id) == (view.message_id, view.provider_call_id)
        assert (row.requested_position, row.resolved_position) == (view.requested_position, view.resolved_position)
        assert (row.needs_approval, row.error_code) == (view.needs_approval, view.error.code if view.error else None)
