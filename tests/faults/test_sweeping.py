"""Ten sweepers at once, whose clocks jump: each expiry, lost lease and stuck run is recorded once, and not before its time."""

import contextlib
import threading
from datetime import UTC, datetime

import pytest

from faults.sweeping import AHEAD, MODELS, POLICY, Agents, JumpingClock, broken_promises
from runfold import Ledger, Recorded, Settings
from runfold.delivery.sweeper import sweepers
from runfold.delivery.sweeper_rules import RULES
from runfold.domain.approval_events import ApprovalExpired
from runfold.domain.run_events import RunReleased, RunStuck

SWEEPERS, PROCESSES = 10, 2


def in_all(ledger: Ledger) -> list[Recorded]:
    return list(ledger.now.reader.events())


def effects(events: list[Recorded]) -> int:
    """What sweepers did: a lost lease is stuck and given back at once."""
    swept = [each.event for each in events if str(each.metadata.actor) == "system:sweeper"]
    return sum(
        isinstance(event, ApprovalExpired | RunReleased) or (isinstance(event, RunStuck) and event.rule != "lease_expired")
        for event in swept
    )


def crowd(settings: Settings, seed: int, acts: int, rounds: int) -> tuple[list[Recorded], int]:
    """Let agents act while ten sweepers do; return the log, and how much the sweepers say that they did."""
    done: list[int] = []
    with contextlib.ExitStack() as opened:
        ledgers = [opened.enter_context(Ledger.open(settings=settings)) for _ in range(PROCESSES)]
        agents = Agents(ledgers[0], seed, 12)

        def sweep_on(number: int) -> None:
            own = sweepers(ledgers[number % PROCESSES], RULES, POLICY, JumpingClock(f"{seed}:{number}"))
            for _ in range(rounds):
                done.extend(sum(sweeper.react().done.values()) for sweeper in own)

        for _ in range(2):
            for _ in range(acts):
                agents.act()
            ledgers[0].fold(*MODELS)
            threads = [threading.Thread(target=sweep_on, args=(number,)) for number in range(SWEEPERS)]
            for thread in threads:
                thread.start()
            for _ in range(acts // 2):
                agents.act()
            for thread in threads:
                thread.join()
        last = sweepers(ledgers[0], RULES, POLICY, lambda: datetime.now(UTC) + AHEAD)
        for _ in range(4):
            ledgers[0].fold(*MODELS)
            done.extend(sum(sweeper.react().done.values()) for sweeper in last)
        ledgers[0].fold(*MODELS)
        assert [sweeper.find() for sweeper in last] == [[]] * len(last)
        return in_all(ledgers[0]), sum(done)


@pytest.mark.row("HV-85", "HV-86", "HV-87")
def test_each_thing_happens_once_and_not_before_its_time(settings: Settings) -> None:
    events, done = crowd(settings, seed=20_261_128, acts=40, rounds=2)
    assert broken_promises(events) == []
    assert effects(events) == done > 10


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_so_does_each_in_many_runs(settings: Settings, seed: int) -> None:
    events, done = crowd(settings, seed=seed, acts=400, rounds=10)
    assert broken_promises(events) == []
    assert effects(events) == done


def test_what_is_wrong_would_be_found(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger:
        run = ledger.create_thread(agent_id="a").start_run()
        run.claim("w1", execution_id="exec_1", lease="100m")
        run.release("exec_1", actor="system:sweeper")
        run.claim("w1", execution_id="exec_2", lease="5h")
        run.release("exec_2", actor="system:sweeper")
        run.mark_stuck("idle", actor="system:sweeper")
        events = in_all(ledger)
        assert [text.partition(" is ")[2][:5] for text in broken_promises(events)] == ["early"]
        assert len(broken_promises([*events, events[-1]])) == 2
