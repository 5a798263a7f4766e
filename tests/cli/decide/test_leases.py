"""`runfold claim`, `renew` and `release`: one worker holds a run at a time, as in the SDK and over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest

from runfold import Ledger, Run
from tests.cli.conftest import Command


@pytest.fixture
def job(ledger: Ledger) -> Run:
    """A run that waits for a worker."""
    return ledger.create_thread(agent_id="support").create_run({"ticket": 43})


def expires(text: str) -> timedelta:
    """How far from now a time is."""
    return datetime.fromisoformat(text) - datetime.now(UTC)


def test_a_run_is_claimed_renewed_and_given_back(runfold: Command, job: Run, ledger: Ledger) -> None:
    claimed = runfold("claim", job.id, "--worker", "shop-1", "--for", "15m")
    execution = claimed.out.strip()
    assert claimed.code == 0
    assert execution.startswith("exec_")
    assert f"shop-1 holds {job.id} until 20" in claimed.err
    assert f"`runfold renew {job.id} {execution}` keeps it" in claimed.err
    assert job.view().worker == "shop-1"
    renewed = runfold("renew", job.id, execution, "--for", "2h")
    assert (renewed.code, renewed.out.partition(" until ")[0]) == (0, f"{job.id} is held")
    released = runfold("release", job.id, execution, "--comment", "not for this machine")
    assert (released.code, released.out) == (0, f"{job.id} is given back\n")
    assert job.view().worker is None
    *_, last = ledger.events(run_id=job.id)
    assert last.event.model_dump()["reason"] == "not for this machine"
    again = runfold("release", job.id, execution)
    assert (again.code, again.out) == (0, f"{job.id} was held by nobody; nothing was changed\n")


def test_the_answers_as_json_say_until_when(runfold: Command, job: Run, ledger: Ledger) -> None:
    claimed = runfold("claim", job.id, "--worker", "w", "--id", "exec_mine", "--json").json
    until = claimed.pop("lease_expires_at")
    assert claimed == {"run_id": job.id, "execution_id": "exec_mine", "worker": "w"}
    assert timedelta(minutes=4) < expires(until) <= timedelta(minutes=5)
    renewed = runfold("renew", job.id, "exec_mine", "--for", "1d", "--json").json
    assert {**renewed, "lease_expires_at": None} == {"run_id": job.id, "execution_id": "exec_mine", "lease_expires_at": None}
    assert timedelta(hours=23) < expires(renewed["lease_expires_at"]) <= timedelta(days=1)
    assert runfold("claim", job.id, "--worker", "w", "--id", "exec_mine", "--json").json["execution_id"] == "exec_mine"
    assert [each.type for each in ledger.events(run_id=job.id)] == ["run.created", "run.claimed", *["run.lease_renewed"] * 2]
    said = [runfold("release", job.id, "exec_mine", "--json").json for _ in range(2)]
    assert [each["released"] for each in said] == [True, False]


def test_without_a_name_the_worker_is_this_machine(runfold: Command, job: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    assert runfold("claim", job.id, "--json").json["worker"] == "laptop"


def test_what_another_holds_is_refused_with_who_and_until_when(runfold: Command, job: Run) -> None:
    held = runfold("claim", job.id, "--worker", "shop-1", "--json").json
    for arguments in (("claim", job.id), ("claim", job.id, "--take-over")):
        answer = runfold(*arguments, "--worker", "shop-2")
        assert (answer.code, answer.out, len(answer.err.splitlines())) == (1, "", 1)
        assert f"shop-1 holds the lease until {held['lease_expires_at']}" in answer.err
    for command in ("renew", "release"):
        answer = runfold(command, job.id, "exec_other")
        assert (answer.code, "shop-1 holds the lease, not execution exec_other" in answer.err) == (1, True)
    assert job.view().worker == "shop-1"


def test_a_lease_that_has_expired_is_taken_over_only_where_that_is_said(runfold: Command, job: Run) -> None:
    lost = runfold("claim", job.id, "--worker", "shop-1", "--for", "1ms").out.strip()
    refused = runfold("claim", job.id, "--worker", "shop-2")
    assert (refused.code, "which has passed" in refused.err, "--take-over" in refused.err) == (1, True, True)
    assert runfold("claim", job.id, "--worker", "shop-2", "--take-over").code == 0
    assert job.view().worker == "shop-2"
    late = runfold("renew", job.id, lost)
    assert (late.code, f"shop-2 holds the lease, not execution {lost}" in late.err) == (1, True)


def test_a_worker_that_is_to_stop_hears_of_it_when_it_renews(runfold: Command, job: Run) -> None:
    execution = runfold("claim", job.id, "--for", "1m").out.strip()
    job.request_cancellation("the customer left")
    answer = runfold("renew", job.id, execution, "--json")
    assert (answer.code, answer.error["type"]) == (1, "CancellationRequested")
    assert runfold("release", job.id, execution).code == 0


def test_a_run_that_is_none_and_a_duration_that_is_none_are_refused(runfold: Command, job: Run) -> None:
    for command in (["claim"], ["renew", "exec_1"], ["release", "exec_1"]):
        answer = runfold(command[0], "run_nowhere", *command[1:])
        assert (answer.code, "run_nowhere" in answer.err) == (3, True)
    for command in (["claim", job.id], ["renew", job.id, "exec_1"]):
        answer = runfold(*command, "--for", "a while")
        assert (answer.code, answer.err.startswith("runfold: --for: ")) == (2, True)
    job.start()
    job.complete()
    assert runfold("claim", job.id).code == 1
