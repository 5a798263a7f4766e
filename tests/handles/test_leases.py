"""A worker holds a run for as long as it renews its lease, and hears then that it is to stop."""

from datetime import timedelta

import pytest

from runfold import CancellationRequested, CommandRefused, InvalidEvent, Ledger, RemoteLedger, Run
from runfold.commands.caller import Caller
from runfold.handles.calling.local import CallerExecutor


def later(ledger: Ledger, run: Run, **length: float) -> Run:
    """The same run, to somebody whose clock is ahead."""
    commands = ledger.command_executor
    caller = Caller("default", ledger.caller.actor)
    return Run(run.id, CallerExecutor(commands, caller, lambda: commands.clock() + timedelta(**length)))


@pytest.mark.row("LT-102")
def test_cancellation_is_heard_at_the_next_renewal(ledger: Ledger, run: Run, address: str) -> None:
    run.claim("w1", execution_id="exec_1")
    run.renew("exec_1", lease="1m")
    run.request_cancellation("too late")
    with pytest.raises(CancellationRequested, match="stop, and `cancel\\(\\)` it"):
        run.renew("exec_1", lease="2m")
    with Ledger.connect(address, "rf_any") as remote, pytest.raises(CancellationRequested):
        remote.run(run.id).renew("exec_1", lease="3m")
    told = [each.event.model_dump()["cancellation_requested"] for each in ledger.events(types="run.lease_renewed")]
    assert told == [None, True, True]
    run.cancel()
    with pytest.raises(CommandRefused, match="an ended run"):
        run.renew("exec_1")


@pytest.mark.row("CV-23")
@pytest.mark.parametrize(
    ("then", "recorded", "status"),
    [
        ("claimable", ["run.stuck", "run.released"], "stuck"),
        ("failed", ["run.stuck", "run.released", "run.failed"], "failed"),
    ],
)
def test_a_lost_lease_is_recorded_once_and_not_before_its_time(
    ledger: Ledger, run: Run, then: str, recorded: list[str], status: str
) -> None:
    run.claim("w1", execution_id="exec_1", lease="5m")
    call = run.call_tool("look", {})
    position = ledger.position()
    with pytest.raises(CommandRefused, match="holds the lease until"):
        run.expire_lease("exec_1", then=then)  # type: ignore[arg-type]  # one of two
    for _ in range(2):
        later(ledger, run, minutes=6).expire_lease("exec_1", then=then)  # type: ignore[arg-type]
    run.expire_lease("exec_of_nobody")
    assert [each.type for each in ledger.events(after=position)] == recorded
    view = ledger.now.run(run.id)
    assert (view.status, view.open_tool_calls, view.worker) == (status, int(then == "claimable"), None)
    with pytest.raises(CommandRefused):
        run.renew("exec_1")
    if then == "claimable":
        run.claim("w2")
        call.succeed("found")
        assert ledger.now.run(run.id).status == "running"
    else:
        assert (view.stop_reason, view.error and view.error.code) == ("lease_expired", "lease_expired")


def test_who_renews_in_time_is_never_too_late(ledger: Ledger, run: Run) -> None:
    run.claim("w1", execution_id="exec_1", lease="5m")
    run.renew("exec_1", lease="1h")
    with pytest.raises(CommandRefused, match="holds the lease until"):
        later(ledger, run, minutes=6).expire_lease("exec_1")


def test_a_worker_elsewhere_claims_renews_and_gives_back(ledger: Ledger, run: Run, address: str) -> None:
    with Ledger.connect(address, "rf_any") as remote:
        assert isinstance(remote, RemoteLedger)
        there = remote.run(run.id)
        execution = there.claim("w1", lease="1m")
        there.renew(execution, lease="2m")
        there.expire_lease("exec_of_nobody")
        there.release(execution, "done for today")
    types = [each.type for each in ledger.events(run_id=run.id)][-3:]
    assert types == ["run.claimed", "run.lease_renewed", "run.released"]


def test_a_lease_is_not_kept_until_after_all_time(run: Run) -> None:
    execution = run.claim("one")
    with pytest.raises(InvalidEvent, match="9999; give less") as refused:
        run.renew(execution, lease=timedelta.max)
    assert refused.value.path == "lease"
