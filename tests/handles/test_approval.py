"""Approvals: two streams that move together, from any number of processes."""

import contextlib
import threading
from datetime import UTC, datetime, timedelta

import pytest

from runfold import CommandRefused, DuplicateWithDifferentContent, InvalidEvent, Ledger, Run, VersionConflict
from runfold.domain.values import Actor

AT_ONCE = timedelta(microseconds=1)


def types(ledger: Ledger, after: int = 0) -> list[str]:
    return [recorded.type for recorded in ledger.events(after=after)]


@pytest.mark.row("CV-41")
def test_asking_records_the_request_and_that_the_run_waits_at_one_moment(ledger: Ledger, run: Run) -> None:
    before = ledger.position()
    approval = run.request_approval("refund", arguments={"order": 7}, message="Refund it?", actor="agent:support")
    asked, waiting = ledger.events(after=before)
    assert (asked.type, waiting.type, asked.recorded_at) == ("approval.requested", "run.waiting", waiting.recorded_at)
    assert (asked.context.run_id, asked.thread_id) == (run.id, waiting.thread_id)
    view = ledger.now.approval(approval.id)
    assert (view.status, view.run_id, view.action, view.arguments_text) == ("open", run.id, "refund", '{"order":7}')
    assert (view.requested_by, view.message) == ("agent:support", "Refund it?")
    assert (run.view().status, run.view().waiting_for, run.view().stop_reason) == ("waiting", (approval.id,), "requires_approval")


@pytest.mark.row("CV-42", "CV-44")
def test_granting_lets_the_same_run_go_on_once_nothing_else_is_open(ledger: Ledger, run: Run) -> None:
    first, second = run.request_approval("one"), run.request_approval("two")
    first.grant(actor="human:ada")
    assert (run.view().status, run.view().waiting_for) == ("waiting", (second.id,))
    second.grant(actor="human:bob", comment="fine")
    assert (run.view().status, run.view().waiting_for) == ("running", ())
    assert [vote.voter for vote in ledger.now.approval(second.id).votes] == ["human:bob"]


