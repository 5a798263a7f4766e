"""Many runs are cancelled at once, each by itself, here and over HTTP alike; a worker that holds one is asked to stop."""

from collections.abc import Iterator

import httpx2
import pytest

from runfold import CancellationRequested, Ledger, RemoteLedger, Run
from runfold.errors import InvalidEvent, UsageError
from runfold.handles.ledgers.cancelling import RunChoice


@pytest.fixture(params=["here", "over HTTP"])
def anywhere(request: pytest.FixtureRequest, ledger: Ledger) -> Iterator[Ledger | RemoteLedger]:
    """The ledger, opened or connected to."""
    if request.param == "here":
        yield ledger
        return
    with Ledger.connect(request.getfixturevalue("address"), "rf_any") as remote:
        yield remote


def held(ledger: Ledger) -> Run:
    """A run that a worker holds."""
    run = ledger.create_thread(agent_id="held").start_run()
    run.claim("w1", execution_id="exec_1")
    return run


@pytest.mark.row("LT-100", "LT-102", "HV-82")
def test_each_run_has_its_own_answer(ledger: Ledger, anywhere: Ledger | RemoteLedger) -> None:
    free, taken, over = (
        ledger.create_thread(agent_id="a").start_run(),
        held(ledger),
        ledger.create_thread(agent_id="a").start_run(),
    )
    over.complete()
    names = [free.id, taken.id, over.id, "run_nowhere", free.id]
    planned = anywhere.cancel_runs(names, dry_run=True)
    assert [(each.run_id, each.outcome) for each in planned] == [
        (free.id, "cancelled"),
        (taken.id, "cancelling"),
        (over.id, "ended"),
        ("run_nowhere", "not_found"),
    ]
    assert ledger.now.run(free.id).status == "running"
    done = anywhere.cancel_runs(names, reason="the customer left", wait="0s")
    assert [each.outcome for each in done] == ["cancelled", "cancelling", "ended", "not_found"]
    assert [each.outcome for each in anywhere.cancel_runs(names, wait="0s")] == ["cancelled", "cancelling", "ended", "not_found"]
    with pytest.raises(CancellationRequested):
        taken.renew("exec_1")
    taken.cancel()
    assert [each.outcome for each in anywhere.cancel_runs([taken.id])] == ["cancelled"]
    (cancelled,) = ledger.events(run_id=free.id, types="run.cancelled")
    assert cancelled.event.model_dump()["reason"] == "the customer left"


@pytest.mark.row("LT-100", "LT-101", "LT-104")
def test_runs_are_found_by_what_they_are_of(ledger: Ledger, anywhere: Ledger | RemoteLedger) -> None:
    thread = ledger.create_thread(agent_id="a")
    runs = [thread.start_run() for _ in range(3)]
    approval = runs[0].request_approval("refund")
    runs[1].complete()
    other = ledger.create_thread(agent_id="a").start_run()
    ledger.fold("run_summaries")
    done = anywhere.cancel_runs(thread_id=thread.id)
    assert [(each.run_id, each.outcome) for each in done] == [(runs[0].id, "cancelled"), (runs[2].id, "cancelled")]
    assert (ledger.now.run(other.id).status, ledger.now.approval(approval.id).status) == ("running", "withdrawn")
    for asked in ({}, {"run_ids": ["run_a"], "thread_id": "thread_a"}, {"run_ids": ["run_a", "run_b"], "limit": 1}):
        with pytest.raises(UsageError):
            anywhere.cancel_runs(**asked)  # type: ignore[arg-type]  # some of what it takes


def test_a_list_of_nobody_never_means_everybody(ledger: Ledger, anywhere: Ledger | RemoteLedger) -> None:
    """What a program found nobody for, or left unset, would else cancel whatever is at work."""
    run = ledger.create_thread(agent_id="a").start_run()
    ledger.fold("run_summaries")
    for name in RunChoice.__annotations__:
        for nobody in ([], (), None):
            with pytest.raises(UsageError):
                anywhere.cancel_runs(**{name: nobody})  # type: ignore[arg-type]  # it is one of the filters
        with pytest.raises(UsageError, match=f"{name} is empty"):
            anywhere.cancel_runs(**{"agent_id": "a", "thread_id": "thread_a", name: []})  # type: ignore[arg-type]
    assert anywhere.cancel_runs([]) == []
    assert ledger.now.run(run.id).status == "running"
    assert [each.run_id for each in anywhere.cancel_runs(agent_id="a", user_id=None)] == [run.id]


def test_force_asks_nobody(ledger: Ledger, anywhere: Ledger | RemoteLedger) -> None:
    taken = held(ledger)
    assert [each.outcome for each in anywhere.cancel_runs([taken.id], force=True)] == ["cancelled"]
    assert ledger.now.run(taken.id).status == "cancelled"


def test_a_time_to_wait_that_is_none_is_refused_before_anything_is_cancelled(
    ledger: Ledger, anywhere: Ledger | RemoteLedger
) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    for dry_run in (True, False):
        with pytest.raises(InvalidEvent, match="is not a duration"):
            anywhere.cancel_runs([run.id], wait="a while", dry_run=dry_run)
    assert ledger.now.run(run.id).status == "running"


def test_the_same_request_under_a_key_has_the_same_answer(ledger: Ledger, client: httpx2.Client) -> None:
    free, taken = ledger.create_thread(agent_id="a").start_run(), held(ledger)
    asked = {"json": {"run_ids": [free.id, taken.id]}, "headers": {"Idempotency-Key": "once"}}
    first = client.post("/runs/cancel", **asked)
    position = ledger.position()
    assert (first.status_code, client.post("/runs/cancel", **asked).json()) == (200, first.json())
    assert ledger.position() == position
