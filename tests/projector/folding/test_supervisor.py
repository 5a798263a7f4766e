"""A fold that does not return holds up no other, is named, and keeps no worker from ending."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import psutil
import pytest
import structlog

from runfold import Ledger
from runfold.projector.folding import pause, shard, supervisor
from runfold.projector.folding.supervisor import Supervisor, place_of
from runfold.projector.status import ProjectionStatus
from runfold.settings import Settings, environment
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase
from tests.projector.conftest import Fill, Work
from tests.projector.folding.stuck import Slow
from tests.projector.soundness import Books
from tests.projector.toys import Tally
from tests.waiting import soon, until

pytestmark = pytest.mark.paired
_SOURCES = {name: f"tests.projector.folding.stuck:{name.capitalize()}" for name in ("endless", "locked", "crashing")}
_SOURCES["tally"] = "tests.projector.toys:Tally"
SECONDS = 120
"""For what takes a few, on a machine that others use as well."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ended is started again at once."""
    monkeypatch.setattr(pause, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervisor, "PAUSES", (0.01, 0.01, 0.01))


@pytest.fixture
def look_after(database: TestDatabase, settings: Settings) -> Callable[..., Supervisor]:
    """Makes supervisors of some projections in this test's database."""

    def make(*names: str, once: bool = False, seconds: float = 1.0) -> Supervisor:
        told = environment(settings.model_copy(update={"log_level": "error"}))
        return Supervisor(
            lambda: Datastore(database.projector_url), {name: _SOURCES[name] for name in names}, told, seconds, once=once
        )

    return make


def found(ledger: Ledger) -> dict[str, ProjectionStatus]:
    """The read models that there are, by name."""
    return {status.name: status for status in ledger.projections() if status.state != "not begun"}


def test_others_go_on_and_what_does_not_return_is_tried_again_and_then_stopped(
    ledger: Ledger, fill: Fill, look_after: Callable[..., Supervisor]
) -> None:
    head = fill(2)
    look_after("locked", "tally", once=True).run()
    tally, locked = found(ledger)["tally"], found(ledger)["locked"]
    assert (tally.position, tally.state) == (head, "up to date")
    assert (locked.state, locked.position, locked.error_position, locked.attempts) == ("stopped", 3, 4, 4)
    assert locked.error is not None
    assert "failed on the message.added at position 4: it did not return within 1 s (at stuck.py:" in locked.error
    assert locked.error.endswith("run `runfold projections retry locked`")


@pytest.mark.parametrize(
    ("name", "said"), [("endless", "did not return within 1 s"), ("crashing", "the process ended twice while it was folded")]
)
def test_a_worker_that_goes_on_says_so_while_it_tries(
    ledger: Ledger, fill: Fill, look_after: Callable[..., Supervisor], name: str, said: str
) -> None:
    fill(1)
    looking = look_after(name)
    thread = threading.Thread(target=looking.run)
    thread.start()
    try:
        until(lambda: name in found(ledger) and found(ledger)[name].error is not None, SECONDS)
    finally:
        looking.stop()
        thread.join(SECONDS)
    assert not thread.is_alive()
    status = found(ledger)[name]
    assert status.state in {"retrying", "stopped"}
    assert said in str(status.error)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_worker_ends_when_it_is_told_to_whatever_a_fold_does(
    ledger: Ledger, fill: Fill, database: TestDatabase, number: signal.Signals
) -> None:
    fill(1)
    told = environment(database.settings.model_copy(update={"fold_timeout": 900.0}))
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    command = [sys.executable, "-m", "runfold.cli.main", "work", "--projection", _SOURCES["locked"]]
    process = subprocess.Popen(command, env={**os.environ, **told, "PYTHONPATH": paths}, stderr=subprocess.DEVNULL)
    try:
        until(lambda: "locked" in found(ledger) and found(ledger)["locked"].position == 0, SECONDS)
        (folding,) = (child for child in psutil.Process(process.pid).children() if "--watched" in child.cmdline())
        until(lambda: folding.status() == psutil.STATUS_SLEEPING and folding.cpu_times().user > 0, SECONDS)
        process.send_signal(number)
        assert process.wait(SECONDS) in {0, 128 + number}
        assert soon(lambda: not folding.is_running())
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def cut_short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No page takes longer than a moment."""
    monkeypatch.setattr(shard, "FOLD_SECONDS", 0.05)
    return None


@pytest.mark.usefixtures("cut_short")
def test_one_that_is_slow_is_warned_about_with_its_rate_and_others_are_done_before_it(
    fill: Fill, work: Work, books: Books
) -> None:
    head = fill(12)
    worker = work({"slow": Slow(), "tally": Tally()})
    seen: list[dict[str, int | None]] = []
    with structlog.testing.capture_logs() as logs:
        worker.catch_up(lambda *_: seen.append({model.name: model.position for model in books.models()}))
    assert [books.model(name).position for name in ("slow", "tally")] == [head, head]
    assert any(each.get("tally") == head and (each.get("slow") or 0) < head for each in seen)
    (warning, *_) = [line for line in logs if line["event"] == "slow"]
    assert warning["read_model"] == "slow"
    assert 0 < warning["events_per_second"] < 51
    assert [books.faults(projection) for projection in (Slow(), Tally())] == [[], []]


def test_where_a_fold_is_is_the_line_of_its_own_module() -> None:
    trace = """Thread 0x1 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 324 in wait

Current thread 0x2 (most recent call first):
  File "/usr/lib/python3.11/re/__init__.py", line 166 in match
  File "/home/me/own.py", line 12 in words
  File "/home/me/own.py", line 30 in evolve
  File "/x/runfold/projector/checking/purity.py", line 58 in evolve
  File "/x/runfold/projections/fold.py", line 60 in fold
"""
    assert place_of(trace) == "own.py:12 in words"
    assert place_of("") == place_of(trace.partition("\n\n")[0]) == ""
