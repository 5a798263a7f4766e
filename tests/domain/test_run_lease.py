"""Who works on a run, and until when."""

from datetime import timedelta

import pytest

from runfold.domain.event import Event
from runfold.domain.run_events import (
    RunClaimed,
    RunLeaseRenewed,
    RunReleased,
    RunStuck,
)

from .samples import (
    NOON,
    ONE_O_CLOCK,
    RUNNING,
    claimed,
    created,
    stuck,
)
from .story import given

LATE = ONE_O_CLOCK + timedelta(minutes=1)
LATER = ONE_O_CLOCK + timedelta(hours=1)


# Who works on it


@pytest.mark.row("CV-22")
def test_one_worker_holds_a_run_at_a_time() -> None:
    given(created).when(lambda run: run.lease.claim("exec_1", "w1", ONE_O_CLOCK, NOON)).then(claimed)
    given(*RUNNING, claimed).when(lambda run: run.lease.claim("exec_2", "w2", LATER, NOON)).refused(
        "w1 holds the lease until 2026-01-31T13:00"
    )


@pytest.mark.row("CV-22")
def test_the_holder_renews_by_claiming_again() -> None:
    renewed = RunLeaseRenewed(execution_id="exec_1", lease_expires_at=LATER)
    run = given(*RUNNING, claimed).when(lambda run: run.lease.claim("exec_1", "w1", LATER, NOON)).then(renewed)
    assert run.lease.held.lease_expires_at == LATER
    given(*RUNNING, claimed).when(lambda run: run.lease.renew("exec_1", ONE_O_CLOCK)).then()
    given(*RUNNING, claimed).when(lambda run: run.lease.renew("exec_2", LATER)).refused(
        "w1 holds the lease, not execution exec_2"
    )
    given(*RUNNING).when(lambda run: run.lease.renew("exec_1", LATER)).refused("nobody holds the lease")


def test_an_expired_lease_is_taken_over_only_when_asked() -> None:
    taken = RunClaimed(execution_id="exec_2", worker="w2", lease_expires_at=LATER)
    given(*RUNNING, claimed).when(lambda run: run.lease.claim("exec_2", "w2", LATER, LATE)).refused(
        "claim it with `take_over=True`, or `fail()` it"
    )
    run = (
        given(*RUNNING, claimed)
        .when(lambda run: run.lease.claim("exec_2", "w2", LATER, LATE, take_over=True))
        .then(RunStuck(rule="lease_expired", detail="w1 holds the lease until 2026-01-31T13:00:00+00:00"), taken)
    )
    assert (run.status, run.lease.held.worker) == ("running", "w2")
    given(*RUNNING, claimed).when(lambda run: run.lease.claim("exec_2", "w2", LATER, NOON, take_over=True)).refused(
        "w1 holds the lease"
    )


@pytest.mark.parametrize(("before", "after"), [((created, claimed), "created"), ((*RUNNING, claimed, stuck), "running")])
def test_taking_over_a_run_that_did_not_run_calls_it_stuck_no_second_time(before: tuple[Event, ...], after: str) -> None:
    taken = RunClaimed(execution_id="exec_2", worker="w2", lease_expires_at=LATER)
    run = given(*before).when(lambda run: run.lease.claim("exec_2", "w2", LATER, LATE, take_over=True)).then(taken)
    assert run.status == after


def test_the_holder_gives_a_run_back() -> None:
    given(*RUNNING, claimed).when(lambda run: run.lease.release("exec_1", "shutting down")).then(
        RunReleased(execution_id="exec_1", reason="shutting down")
    )
    given(*RUNNING, claimed).when(lambda run: run.lease.release("exec_2")).refused("w1 holds the lease")
    given(*RUNNING, claimed, RunReleased(execution_id="exec_1")).when(lambda run: run.lease.release("exec_1")).then()
