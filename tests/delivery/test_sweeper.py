"""What is due happens by itself: once, in nobody's name, and not before its time."""

from datetime import datetime, timedelta

from runfold import Ledger
from runfold.delivery.sweeper import Sweeper
from runfold.delivery.sweeper_rules import RULES
from runfold.domain.sweep_policy import SweepPolicy


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


def types(ledger: Ledger, kind: str) -> list[str]:
    return [recorded.type for recorded in ledger.events(types=kind, limit=10_000)]


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


def test_idle(ledger: Ledger) -> None:
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


def test_repeats(ledger: Ledger) -> None:
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
