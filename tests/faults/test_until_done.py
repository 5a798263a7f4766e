"""Whoever is killed in a row is killed as often as is wanted, however short the row: writers go on until then."""

from collections.abc import Iterator

import pytest

from faults import stage as stages
from faults.clients import write
from faults.nats_server import program
from faults.servers import OwnServer
from faults.stage import Stage
from tests.faults.short import only

pytestmark = pytest.mark.paired


@pytest.fixture
def stage(own_server: OwnServer) -> Iterator[Stage]:
    made = Stage("until-done", own_server, 1, 20, short=True, token="test")
    yield made
    made.close()


@pytest.mark.parametrize("events", [0, 100_000])
def test_writers_that_end_before_all_was_done_to_them_are_a_failure(stage: Stage, events: int) -> None:
    stage.crew.start(write, stage.work("w", 5))
    while not stage.enough(1, 2, events):
        stage.pause(0.01, 0.05)
    (failure,) = stage.figures.failures
    assert failure.startswith("1 times of 2, with ")
    assert failure.endswith("no writer is left")


def test_faults_that_do_not_come_end_a_row_as_a_failure(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "PATIENCE", 0.5)
    stage.start_writers(1, modes=("single",), pause=0.1)
    while not stage.enough(1, 2):
        stage.pause(0.01, 0.05)
    stage.finish()
    (failure,) = stage.figures.failures
    assert failure.endswith("nothing more came within 0 s")
    assert stage.figures.acknowledged > 0


def test_writers_go_on_until_all_was_done_to_them(stage: Stage) -> None:
    stage.start_writers(1, modes=("single",))
    done = 0
    while not stage.enough(done, 3):
        stage.pause(0.2, 0.3)
        done += stage.server.head() > stage.after + stage.events
    assert stage.finish().failures == []
    assert stage.figures.acknowledged > stage.events


def test_relay_and_its_server_are_killed_as_often_as_is_wanted_though_there_are_few_events(own_server: OwnServer) -> None:
    if program() is None:
        pytest.skip("nats-server is not installed (Debian: apt-get install nats-server)")
    figures = only("relay", own_server, 100)
    assert (figures.measured["relay killed"], figures.measured["server killed"]) == (2, 2)
