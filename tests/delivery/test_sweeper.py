"""What is due happens by itself: once, in nobody's name, and not before its time."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from runfold import Ledger, Settings
from runfold.commands.caller import Caller
from runfold.delivery.sweeper import Sweeper
from runfold.delivery.sweeper_rules import RULES
from runfold.domain.sweep_policy import SweepPolicy
from runfold.domain.values import Actor
from runfold.settings import environment


class Clock:
    """A clock that is put where a test wants it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def after(self, **length: float) -> None:
        self.now += timedelta(**length)


def sweep(ledger: Ledger, clock: Clock, **policy: object) -> dict[str, int]:
    """Let every rule be carried out once, and return how often each did something."""
    ledger.fold("run_progress", "approval_queue")
    wanted = SweepPolicy.model_validate(policy)
    done: dict[str, int] = {}
    for rule in RULES:
        done |= Sweeper(rule, ledger.command_executor, wanted, clock).react().done
    return done


def test_an_approval_expires_at_its_time_and_nobody_is_credited_with_it(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    approval = run.request_approval("refund", expires_in="1h")
    clock = Clock(ledger.command_executor.clock())
    clock.after(minutes=59)
    assert sweep(ledger, clock) == {}
    clock.after(minutes=2)
    assert sweep(ledger, clock) == {"approvals_expired": 1}
    assert sweep(ledger, clock) == {}
    (expired,) = ledger.events(types="approval.expired")
    assert str(expired.metadata.actor) == "system:sweeper"
    assert ledger.now.approval(approval.id).status == "expired"
    assert ledger.now.run(run.id).status == "running"


def test_a_lost_lease_makes_a_run_stuck_and_claimable(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    run.claim("w1", lease="5m", execution_id="exec_1")
    clock = Clock(ledger.command_executor.clock())
    assert sweep(ledger, clock) == {}
    clock.after(minutes=6)
    assert sweep(ledger, clock) == {"leases_lost": 1}
    assert sweep(ledger, clock) == {}
    assert ledger.now.run(run.id).status == "stuck"
    run.claim("w2")
    assert ledger.now.run(run.id).status == "running"


def test_a_run_falls_silent_once_and_fails_when_it_was_stuck_for_long(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    run.claim("w1", lease="5d", execution_id="exec_1")
    clock = Clock(ledger.command_executor.clock())
    clock.after(minutes=16)
    assert sweep(ledger, clock) == {}
    assert sweep(ledger, clock, idle_after="15m") == {"runs_idle": 1}
    assert sweep(ledger, clock, idle_after="15m") == {}
    clock.after(minutes=60)
    assert sweep(ledger, clock, idle_after="15m", fail_stuck_after="30m") == {"runs_failed": 1}
    assert ledger.now.run(run.id).stop_reason == "stalled"


def test_each_window_of_repetition_is_found_once(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    clock = Clock(ledger.command_executor.clock())
    for _ in range(3):
        assert sweep(ledger, clock, identical_responses=3, runs="live") == {}
        run.add_message("assistant", "Hello")
    assert sweep(ledger, clock, identical_responses=3, runs="live") == {"runs_repeating": 1}
    assert sweep(ledger, clock, identical_responses=3, runs="live") == {}
    for _ in range(3):
        assert sweep(ledger, clock, identical_tool_calls=3, runs="live") == {}
        run.call_tool("look", arguments={"a": 1}).succeed("x")
    assert sweep(ledger, clock, identical_tool_calls=3, runs="live") == {"runs_repeating": 1}
    assert sweep(ledger, clock, identical_tool_calls=3, runs="live") == {}


def test_imported_runs_and_runs_that_nobody_claimed_are_left_alone_unless_a_policy_names_them(ledger: Ledger) -> None:
    with ledger.batch(is_import=True, source="tau2:1") as batch:
        imported = batch.create_thread(agent_id="a").start_run()
        asking = batch.create_thread(agent_id="a").start_run()
        asking.request_approval(
            "refund", expires_at=datetime(2026, 1, 31, tzinfo=UTC), occurred_at=datetime(2026, 1, 1, tzinfo=UTC)
        )
    live = ledger.create_thread(agent_id="a").start_run()
    clock = Clock(ledger.command_executor.clock())
    clock.after(hours=1)
    assert sweep(ledger, clock, idle_after="15m") == {}
    assert sweep(ledger, clock, idle_after="15m", runs="live") == {"runs_idle": 1}
    assert ledger.now.run(live.id).status == "stuck"
    assert sweep(ledger, clock, idle_after="15m", runs="all") == {"runs_idle": 1, "approvals_expired": 1}
    assert ledger.now.run(imported.id).status == "stuck"


def test_what_a_policy_turns_off_does_not_happen(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    run.claim("w1", lease="5m", execution_id="exec_1")
    ledger.create_thread(agent_id="a").start_run().request_approval("refund", expires_in="1h")
    clock = Clock(ledger.command_executor.clock())
    clock.after(hours=2)
    assert sweep(ledger, clock, approvals=False, lost_leases=None) == {}
    assert sweep(ledger, clock, lost_leases="failed") == {"approvals_expired": 1, "leases_lost": 1}
    view = ledger.now.run(run.id)
    assert (view.status, view.stop_reason) == ("failed", "lease_expired")


def test_each_tenants_runs_are_swept_in_their_tenant(ledger: Ledger) -> None:
    acme = ledger.on_behalf(Caller("acme", Actor(kind="agent", id="a")))
    runs = [where.create_thread(agent_id="a").start_run(run_id="run_same") for where in (ledger, acme)]
    for run in runs:
        run.request_approval("refund", expires_in="1h", approval_id="approval_same")
    acme.approval("approval_same").grant(actor="human:ada")
    clock = Clock(ledger.command_executor.clock())
    clock.after(hours=2)
    assert sweep(ledger, clock) == {"approvals_expired": 1}
    assert (ledger.now.approval("approval_same").status, acme.now.approval("approval_same").status) == ("expired", "granted")


def test_what_changed_since_the_read_model_was_folded_is_decided_as_it_is(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    run.claim("w1", lease="5m", execution_id="exec_1")
    clock = Clock(ledger.command_executor.clock())
    assert sweep(ledger, clock, idle_after="1m") == {}
    run.renew("exec_1", lease="2h")
    clock.after(minutes=10)
    wanted = SweepPolicy.model_validate({"idle_after": "1m"})
    found = [Sweeper(rule, ledger.command_executor, wanted, clock) for rule in RULES]
    assert [len(sweeper.find()) for sweeper in found] == [0, 1, 1, 0, 0], "as it was folded"
    assert [sweeper.react().done for sweeper in found] == [{}] * 5
    assert [recorded.type for recorded in ledger.events(run_id=run.id)][-1] == "run.lease_renewed"


def test_nothing_is_due_before_anything_is_folded(ledger: Ledger) -> None:
    ledger.create_thread(agent_id="a").start_run().request_approval("refund", expires_in="1ms")
    found = [Sweeper(rule, ledger.command_executor, SweepPolicy()) for rule in RULES]
    assert [sweeper.react().done for sweeper in found] == [{}] * 5


def test_a_policy_is_handed_on_to_processes_as_it_is() -> None:
    policy = SweepPolicy.model_validate({"idle_after": "90s", "lost_leases": None, "identical_tool_calls": 3, "runs": "all"})
    settings = Settings(sweep=policy)
    assert Settings(sweep=environment(settings)["RUNFOLD_SWEEP"]).sweep == policy
    assert str(SweepPolicy()) == "{}"


@pytest.mark.parametrize("field", ["idle_after", "fail_stuck_after"])
@pytest.mark.parametrize("length", [timedelta.max, timedelta(days=366_001), timedelta(hours=1) / 7, 0.0005])
def test_a_length_that_sweeping_would_end_at_is_no_policy(field: str, length: timedelta | float) -> None:
    """Each round counts it back from now and tells it in words: it would stop there, round after round."""
    with pytest.raises(ValidationError, match=r"cannot be written as a duration|is longer than 366000 days"):
        SweepPolicy.model_validate({field: length})
    assert SweepPolicy.model_validate({field: timedelta(days=366_000)})
