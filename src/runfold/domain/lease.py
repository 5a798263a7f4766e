"""Who works on a run, and until when that holds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, assert_never

from runfold.domain.event import Events
from runfold.domain.life import Life
from runfold.domain.run_events import RunClaimed, RunLeaseRenewed, RunReleased, RunStuck, Status


class LeasedRun(Life, Protocol):
    """What a lease needs to know of its run."""

    status: Status
    cancellation_requested: bool


@dataclass
class Execution:
    """A worker that holds the run."""

    execution_id: str
    worker: str
    lease_expires_at: datetime


class Lease:
    """At most one worker holds the run. An expired lease ends only by a recorded take-over, never by a clock alone."""

    def __init__(self, run: LeasedRun) -> None:
        self.run = run
        self.held: Execution | None = None

    def claim(self, execution_id: str, worker: str, expires_at: datetime, now: datetime, *, take_over: bool = False) -> Events:
        """Claim the run for one worker. Claiming again renews; an expired lease of another worker needs `take_over`."""
        self.run.require_open("claim")
        if self.run.status == "waiting":
            self.run.refuse("claim", "a run that waits cannot be claimed; `resume()` it first, or have its approvals decided")
        claimed = RunClaimed(execution_id=execution_id, worker=worker, lease_expires_at=expires_at)
        held = self.held
        if held is None:
            return [claimed]
        if held.execution_id == execution_id:
            return self.renew(execution_id, expires_at)
        until = f"{held.worker} holds the lease until {held.lease_expires_at.isoformat()}"
        if now < held.lease_expires_at:
            self.run.refuse("claim", until)
        if not take_over:
            self.run.refuse("claim", f"{until}, which has passed; claim it with `take_over=True`, or `fail()` it")
        stuck = [RunStuck(rule="lease_expired", detail=until)] if self.run.status == "running" else []
        return [*stuck, claimed]

    def renew(self, execution_id: str, expires_at: datetime) -> Events:
        """Renew the lease. Whoever asked for the run's cancellation is heard with it."""
        self.run.require_open("renew")
        held = self._of("renew", execution_id)
        if held.lease_expires_at == expires_at:
            return []
        asked = self.run.cancellation_requested or None
        return [RunLeaseRenewed(execution_id=execution_id, lease_expires_at=expires_at, cancellation_requested=asked)]

    def release(self, execution_id: str, reason: str | None = None) -> Events:
        """Release the run. Releasing a run that nobody holds changes nothing."""
        if self.held is None:
            return []
        self._of("release", execution_id)
        return [RunReleased(execution_id=execution_id, reason=reason)]

    def lose(self, execution_id: str, now: datetime) -> Events:
        """Record that the worker let the lease expire: a running run is stuck then. Nobody's lease, or another's, is no news."""
        held = self.held
        if held is None or held.execution_id != execution_id:
            return []
        until = f"{held.worker} holds the lease until {held.lease_expires_at.isoformat()}"
        if now < held.lease_expires_at:
            self.run.refuse("expire_lease", f"{until}, and it is now {now.isoformat()}")
        stuck = [RunStuck(rule="lease_expired", detail=until)] if self.run.status == "running" else []
        return [*stuck, RunReleased(execution_id=execution_id, reason=f"the lease of {held.worker} expired")]

    def evolve(self, event: RunClaimed | RunLeaseRenewed | RunReleased) -> None:
        """Update the state by one event."""
        match event:
            case RunClaimed():
                self.held = Execution(event.execution_id, event.worker, event.lease_expires_at)
            case RunLeaseRenewed():
                self._of("renew", event.execution_id).lease_expires_at = event.lease_expires_at
            case RunReleased():
                self.held = None
            case _:
                assert_never(event)

    def _of(self, command: str, execution_id: str) -> Execution:
        if self.held is None or self.held.execution_id != execution_id:
            holder = self.held.worker if self.held else "nobody"
            self.run.refuse(command, f"{holder} holds the lease, not execution {execution_id}")
        return self.held
