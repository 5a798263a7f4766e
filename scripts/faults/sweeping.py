"""Sweepers, many of them, whose clocks jump and which are killed: what happens by itself happens once, and not too early."""

import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random

from faults.clients import Work, open_ledger
from faults.row import row
from faults.stage import Stage
from faults.workers import start_worker
from runfold import CommandRefused, Ledger, Recorded, Run, Settings
from runfold.delivery.sweeper import Sweeper, sweepers
from runfold.delivery.sweeper_rules import RULES
from runfold.domain.approval_events import ApprovalDenied, ApprovalExpired, ApprovalGranted, ApprovalRequested, ApprovalWithdrawn
from runfold.domain.run import NO_PROGRESS
from runfold.domain.run_events import RunClaimed, RunLeaseRenewed, RunReleased, RunStuck, RunWaiting
from runfold.domain.sweep_policy import SweepPolicy
from runfold.errors import LedgerUnavailable
from runfold.ids import new_id

AHEAD = timedelta(hours=2)
"""How far a clock is ahead at most."""
IDLE = timedelta(minutes=30)
POLICY = SweepPolicy(idle_after=IDLE, identical_tool_calls=3)
MODELS = ("run_progress", "approval_queue")
SWEEPERS = 10
_CLOSED = (ApprovalGranted, ApprovalDenied, ApprovalExpired, ApprovalWithdrawn)


class JumpingClock:
    """A clock that jumps at every look, forward and back, and is never further ahead than it may be."""

    def __init__(self, seed: object) -> None:
        self._random, self._lock = Random(str(seed)), threading.Lock()

    def __call__(self) -> datetime:
        with self._lock:
            return datetime.now(UTC) + self._random.choice((1, 1, 0, -1)) * self._random.random() * AHEAD


class Agents:
    """Workers and people who claim, renew, give back, ask, decide, call tools again and again, or fall silent."""

    def __init__(self, ledger: Ledger, seed: object, runs: int) -> None:
        self._random = Random(str(seed))
        self._ledger = ledger
        thread = ledger.create_thread(agent_id="faults")
        self._runs = [thread.start_run(parent=None) for _ in range(runs)]
        self._executions: dict[str, str] = {}

    def act(self) -> None:
        """Do one thing on one run; what the rules refuse is left."""
        run = self._random.choice(self._runs)
        try:
            self._random.choice((self._claim, self._claim, self._renew, self._release, self._ask, self._decide, self._call))(run)
        except CommandRefused:
            self._executions.pop(run.id, None)

    def _claim(self, run: Run) -> None:
        self._executions[run.id] = run.claim("w", lease=f"{self._random.randrange(1, 100)}m", execution_id=new_id("exec"))

    def _renew(self, run: Run) -> None:
        run.renew(self._executions.get(run.id, "exec_none"), lease=f"{self._random.randrange(1, 100)}m")

    def _release(self, run: Run) -> None:
        run.release(self._executions.pop(run.id, "exec_none"))

    def _ask(self, run: Run) -> None:
        run.request_approval("pay", expires_in=f"{self._random.randrange(1, 100)}m")

    def _decide(self, run: Run) -> None:
        for approval_id in self._ledger.now.run(run.id).waiting_for:
            self._ledger.approval(approval_id).grant(actor="human:ada")

    def _call(self, run: Run) -> None:
        for _ in range(3):
            run.call_tool("look", {"order": 7}).succeed("nothing")


def broken_promises(events: Iterable[Recorded]) -> list[str]:
    """Return what happened by itself twice, too early, or in somebody's name."""
    found = _Found()
    for recorded in events:
        found.take(recorded)
    return found.broken