@pytest.mark.fault("H-5")
def test_two_approvals_granted_by_two_processes_at_once_resume_the_run_exactly_once(
    ledger: Ledger, other: Ledger, run: Run
) -> None:
    for _ in range(10):
        pair = [run.request_approval("one"), run.request_approval("two")]
        start = threading.Barrier(2)

        def grant(where: Ledger, approval_id: str, start: threading.Barrier = start) -> None:
            start.wait()
            where.approval(approval_id).grant(actor="human:ada")

        before = ledger.position()
        threads = [
            threading.Thread(target=grant, args=[where, approval.id])
            for where, approval in zip((ledger, other), pair, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert types(ledger, before).count("run.resumed") == 1
        assert run.view().status == "running"


@pytest.mark.fault("H-5")
def test_of_two_people_who_decide_one_request_at_once_the_first_wins(ledger: Ledger, other: Ledger, run: Run) -> None:
    for _ in range(10):
        approval = run.request_approval("send")
        start = threading.Barrier(2)
        refused: list[CommandRefused] = []

        def decide(work, start: threading.Barrier = start, refused: list = refused) -> None:
            start.wait()
            try:
                work()
            except CommandRefused as error:
                refused.append(error)

        works = (
            lambda approval=approval: ledger.approval(approval.id).grant(actor="human:ada"),
            lambda approval=approval: other.approval(approval.id).deny("no", actor="human:bob"),
        )
        threads = [threading.Thread(target=decide, args=[work]) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        view = ledger.now.approval(approval.id)
        assert (len(refused), len(view.votes)) == (1, 1)
        (late,) = [recorded.event for recorded in ledger.now.reader.stream(approval.id, types=("approval.vote_refused",))]
        assert {view.votes[0].voter, late.voter} == {"human:ada", "human:bob"}
        assert (late.status, late.verdict) == (view.status, "deny" if view.status == "granted" else "approve")
        assert view.status == ("granted" if view.votes[0].voter == "human:ada" else "denied")
        assert run.view().status == "running"


@pytest.mark.row("LT-94", "CV-43")
def test_denying_fails_the_call_with_the_reason_and_the_agent_goes_on(ledger: Ledger, run: Run) -> None:
    call = run.call_tool("refund", {"order": 7}, needs_approval=True)
    run.request_approval("refund", arguments={"order": 7}, call_id=call.id).deny("too much", actor="human:ada")
    (view,) = ledger.now.tool_calls(run_id=run.id).items
    assert view.error is not None
    assert (view.status, view.error.code, view.error.message) == ("failed", "approval_denied", "too much")
    run.add_message("assistant", "I may not refund it.")
    run.complete()


@pytest.mark.row("CV-28", "LT-103", "LT-104")
@pytest.mark.parametrize(
    ("end", "cause"), [(lambda run: run.cancel(), "run_cancelled"), (lambda run: run.fail("no"), "run_failed")]
)
def test_ending_a_run_withdraws_its_open_approvals_at_the_same_moment(ledger: Ledger, run: Run, end, cause: str) -> None:
    call = run.call_tool("refund", needs_approval=True)
    approvals = [run.request_approval("refund", call_id=call.id), run.request_approval("send")]
    before = ledger.position()
    end(run)
    recorded = ledger.events(after=before)
    assert len({found.recorded_at for found in recorded}) == 1
    assert [found.event.cause for found in recorded if found.type == "approval.withdrawn"] == [cause, cause]
    assert {ledger.now.approval(approval.id).status for approval in approvals} == {"withdrawn"}
    with pytest.raises(CommandRefused, match="only an open approval accepts votes"):
        approvals[0].grant(actor="human:late")
    assert run.view().open_tool_calls == 0


def test_a_vote_that_comes_too_late_records_the_expiry_and_is_refused(ledger: Ledger, run: Run) -> None:
    call = run.call_tool("refund", needs_approval=True)
    approval = run.request_approval("refund", call_id=call.id, expires_in=AT_ONCE)
    assert ledger.now.approval(approval.id).status == "open"  # until an expiry is recorded
    with pytest.raises(CommandRefused, match="that it expired is recorded now"):
        approval.grant(actor="human:ada")
    assert ledger.now.approval(approval.id).status == "expired"
    assert run.view().status == "running"
    (view,) = ledger.now.tool_calls(run_id=run.id).items
    assert view.error is not None
    assert view.error.code == "approval_expired"
    with pytest.raises(CommandRefused, match="only an open approval accepts votes"):
        approval.grant(actor="human:ada")


def test_an_approval_expires_at_its_time_and_not_before(ledger: Ledger, run: Run) -> None:
    early, late = run.request_approval("one", expires_in="1h"), run.request_approval("two", expires_in=AT_ONCE)
    asked_until = ledger.now.approval(early.id).expires_at
    assert asked_until is not None
    assert timedelta(minutes=59) < asked_until - datetime.now(UTC) <= timedelta(hours=1)
    with pytest.raises(CommandRefused, match="it expires at"):
        early.expire()
    late.expire(actor="system:sweeper")
    assert late.expire().appended == 0
    assert run.view().waiting_for == (early.id,)


@pytest.mark.row("AG-10")
def test_what_was_granted_is_used_once_and_only_for_what_was_approved(ledger: Ledger, other: Ledger, run: Run) -> None:
    approval = run.request_approval("refund", arguments='{"order": 7}')
    with pytest.raises(CommandRefused, match="only a granted approval can be used"):
        approval.consume('{"order": 7}', execution_key="exec_1")
    approval.grant(actor="human:ada")
    with pytest.raises(CommandRefused, match="it was granted for sha256"):
        approval.consume('{"order": 8}', execution_key="exec_1")
    with pytest.raises(CommandRefused, match="it was granted for sha256"):
        approval.consume({"order": 7}, execution_key="exec_1")  # other text, and the digest covers the text
    assert approval.consume('{"order": 7}', execution_key="exec_1").appended == 1
    assert approval.consume('{"order": 7}', execution_key="exec_1").appended == 0
    with pytest.raises(CommandRefused, match="execution exec_1 has already used it"):
        other.approval(approval.id).consume('{"order": 7}', execution_key="exec_2")
    assert ledger.now.approval(approval.id).consumed_by == "exec_1"


def test_of_ten_executions_that_use_one_grant_at_once_one_may(ledger: Ledger, other: Ledger, run: Run) -> None:
    approval = run.request_approval("refund")
    approval.grant(actor="human:ada")
    start = threading.Barrier(10)
    outcomes: list[str] = []

    def consume(number: int) -> None:
        start.wait()
        try:
            (ledger, other)[number % 2].approval(approval.id).consume(None, execution_key=f"exec_{number}")
            outcomes.append("used")
        except CommandRefused:
            outcomes.append("refused")

    threads = [threading.Thread(target=consume, args=[number]) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 9 + ["used"]


@pytest.mark.row("AG-09")
def test_a_call_starts_with_the_arguments_that_were_approved_and_consumes_the_grant(ledger: Ledger, run: Run) -> None:
    call = run.call_tool("refund", {"amount": 100}, needs_approval=True)
    approval = run.request_approval("refund", arguments={"amount": 100}, call_id=call.id)
    with pytest.raises(CommandRefused, match="only a granted approval"):
        call.start(approval=approval)
    approval.grant(actor="human:ada", arguments={"amount": 50})
    view = ledger.now.approval(approval.id)
    assert view.effective_arguments_text == '{"amount":50}'
    with pytest.raises(CommandRefused, match="needs an approval"):
        call.start()
    with pytest.raises(CommandRefused, match="it was granted for"):
        call.start(approval=approval, arguments_text='{"amount":100}')
    before = ledger.position()
    key = call.start(approval=approval, arguments_text='{"amount":50}', execution_key="exec_1")
    assert (key, types(ledger, before)) == ("exec_1", ["tool.started", "approval.consumed"])
    assert call.start(approval=approval, execution_key="exec_1") == "exec_1"
    with pytest.raises(CommandRefused):
        call.start(approval=approval, execution_key="exec_2")
    other_call = run.call_tool("refund", {"amount": 50}, needs_approval=True)
    with pytest.raises(CommandRefused, match=f"it is for {call.id}, not {other_call.id}"):
        other_call.start(approval=approval)


@pytest.mark.row("LT-95", "CM-07")
def test_new_input_while_an_approval_is_open_is_refused_or_lets_it_go(ledger: Ledger, run: Run) -> None:
    call = run.call_tool("refund", needs_approval=True)
    approval = run.request_approval("refund", call_id=call.id)
    with pytest.raises(CommandRefused, match="or send it with `auto_deny=True`, or `keep_approvals=True`"):
        run.add_message("user", "never mind")
    run.add_message("user", "never mind", auto_deny=True)
    assert ledger.now.approval(approval.id).status == "withdrawn"
    assert [view.status for view in ledger.now.tool_calls(run_id=run.id).items] == ["failed"]
    assert run.view().status == "running"


@pytest.mark.parametrize("end", ["fail", "cancel"])
def test_what_was_asked_about_a_call_that_ends_is_withdrawn(ledger: Ledger, run: Run, end: str) -> None:
    call, other = run.call_tool("refund"), run.call_tool("email")
    asked, kept = (run.request_approval("go on", call_id=one.id) for one in (call, other))
    getattr(call, end)("the shop is closed")
    assert [ledger.now.approval(one.id).status for one in (asked, kept)] == ["withdrawn", "open"]
    assert run.view().status == "waiting"
    other.cancel()
    assert run.view().status == "running"


def test_words_that_are_no_new_input_leave_an_approval_open(ledger: Ledger, run: Run) -> None:
    approval = run.request_approval("refund")
    run.add_message("user", "and hurry", keep_approvals=True)
    assert ledger.now.approval(approval.id).status == "open"
    assert (run.view().status, [message.text for message in run.messages()]) == ("waiting", ["and hurry"])
    with pytest.raises(InvalidEvent, match="contradicts `auto_deny`"):
        run.add_message("user", "which?", keep_approvals=True, auto_deny=True)


@pytest.mark.row("LT-95")
def test_a_new_run_after_one_that_waits_is_refused_or_cancels_it(ledger: Ledger, run: Run) -> None:
    thread = ledger.thread(run.view().thread_id)
    approval = run.request_approval("refund")
    with pytest.raises(CommandRefused, match="start with `auto_deny=True`"):
        thread.start_run()
    assert thread.start_run(kind="branches", parent=run).view().status == "running"
    assert thread.start_run(auto_deny=True).view().status == "running"
    assert (run.view().status, ledger.now.approval(approval.id).status) == ("cancelled", "withdrawn")


def test_a_quorum_of_eligible_people_must_agree_on_the_same_arguments(ledger: Ledger, run: Run) -> None:
    approval = run.request_approval(
        "pay",
        arguments={"amount": 9},
        quorum=2,
        eligible=["human:ada", "human:bob", "human:eve"],
        requester_excluded=True,
        actor="human:eve",
    )
    with pytest.raises(CommandRefused, match="human:mal may not decide it"):
        approval.grant(actor="human:mal")
    with pytest.raises(CommandRefused, match="requested it and may not decide it; another approver must"):
        approval.grant(actor="human:eve")
    approval.grant(actor="human:ada")
    assert approval.grant(actor="human:ada").appended == 0
    with pytest.raises(CommandRefused, match="votes are final"):
        approval.deny("changed my mind", actor="human:ada")
    assert run.view().status == "waiting"
    approval.grant(actor="human:bob")
    assert ledger.now.approval(approval.id).status == "granted"


def test_an_approval_asked_for_again_with_another_expiry_is_the_same(ledger: Ledger, run: Run) -> None:
    run.request_approval("send", arguments={"a": 1}, expires_in="1h", approval_id="approval_1")
    before = ledger.position()
    run.request_approval("send", arguments={"a": 1}, expires_in="2h", approval_id="approval_1")
    with pytest.raises(DuplicateWithDifferentContent):
        run.request_approval("send", arguments={"a": 2}, expires_in="1h", approval_id="approval_1")
    assert ledger.position() == before


def test_a_vote_may_expect_a_version(run: Run) -> None:
    approval = run.request_approval("send", quorum=2)
    approval.grant(actor="human:ada", expected_version=1)
    with pytest.raises(VersionConflict, match="at version 2, not 1"):
        approval.grant(actor="human:bob", expected_version=1)


# Who may decide, and until when


def rule_of(ledger: Ledger, approval_id: str) -> tuple[object, object]:
    rule = ledger.now.approval(approval_id).rule
    return rule.approver_kinds, rule.requester_excluded


def test_a_new_request_is_for_people_other_than_who_asked_unless_it_says_otherwise(ledger: Ledger, run: Run) -> None:
    assert rule_of(ledger, run.request_approval("refund").id) == (("human",), True)
    said = run.request_approval("refund", approver_kinds=["service", "human"], requester_excluded=False)
    assert rule_of(ledger, said.id) == (("service", "human"), False)
    unsaid = run.request_approval("refund", approver_kinds=None, requester_excluded=None)
    assert rule_of(ledger, unsaid.id) == (None, None)
    assert unsaid.grant(actor="agent:anybody").appended > 0
    stored = [recorded.as_json()["data"]["rule"] for recorded in ledger.events(types=["approval.requested"])]
    assert [sorted(rule) for rule in stored] == [["approver_kinds", "eligible", "quorum", "requester_excluded"]] * 2 + [
        ["eligible", "quorum"]
    ]
    with pytest.raises(InvalidEvent, match="approver_kinds"):
        run.request_approval("refund", approver_kinds=["robot"])  # type: ignore[list-item]


def test_no_programs_word_decides_alone_in_a_batch_or_among_many(ledger: Ledger, run: Run) -> None:
    approvals = [run.request_approval("refund").id for _ in range(2)]
    voters = ["agent:a", "service:runfold", "system:rules", Actor(kind="agent", id="a", on_behalf_of="human:ada")]
    before = ledger.position()
    for voter in voters:
        for verdict in ("approve", "deny"):
            with pytest.raises(CommandRefused, match="only voters of kind human may; vote as human:NAME"):
                ledger.approval(approvals[0]).vote(verdict, actor=voter)
            with contextlib.ExitStack() as ends:
                ends.enter_context(pytest.raises(CommandRefused, match="of kind human"))
                batch = ends.enter_context(ledger.batch())
                batch.approval(approvals[0]).vote("approve", actor="human:ada")
                batch.approval(approvals[1]).vote(verdict, actor=voter)
    assert ledger.position() == before


ENDINGS = {
    "completed": lambda run: run.complete(),
    "failed": lambda run: run.fail("it broke"),
    "cancelled": lambda run: run.cancel(),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_granted_ends_with_its_run(ledger: Ledger, other: Ledger, run: Run, ending: str) -> None:
    call = run.call_tool("refund", {"order": 7}, needs_approval=True)
    used, unused, started = (
        run.request_approval("refund", arguments={"order": 7}, call_id=each) for each in (None, None, call.id)
    )
    for approval in (used, unused, started):
        approval.grant(actor="human:ada")
    used.consume({"order": 7}, execution_key="exec_1")
    ENDINGS[ending](run)
    before = ledger.position()
    for where in (ledger, other):
        with pytest.raises(CommandRefused, match=f"{run.id} is {ending} .*ended its approvals; request a new one"):
            where.approval(unused.id).consume({"order": 7}, execution_key="exec_2")
        with pytest.raises(CommandRefused):
            where.run(run.id).tool_call(call.id).start(approval=started.id)
        with pytest.raises(CommandRefused), where.batch() as batch:
            batch.approval(unused.id).consume({"order": 7}, execution_key="exec_2")
        assert where.approval(used.id).consume({"order": 7}, execution_key="exec_1").appended == 0  # what was used stays used
    assert ledger.position() == before


def test_what_was_granted_in_time_is_used_until_its_time(ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    call = run.call_tool("refund", {"order": 7}, needs_approval=True)
    granted = [
        run.request_approval("refund", arguments={"order": 7}, call_id=each, expires_in="1h") for each in (None, call.id, None)
    ]
    for approval in granted:
        approval.grant(actor="human:ada")
    granted[2].consume({"order": 7}, execution_key="exec_1")
    later = datetime.now(UTC) + timedelta(hours=2)
    monkeypatch.setattr(ledger.command_executor, "clock", lambda: later)
    before = ledger.position()
    with pytest.raises(CommandRefused, match=r"it could be used until .*; request a new approval"):
        granted[0].consume({"order": 7}, execution_key="exec_2", occurred_at=later - timedelta(hours=2))
    with pytest.raises(CommandRefused, match="could be used until"):
        call.start(approval=granted[1])
    assert granted[2].consume({"order": 7}, execution_key="exec_1").appended == 0
    assert ledger.position() == before
    assert ledger.now.approval(granted[0].id).status == "granted"  # that is what was decided


def test_an_approval_is_for_a_call_of_its_own_run(ledger: Ledger, run: Run) -> None:
    other_run = ledger.create_thread(agent_id="support").start_run()
    for each in (run, other_run):
        each.call_tool("refund", {"order": 7}, call_id="call_1", needs_approval=True)
    approval = run.request_approval("refund", arguments={"order": 7}, call_id="call_1")
    approval.grant(actor="human:ada")
    with pytest.raises(CommandRefused, match=f"it is for call_1 of {run.id}, not of {other_run.id}"):
        other_run.tool_call("call_1").start(approval=approval)
    assert run.tool_call("call_1").start(approval=approval)


def test_a_person_who_asked_does_not_decide_through_another(ledger: Ledger, run: Run) -> None:
    approval = run.request_approval("refund", actor="human:ada")
    for voter in ("human:ada", Actor(kind="human", id="bob", on_behalf_of="human:ada")):
        with pytest.raises(CommandRefused, match="human:ada requested it and may not decide it; another approver must"):
            approval.grant(actor=voter)
    assert approval.grant(actor="human:bob").appended == 3


def test_who_voted_through_another_has_no_second_vote_in_another_process(ledger: Ledger, other: Ledger, run: Run) -> None:
    approval = run.request_approval("refund", quorum=2)
    approval.grant(actor=Actor(kind="human", id="bob", on_behalf_of="human:ada"))
    with pytest.raises(CommandRefused, match="human:bob has already voted for human:ada"):
        other.approval(approval.id).grant(actor="human:ada")
    assert other.approval(approval.id).grant(actor="human:cleo").appended == 3
