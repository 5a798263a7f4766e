"""A short, seeded selection of the fault drivers, through the same code as `make faults`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from faults.servers import OwnServer
from tests.faults.short import only

pytestmark = pytest.mark.paired

SCRIPT = Path(__file__).parents[2] / "scripts" / "faults" / "run.py"


@pytest.mark.fault("A1")
def test_killed_clients_lose_nothing_and_double_nothing(own_server: OwnServer):
    figures = only("A1", own_server)
    assert figures.measured["clients killed"] >= 3
    assert figures.acknowledged >= 1000


@pytest.mark.fault("A2")
def test_killed_backends_lose_nothing_and_appends_resume(own_server: OwnServer):
    figures = only("A2", own_server)
    assert figures.measured["kills"] >= 2


@pytest.mark.fault("A3")
def test_a_killed_server_loses_nothing_whoever_starts_it_again(own_server: OwnServer):
    figures = only("A3", own_server)
    assert figures.measured["kills embedded"] >= 1
    assert figures.measured["kills supervised"] >= 1


@pytest.mark.fault("B9")
def test_sealers_that_are_killed_with_the_server_under_them_leave_one_tree(own_server: OwnServer):
    figures = only("B9-1", own_server, events=50)
    assert figures.measured["sealers killed"] >= 1
    assert figures.measured["leaves"] >= figures.acknowledged


@pytest.mark.fault("C-1")
def test_of_many_writers_that_expect_one_version_exactly_one_wins(own_server: OwnServer):
    figures = only("C-1", own_server)
    assert figures.acknowledged == figures.measured["rounds"]
    assert figures.measured["writers"] >= 10


@pytest.mark.fault("C-2")
def test_tail_readers_are_given_everything_beside_conflicts_and_rollbacks(own_server: OwnServer):
    assert only("C-2", own_server).acknowledged >= 1000


@pytest.mark.fault("C-5")
def test_rolled_back_transactions_leave_no_hole(own_server: OwnServer):
    assert only("C-5", own_server, 600).stored > 0


@pytest.mark.fault("C-7")
def test_statements_given_up_and_broken_deadlocks_are_repeated_without_harm(own_server: OwnServer):
    assert only("C-7", own_server).measured["deadlocks"] == 1


@pytest.mark.fault("D1")
def test_a_lost_reply_to_a_commit_is_a_success(own_server: OwnServer):
    figures = only("D1", own_server)
    assert figures.measured["reply lost"] >= 1


@pytest.mark.fault("D4")
def test_a_reader_whose_connection_is_cut_misses_nothing(own_server: OwnServer):
    assert only("D4", own_server).measured["connections cut"] >= 4


@pytest.mark.fault("H-1")
def test_the_same_command_many_times_at_once_is_recorded_once(own_server: OwnServer):
    figures = only("H-1", own_server)
    assert figures.measured["answers"] == figures.measured["callers"] * figures.measured["commands"]


@pytest.mark.fault("H-2")
def test_of_two_contents_under_one_id_one_is_recorded(own_server: OwnServer):
    assert only("H-2", own_server).errors["DuplicateWithDifferentContent"] > 0


@pytest.mark.fault("A4")
def test_workers_that_die_at_any_point_leave_read_models_equal_to_the_fold(own_server: OwnServer):
    assert only("A4", own_server).measured["kills"] >= 7


@pytest.mark.fault("G4")
def test_workers_that_fight_sleep_and_die_apply_nothing_twice(own_server: OwnServer):
    figures = only("G4", own_server)
    assert figures.measured["kills"] + figures.measured["naps"] >= 3


@pytest.mark.fault("H9", "D4")
def test_workers_whose_sessions_are_ended_go_on_by_themselves(own_server: OwnServer):
    assert only("H9", own_server).measured["sessions ended"] >= 8


@pytest.mark.timeout(900)  # rebuilds, which give way to all that goes on beside them
@pytest.mark.fault("A5", "G5")
def test_readers_never_see_a_rebuild_that_is_killed(own_server: OwnServer):
    figures = only("A5", own_server)
    assert figures.measured["rebuilds killed"] >= 2
    assert figures.measured["reads"] >= 50


@pytest.mark.fault("G9")
def test_streams_over_servers_that_die_are_exactly_the_log(own_server: OwnServer):
    figures = only("SSE", own_server, 3000)
    assert (figures.measured["server stopped"], figures.measured["server killed"]) == (1, 1)
    assert figures.measured["connects"] > figures.measured["streams"]


@pytest.mark.fault("A10")
def test_unsafe_settings_are_refused(own_server: OwnServer):
    only("A10", own_server)


def call(own_server: OwnServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script, against a server that somebody gives it."""
    environment = {**os.environ, "RUNFOLD_DATABASE_URL": own_server.url}
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, env=environment, check=False)


def test_against_your_own_database_it_skips_what_it_may_not_do_and_says_why(own_server: OwnServer):
    done = call(own_server, "--short", "--rows", "A3,H-2,B1,C-3", "--seed", "7", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("seed 7\n")
    told = json.loads(done.stdout)
    assert told["seed"] == 7
    verdicts = {row["row"]: (row["verdict"], row["skipped_because"]) for row in told["rows"]}
    assert verdicts["H-2"] == ("ok", None)
    assert verdicts["A3"] == ("skipped", "it kills or restarts the server, and this one is yours")
    assert verdicts["B1"][0] == "skipped"
    assert verdicts["C-3"] == ("skipped", "it needs RUNFOLD_ADMIN_URL")


def test_it_says_what_each_row_does_and_refuses_rows_that_are_not():
    listed = subprocess.run([sys.executable, str(SCRIPT), "--list"], capture_output=True, text=True, check=True).stdout
    for row in (
        "A1",
        "A2",
        "A3",
        "A8",
        "A10",
        "B1",
        "B4",
        "C-1",
        "C-7",
        "D1",
        "D4",
        "E1",
        "H-1",
        "H-2",
        "A4",
        "G4",
        "H9",
        "E2",
        "A5",
        "SSE",
        "conflicts",
    ):
        assert re.search(rf"^{row} ", listed, re.MULTILINE)
    refused = subprocess.run([sys.executable, str(SCRIPT), "--rows", "Z9"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "there is no row Z9" in refused.stderr
