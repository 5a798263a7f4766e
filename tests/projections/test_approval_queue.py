"""What waits for a person: given what was recorded, then these rows."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runfold import CommandRefused, Ledger, Run
from runfold.domain.values import digest
from runfold.importers.importing import import_paths
from runfold.projections.approval_queue import ApprovalQueue, ApprovalRow
from tests.projections.folded import rows_of

Queue = Callable[[], list[ApprovalRow]]


@pytest.fixture
def run(ledger: Ledger) -> Run:
    thread = ledger.create_thread(agent_id="support", user_id="u_1")
    return thread.start_run(goal={"id": "refunds"})


@pytest.fixture
def queue(ledger: Ledger) -> Queue:
    return lambda: list(rows_of(ApprovalQueue(), ledger).values())


@pytest.mark.parametrize(("kinds", "excluded"), [(None, None), (("human", "service"), False), (("agent",), True)])
def test_who_may_decide_is_shown_as_it_was_said_or_not_said(
    ledger: Ledger, run: Run, queue: Queue, kinds: tuple[Any, ...] | None, excluded: bool | None
) -> None:
    approval = run.request_approval("deploy", approver_kinds=kinds, requester_excluded=excluded)
    (row,) = queue()
    assert (row.approver_kinds, row.requester_excluded) == (kinds, excluded)
    ledger.fold("approval_queue")
    (listed,) = ledger.now.approvals().items
    assert (listed.approver_kinds, listed.requester_excluded) == (kinds, excluded)
    rule = ledger.now.approval(approval.id).rule
    assert (rule.approver_kinds, rule.requester_excluded) == (kinds, excluded)


def test_a_request_is_a_row_with_all_by_which_it_is_looked_for(run: Run, queue: Queue) -> None:
    call = run.call_tool("refund", {"order": 7}, needs_approval=True)
    decision = run.decide("refund?", options=[{"id": "yes", "description": "pay"}], chosen="yes")
    soon = datetime(2100, 1, 1, tzinfo=UTC)
    asked = run.request_approval(
        "refund",
        arguments={"order": 7},
        call_id=call.id,
        decision_id=decision.id,
        message="Pay it back?",
        expires_at=soon,
        quorum=2,
        eligible=["human:ada", "human:bob"],
        requester_excluded=True,
        choices=[{"id": "y", "label": "Yes"}],
        actor="agent:support",
    )
    (row,) = queue()
    assert asked.receipt is not None
    assert (row.approval_id, row.run_id, row.call_id, row.decision_id) == (asked.id, run.id, call.id, decision.id)
    assert (row.agent_id, row.user_id, row.goal_id) == ("support", "u_1", "refunds")
    assert (row.action, row.reason, row.status) == ("refund", "tool_call", "open")
    assert (row.requested_by, row.expires_at, row.choices) == ("agent:support", soon, 1)
    assert (row.quorum, row.eligible, row.requester_excluded) == (2, ("human:ada", "human:bob"), True)
    assert row.approver_kinds == ("human",)
    assert row.arguments_digest == digest('{"order":7}')
    assert row.requested_position == asked.receipt.position - 1  # the run's wait is recorded with it
    assert "Pay it back?" not in row.model_dump_json()


@pytest.mark.row("LT-96")
def test_votes_are_counted_and_the_last_one_decides(run: Run, queue: Queue) -> None:
    approval = run.request_approval("deploy", quorum=2)
    approval.grant(actor="human:ada")
    (row,) = queue()
    assert (row.status, row.approvals, row.voters, row.decided_by) == ("open", 1, ("human:ada",), None)
    receipt = approval.grant(actor="human:bob")
    approval.grant(actor="human:bob")
    (row,) = queue()
    assert (row.status, row.approvals, row.denials, row.voters) == ("granted", 2, 0, ("human:ada", "human:bob"))
    assert (row.decided_by, row.decided_position, row.edited) == ("human:bob", receipt.position - 1, False)
    assert (row.effective_digest, row.decided_at) == (row.arguments_digest, receipt.recorded_at)


def test_one_no_denies_whatever_was_said_before(run: Run, queue: Queue) -> None:
    approval = run.request_approval("deploy", quorum=3)
    approval.grant(actor="human:ada")
    approval.deny("not on a Friday", actor="human:bob")
    (row,) = queue()
    assert (row.status, row.approvals, row.denials, row.decided_by) == ("denied", 1, 1, "human:bob")
    assert (row.effective_digest, row.edited) == (None, False)


@pytest.mark.row("AG-09", "AG-10")
def test_edited_arguments_are_granted_used_and_told_apart_by_their_digests(run: Run, queue: Queue) -> None:
    call = run.call_tool("refund", {"amount": 100}, needs_approval=True)
    approval = run.request_approval("refund", arguments={"amount": 100}, call_id=call.id)
    approval.grant(actor="human:ada", arguments={"amount": 50})
    with pytest.raises(CommandRefused):
        call.start(approval=approval, arguments_text='{"amount":100}')
    assert queue()[0].consumed_by is None
    call.start(approval=approval, execution_key="refund-7")
    (row,) = queue()
    assert (row.arguments_digest, row.effective_digest) == (digest('{"amount":100}'), digest('{"amount":50}'))
    assert (row.edited, row.status, row.consumed_by) == (True, "granted", "refund-7")
    assert row.consumed_position is not None
    assert row.consumed_at is not None


def test_an_approval_past_its_time_is_open_until_that_is_recorded(run: Run, queue: Queue) -> None:
    approval = run.request_approval("deploy", expires_in=timedelta(microseconds=1))
    (row,) = queue()
    assert row.expires_at is not None
    assert row.expires_at <= datetime.now(UTC)
    assert row.status == "open"
    with pytest.raises(CommandRefused, match="expired"):
        approval.grant(actor="human:ada")
    (row,) = queue()
    assert (row.status, row.approvals, row.decided_by) == ("expired", 0, None)
    assert row.decided_position is not None


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (lambda run: run.cancel("enough"), "run_cancelled"),
        (lambda run: run.fail("broken"), "run_failed"),
        (lambda run: run.add_message("user", "never mind", auto_deny=True), "new_input"),
    ],
)
def test_what_falls_away_is_withdrawn_with_its_cause(
    ledger: Ledger, run: Run, queue: Queue, end: Callable[[Run], object], cause: str
) -> None:
    decided = run.request_approval("one")
    run.request_approval("two")
    decided.grant(actor="human:ada")
    end(run)
    one, two = queue()
    assert (one.status, one.withdrawal_cause) == ("granted", None)
    assert (two.status, two.withdrawal_cause, two.decided_by) == ("withdrawn", cause, None)
    assert two.decided_position is not None
    assert ledger.now.approval(two.approval_id).status == "withdrawn"


def test_a_run_that_goes_on_without_waiting_withdraws_what_it_asked(ledger: Ledger, run: Run, queue: Queue) -> None:
    run.request_approval("one")
    ledger.thread(run.view().thread_id).start_run(auto_deny=True)
    (row,) = queue()
    assert (row.status, row.withdrawal_cause, row.run_id) == ("withdrawn", "new_input", run.id)


@pytest.mark.parametrize(
    ("folder", "kind", "statuses"),
    [("claude-code", "claude-code", {"granted": 8, "denied": 3}), ("ag-ui-streams", "ag-ui", {"granted": 2})],
)
def test_real_approvals_are_what_their_own_streams_say(
    ledger: Ledger, trajectories: Path, queue: Queue, folder: str, kind: str, statuses: dict[str, int]
) -> None:
    import_paths(ledger, kind, [trajectories / folder])
    assert Counter(row.status for row in queue()) == statuses
    for row in queue():
        view = ledger.now.approval(row.approval_id)
        assert (row.run_id, row.thread_id, row.status, row.action) == (view.run_id, view.thread_id, view.status, view.action)
        assert (row.reason, row.requested_by, row.requested_at) == (view.reason, view.requested_by, view.requested_at)
        assert (row.call_id, row.decision_id, row.expires_at) == (view.call_id, view.decision_id, view.expires_at)
        assert row.voters == tuple(vote.voter for vote in view.votes)
        assert (row.effective_digest, row.consumed_by) == (view.effective_digest, view.consumed_by)
        run = ledger.now.run(row.run_id)
        assert (row.agent_id, row.goal_id) == (run.agent_id, run.goal.id if run.goal else None)