class _Found:
    """What is known of each run and approval, and what is wrong."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self._expires_at: dict[str, datetime] = {}
        self._closed: set[str] = set()
        self._leases: dict[str, tuple[str, datetime]] = {}
        self._lost: set[tuple[str, str, datetime]] = set()
        self._heard_at: dict[str, datetime] = {}
        self._is_stuck: set[str] = set()

    def take(self, recorded: Recorded) -> None:
        event, stream = recorded.event, recorded.stream
        is_swept = str(recorded.metadata.actor) == "system:sweeper"
        match event:
            case ApprovalRequested() if event.expires_at is not None:
                self._expires_at[stream] = event.expires_at
            case ApprovalGranted() | ApprovalDenied() | ApprovalExpired() | ApprovalWithdrawn():
                self._require(stream not in self._closed, recorded, "is closed a second time")
                self._closed.add(stream)
                if is_swept:
                    self._require_late(recorded, self._expires_at.get(stream))
                    self._require(isinstance(event, ApprovalExpired), recorded, "is a decision that nobody made")
            case RunClaimed():
                self._leases[stream] = (event.execution_id, event.lease_expires_at)
            case RunLeaseRenewed():
                self._leases[stream] = (event.execution_id, event.lease_expires_at)
            case RunReleased() | RunWaiting():
                held = self._leases.pop(stream, None)
                if isinstance(event, RunReleased) and is_swept and held is not None:
                    self._require((stream, *held) not in self._lost, recorded, "is lost a second time")
                    self._lost.add((stream, *held))
                    self._require_late(recorded, held[1])
            case RunStuck() if is_swept:
                self._require(stream not in self._is_stuck, recorded, "is stuck a second time, with nothing in between")
                if event.rule == "idle":
                    self._require_late(recorded, self._heard_at[stream] + IDLE)
            case _:
                pass
        if isinstance(event, RunStuck):
            self._is_stuck.add(stream)
        elif stream.startswith("run_") and not isinstance(event, NO_PROGRESS):
            self._is_stuck.discard(stream)
            self._heard_at[stream] = recorded.recorded_at

    def _require_late(self, recorded: Recorded, due: datetime | None) -> None:
        self._require(due is not None and due <= recorded.recorded_at + AHEAD, recorded, f"is early: it was due at {due}")

    def _require(self, holds: bool, recorded: Recorded, what: str) -> None:
        if not holds:
            self.broken.append(f"{recorded.type} at position {recorded.position} of {recorded.stream} {what}")


@row("sweepers", "ten sweepers, clocks that jump, kill -9", share=0.02)
def ten_sweepers(stage: Stage) -> None:
    """Ten processes sweep, each by a clock that jumps two hours back and ahead at every look, and are killed and started
    again while agents claim, renew, ask, repeat themselves and fall silent. Each expiry, lost lease and stuck run is recorded
    once, never before its time by the clock that was furthest ahead, and by nobody but the sweeper."""
    own = stage.own
    start_worker(stage)
    stage.crew.start(act, stage.work("agents", 0))
    names = [f"sweeper{number}" for number in range(SWEEPERS)]
    for name in names:
        stage.crew.start(sweep_on, stage.work(name, 0))
    kills, least = (4, 150) if stage.short else (40, 1500)
    while not stage.enough(stage.crew.kills, kills, least):
        stage.pause(0.2, 1.0)
        stage.crew.kill_and_restart(stage.rng.choice(names))
    stage.crew.end()
    told = {"database_url": own.url, "projector_url": own.embedded.url("runfold_projector")}
    with Ledger.open(settings=Settings.model_validate(told)) as ledger:
        for _ in range(3):
            ledger.fold(*MODELS)
            _sweep(sweepers(ledger, RULES, POLICY, lambda: datetime.now(UTC) + AHEAD))
        events = list(ledger.now.reader.events(after=stage.after))
    swept = [recorded for recorded in events if str(recorded.metadata.actor) == "system:sweeper"]
    broken = broken_promises(events)
    stage.expect(not broken, "; ".join(broken[:5]))
    stage.expect(len(swept) >= 10, f"only {len(swept)} events were recorded by sweepers")
    stage.figures.failures += stage.crew.crashed
    stage.figures.measured |= {"sweepers killed": stage.crew.kills, "by sweepers": len(swept), "events": len(events)}


def act(work: Work) -> None:
    """The body of the process of the agents, until it is told to end."""
    with open_ledger(work) as ledger:
        agents = Agents(ledger, work.seed, 40)
        while not work.stop.exists():
            agents.act()


def sweep_on(work: Work) -> None:
    """The body of a process that sweeps until it is killed."""
    with open_ledger(work) as ledger:
        own = sweepers(ledger, RULES, POLICY, JumpingClock(work.seed))
        while True:
            try:
                _sweep(own)
            except LedgerUnavailable:
                time.sleep(0.1)


def _sweep(own: Iterable[Sweeper]) -> None:
    for sweeper in own:
        while sweeper.react().has_more:
            pass
