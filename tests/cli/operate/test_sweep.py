"""`runfold sweep`, `reactors`, `cancel`, and what `runfold work` does beside folding."""

import json
import signal
from pathlib import Path

import psycopg
import pytest

from runfold import Ledger
from tests.cli.conftest import Command, Process
from tests.databases import TestDatabase
from tests.waiting import until

IDLE_NOW = json.dumps({"idle_after": "1ms", "runs": "live"})


def test_what_is_due_is_listed_and_done_once(runfold: Command, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_SWEEP", IDLE_NOW)
    run = ledger.create_thread(agent_id="a").start_run()
    asking = ledger.create_thread(agent_id="a").start_run()
    approval = asking.request_approval("refund", expires_in="1ms")
    assert runfold("reactors").out.startswith("nobody has carried out yet what happens by itself")
    due = runfold("sweep", "--dry-run", "--json").json["due"]
    assert [(each["does"], each["subject"]) for each in due] == [("approvals_expired", approval.id), ("runs_idle", run.id)]
    listed = runfold("sweep", "--dry-run").out.splitlines()
    assert (approval.id in listed[0], listed[-1]) == (True, "2 things due; nothing was changed")
    assert ledger.now.approval(approval.id).status == "open"
    done = runfold("sweep").out.splitlines()
    assert done[0].split() == ["approvals", "expired", "1"]
    assert runfold("sweep", "--json").json == {
        "done": {"approvals_expired": 0, "leases_lost": 0, "runs_idle": 1, "runs_repeating": 0, "runs_failed": 0},
        "left_to_workers": [],
    }, "the run that had waited for the approval goes on, and falls silent"
    assert runfold("sweep", "--json").json["done"]["runs_idle"] == 0
    by_name = {each["name"]: each for each in runfold("reactors", "--json").json["items"]}
    assert (by_name["sweeper.approvals"]["done"], by_name["sweeper.idle"]["done"]) == ({"approvals_expired": 1}, {"runs_idle": 2})
    assert "1 approvals expired" in runfold("reactors").out


def test_a_policy_that_is_none_is_refused(runfold: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for policy, said in (
        ("{", "no JSON"),
        ("nowhere.json", "neither a JSON object"),
        ('{"idle": 1}', "RUNFOLD_SWEEP.idle is not known; set"),
    ):
        monkeypatch.setenv("RUNFOLD_SWEEP", policy)
        refused = runfold("sweep")
        assert (refused.code, said in refused.err) == (2, True), refused.err


def test_many_runs_are_cancelled_by_name_or_by_what_they_are_of(runfold: Command, ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="a")
    first, second = thread.start_run(), thread.start_run()
    second.claim("w1")
    asked = runfold("cancel", first.id, "run_nowhere", "--dry-run")
    expected = [f"{first.id}  cancelled", "run_nowhere  not found", "2 runs; nothing was changed"]
    assert (asked.out.splitlines(), asked.code) == (expected, 3)
    assert runfold("cancel", first.id, "--dry-run").code == 0
    assert runfold("cancel", "run_nowhere", "--json").code == 3
    found = runfold("cancel", "--agent", "a", "--comment", "the customer left", "--wait", "0s", "--json").json
    assert [(each["run_id"], each["outcome"]) for each in found["items"]] == [(first.id, "cancelled"), (second.id, "cancelling")]
    assert runfold("cancel", "--thread", thread.id, "--force").out.splitlines() == [f"{second.id}  cancelled", "1 run"]
    assert runfold("cancel", "--thread", thread.id).out == "0 runs\n"
    assert runfold("cancel").code == 2


def pids_of(ledger: Ledger) -> set[int]:
    """The processes that carry out what happens by itself."""
    return {int(each.worker.split(":")[-2]) for each in ledger.reactors() if each.worker}


def test_a_worker_does_what_is_due_beside_folding_and_ends_with_it(
    started: Process, ledger: Ledger, database: TestDatabase
) -> None:
    worker = started(["work"])
    try:
        run = ledger.create_thread(agent_id="a").start_run()
        approval = run.request_approval("refund", expires_in="1ms")
        until(lambda: ledger.now.approval(approval.id).status == "expired", seconds=120)
        (expired,) = ledger.events(types="approval.expired")
        assert str(expired.metadata.actor) == "system:sweeper"
        until(lambda: any(each.done for each in ledger.reactors() if each.state == "running"))
        until(lambda: len(pids_of(ledger)) == 2)  # the sealer has a process of its own
        pids = pids_of(ledger)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    assert {each.state for each in ledger.reactors()} == {"not running"}, "it gave them back"
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM runfold.reactors WHERE worker IS NOT NULL").fetchone() == (0,)
