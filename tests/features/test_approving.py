"""A person decides before the agent acts."""

import pytest

from runfold import CommandRefused, Ledger, Run


@pytest.mark.row("LT-27", "CV-40", "CV-41", "CV-42", "CV-44", "LT-91", "AG-05")
def test_a_gated_tool_call_waits_for_a_person_and_the_same_run_goes_on(ledger: Ledger, run: Run) -> None:
    call = run.call_tool("refund", {"order": 7, "amount": "19.90 EUR"}, needs_approval=True)
    with pytest.raises(CommandRefused, match="needs an approval"):
        call.start()
    approval = run.request_approval(
        "refund",
        arguments={"order": 7, "amount": "19.90 EUR"},
        call_id=call.id,
        message="Refund it?",
        expires_in="1h",
        response_schema={"type": "object"},
        choices=[{"id": "yes", "label": "Yes"}],
    )
    assert (run.view().status, run.view().stop_reason) == ("waiting", "requires_approval")
    with pytest.raises(CommandRefused, match="only a running run can complete"):
        run.complete()
    approval.grant(actor="human:ada", comment="fine")
    call.start(approval=approval, execution_key="refund-7")
    call.succeed({"refunded": True})
    run.complete()
    view = ledger.now.approval(approval.id)
    assert (view.status, view.reason, view.consumed_by, view.votes[0].voter) == ("granted", "tool_call", "refund-7", "human:ada")


@pytest.mark.row("LT-94", "CV-43")
def test_a_denial_is_an_error_the_agent_can_react_to(ledger: Ledger, run: Run) -> None:
    call = run.call_tool("refund", needs_approval=True)
    run.request_approval("refund", call_id=call.id).deny("not without a receipt", actor="human:ada")
    (view,) = ledger.now.tool_calls(run_id=run.id).items
    assert view.error is not None
    assert (view.status, view.error.message) == ("failed", "not without a receipt")
    run.add_message("assistant", "Please send me the receipt.")
    assert run.view().status == "running"


@pytest.mark.row("LT-91", "LT-92", "CV-42")
def test_several_approvals_may_be_decided_one_by_one_or_all_at_once(ledger: Ledger, run: Run) -> None:
    calls = [run.call_tool("send", {"to": name}, needs_approval=True) for name in ("ada", "bob", "eve")]
    approvals = [run.request_approval("send", call_id=call.id) for call in calls]
    approvals[0].grant(actor="human:ada")
    assert run.view().waiting_for == (approvals[1].id, approvals[2].id)
    with ledger.batch() as batch:
        batch.approval(approvals[1].id).grant(actor="human:ada")
        batch.approval(approvals[2].id).deny("not him", actor="human:ada")
    assert run.view().status == "running"
    assert [ledger.now.approval(approval.id).status for approval in approvals] == ["granted", "granted", "denied"]


@pytest.mark.row("AG-09", "AG-10")
def test_a_person_may_edit_the_arguments_and_only_those_may_be_used(ledger: Ledger, run: Run) -> None:
    call = run.call_tool("refund", {"amount": 100}, needs_approval=True)
    approval = run.request_approval("refund", arguments={"amount": 100}, call_id=call.id)
    approval.grant(actor="human:ada", arguments={"amount": 50})
    with pytest.raises(CommandRefused, match="it was granted for"):
        call.start(approval=approval, arguments_text='{"amount":100}')
    call.start(approval=approval)
    view = ledger.now.approval(approval.id)
    assert (view.arguments_text, view.effective_arguments_text) == ('{"amount":100}', '{"amount":50}')
    assert ledger.now.tool_calls(run_id=run.id).items[0].arguments == {"amount": 100}  # what the agent asked for stays


@pytest.mark.row("LT-96")
def test_deciding_twice_the_same_is_accepted_and_the_opposite_is_not(run: Run) -> None:
    approval = run.request_approval("send")
    assert approval.grant(actor="human:ada").appended == 3
    assert approval.grant(actor="human:ada").appended == 0
    with pytest.raises(CommandRefused):
        approval.deny("no", actor="human:bob")


@pytest.mark.row("LT-103", "LT-104", "CV-28")
def test_cancelling_leaves_no_approval_behind(ledger: Ledger, run: Run) -> None:
    approvals = [run.request_approval("one"), run.request_approval("two")]
    run.cancel()
    assert {ledger.now.approval(approval.id).status for approval in approvals} == {"withdrawn"}


@pytest.mark.row("LT-95", "CM-07")
def test_new_input_waits_for_the_decision_or_withdraws_the_question(ledger: Ledger, run: Run) -> None:
    approval = run.request_approval("send")
    with pytest.raises(CommandRefused, match="auto_deny"):
        run.add_message("user", "never mind")
    run.add_message("user", "never mind", auto_deny=True)
    assert (ledger.now.approval(approval.id).status, run.view().status) == ("withdrawn", "running")
