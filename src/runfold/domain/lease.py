"""Who works on a run, and until when that holds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, assert_never

from runfold.domain.event import Events
from runfold.domain.life import Life
from runfold.domain.run_events import RunClaimed, RunLeaseRenewed, RunReleased, RunStuck, Status


class LeasedRun(Life, Protocol):
    """The run, as its lease sees it."""

    status: Status


@dataclass
class Execution:
    """A worker at work."""

    execution_id: str
    worker: str
    lease_expires_at: datetime


class Lease:
    """One worker at a time has the run. Only a recorded take-over ends an expired lease, never a clock by itself."""

    def __init__(self, run: LeasedRun) -> None:
        self.run = run
        self.held: Execution | None = None

    def claim(self, execution_id: str, worker: str, expires_at: datetime, now: datetime, *, take_over: bool = False) -> Events:
        """Take the run for one worker. The holder renews by claiming again; an expired lease goes over only with `take_over`."""
        self.run.require_open("claim")
        if self.run.status == "waiting":
            self.run.refuse("claim", "nobody works on a run that waits")
        claimed = RunClaimed(execution_id=execution_id, worker=worker, lease_expires_at=expires_at)
        held = self.held
        if held is None:
            return [claimed]
        if held.execution_id == execution_id:
            return self.renew(execution_id, expires_at)
        until = f"{held.worker} holds it until {held.lease_expires_at.isoformat()}"
        if now < held.lease_expires_at:
            self.run.refuse("claim", until)
        if not take_over:
            self.run.refuse("claim", f"{until}, which is past; claim it with take_over, or fail it")
        stuck = [RunStuck(rule="lease_expired", detail=until)] if self.run.status == "running" else []
        return [*stuck, claimed]

    def renew(self, execution_id: str, expires_at: datetime) -> Events:
        """Hold the run for longer."""
        self.run.require_open("renew")
        held = self._of("renew", execution_id)
        if held.lease_expires_at == expires_at:
            return []
        return [RunLeaseRenewed(execution_id=execution_id, lease_expires_at=expires_at)]

    def release(self, execution_id: str, reason: str | None = None) -> Events:
        """Give the run back. Releasing what nobody holds changes nothing."""
        if self.held is None:
            return []
        self._of("release", execution_id)
        return [RunReleased(execution_id=execution_id, reason=reason)]

    def evolve(self, event: RunClaimed | RunLeaseRenewed | RunReleased) -> None:
        """Take in what happened."""
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
            self.run.refuse(command, f"{holder} holds it, not execution {execution_id}")
        return self.held
