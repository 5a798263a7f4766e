"""Approvals of history are judged by the producer's clock, by importers alone; and nothing live uses what they granted."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runfold import Ledger, Run
from runfold.commands.caller import Caller
from runfold.domain.values import Actor
from runfold.errors import CommandRefused, InvalidEvent, ScopeMissing
from runfold.handles.approval import Approval
from runfold.handles.ledgers.ledger_handle import LedgerHandle

ELEVEN = datetime(2026, 3, 1, 11, tzinfo=UTC)
IN_TIME, LATE = ELEVEN - timedelta(minutes=59), ELEVEN + timedelta(minutes=1)


def asked(ledger: LedgerHandle, expires_at: datetime | None = ELEVEN) -> tuple[Run, Approval]:
    """What somebody asked long ago."""
    run = ledger.create_thread(agent_id="support").start_run()
    call = run.call_tool("refund", {"order": 7}, needs_approval=True, occurred_at=IN_TIME)
    request = {"arguments": {"order": 7}, "call_id": call.id, "expires_at": expires_at}
    return run, run.request_approval("refund", **request, occurred_at=IN_TIME, times_judged_by="producer")


def test_what_was_granted_in_time_is_granted_whenever_it_is_imported(ledger: Ledger) -> None:
    with ledger.batch(is_import=True) as batch:
        run, approval = asked(batch)
        approval.grant(actor="human:ada", occurred_at=IN_TIME)
        call = run.tool_call(batch_call(batch, approval))
        call.start(approval=approval, execution_key="exec_1", occurred_at=IN_TIME)
        call.succeed("done", occurred_at=IN_TIME)
        run.complete(occurred_at=LATE)
    view = ledger.now.approval(approval.id)
    assert (view.status, view.consumed_by) == ("granted", "exec_1")


def batch_call(batch: Any, approval: Approval) -> str:
    """The call that an approval of a batch is for."""
    events = (recorded.event for recorded in batch.collected() if recorded.stream == approval.id)
    return str(next(events).call_id)


def test_what_was_late_by_the_producers_clock_is_late(ledger: Ledger) -> None:
    with ledger.batch(is_import=True) as batch:
        _, approval = asked(batch)
        with pytest.raises(CommandRefused, match="its time is over; that it expired is recorded now"):
            approval.grant(actor="human:ada", occurred_at=LATE)
    assert ledger.now.approval(approval.id).status == "expired"


def test_nothing_says_that_an_answer_without_a_time_was_late(ledger: Ledger) -> None:
    with ledger.batch(is_import=True) as batch:
        _, approval = asked(batch)
        approval.grant(actor="human:ada")
    assert ledger.now.approval(approval.id).status == "granted"


USES: dict[str, Callable[[Run, Approval, str], object]] = {
    "consume": lambda _, approval, __: approval.consume({"order": 7}, execution_key="exec_2"),
    "start": lambda run, approval, call_id: run.tool_call(call_id).start(approval=approval),
}


@pytest.mark.parametrize("use", USES)
def test_what_an_import_granted_is_not_for_use_now(ledger: Ledger, other: Ledger, use: str) -> None:
    with ledger.batch(is_import=True) as batch:
        run, approval = asked(batch, expires_at=None)
        approval.grant(actor="human:ada", occurred_at=IN_TIME)
    call_id = ledger.now.approval(approval.id).call_id or ""
    for where in (ledger, other):
        with pytest.raises(CommandRefused, match="it was granted in history that was imported"):
            USES[use](where.run(run.id), where.approval(approval.id), call_id)
    with ledger.batch(is_import=True) as batch:
        USES[use](batch.run(run.id), batch.approval(approval.id), call_id)
    assert ledger.now.approval(approval.id).consumed_by is not None


def test_a_time_that_is_still_to_come_is_not_believed(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    approval = run.request_approval("refund", expires_in="1h")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(CommandRefused, match="expires at"):
        approval.expire(occurred_at=tomorrow, times_judged_by="producer")
    assert ledger.now.approval(approval.id).status == "open"


def test_each_command_that_asks_for_the_time_says_so_for_itself(ledger: Ledger) -> None:
    run, approval = asked(ledger)
    said: dict[str, Any] = {"occurred_at": IN_TIME, "times_judged_by": "producer"}
    approval.grant(actor="human:ada", **said)
    run.tool_call(ledger.now.approval(approval.id).call_id or "").start(approval=approval, execution_key="exec_1", **said)
    assert ledger.now.approval(approval.id).consumed_by == "exec_1"
    late = run.request_approval("again", expires_in="1h", **said)
    assert ledger.now.approval(late.id).expires_at == IN_TIME + timedelta(hours=1)
    with pytest.raises(InvalidEvent, match="is needed with times_judged_by"):
        late.grant(actor="human:ada", times_judged_by="producer")


def test_only_who_may_import_may_say_so(ledger: Ledger) -> None:
    _, approval = asked(ledger)
    caller = Caller("default", Actor.parse("human:ada"), scopes=frozenset({"runs:write", "approvals:decide"}), api_key="key_1")
    stranger, importer = (
        ledger.on_behalf(caller),
        ledger.on_behalf(caller._replace(scopes=caller.scopes and caller.scopes | {"import"})),
    )
    before = ledger.position()
    with pytest.raises(ScopeMissing, match="key key_1 lacks the scope import"):
        stranger.approval(approval.id).grant(occurred_at=IN_TIME, times_judged_by="producer")
    with pytest.raises(ScopeMissing), stranger.batch(is_import=True):
        raise AssertionError("nobody comes here")
    assert ledger.position() == before
    importer.approval(approval.id).grant(occurred_at=IN_TIME, times_judged_by="producer")
    assert ledger.now.approval(approval.id).status == "granted"
