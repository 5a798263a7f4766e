"""Ledgers with tool calls in them, and workers that fold the toys."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from runfold import Ledger
from runfold.projections.projection import AnyProjection
from runfold.projector.folding import shard, team
from runfold.projector.rebuilding.rebuild import Rebuild, Rebuilt
from runfold.projector.worker import Worker
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase
from tests.projector.soundness import Books
from tests.projector.toys import TOYS

Fill = Callable[..., int]
Work = Callable[..., Worker]
Rebuilding = Callable[..., list[Rebuilt]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers beat and try again ten times as often."""
    monkeypatch.setattr(team, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(shard, "PAUSES", (0.01, 0.05, 0.2))


@pytest.fixture
def fill(ledger: Ledger) -> Fill:
    """Appends runs with a message and some tool calls each, all but the last answered; returns the head."""

    def append(runs: int = 3, calls: int = 4, *, complete: bool = False) -> int:
        with ledger.batch() as batch:
            for number in range(runs):
                run = batch.create_thread(agent_id=f"agent-{number % 2}").start_run()
                run.add_message("user", "Where is my order?")
                asked = [run.call_tool(f"tool_{index % 3}", {"order": index}) for index in range(calls)]
                for call in asked[:-1]:
                    call.succeed("sent")
                if complete:
                    asked[-1].fail("no such order")
                    run.complete()
        return ledger.position()

    return append


@pytest.fixture
def work(database: TestDatabase) -> Iterator[Work]:
    """Makes workers on this test's database; the toys' unless others are given."""
    made: list[Worker] = []

    def make(projections: Mapping[str, AnyProjection] | None = None, take_over_seconds: float = 0.5) -> Worker:
        worker = Worker(Datastore(database.projector_url), projections or TOYS, take_over_seconds=take_over_seconds)
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.close()


@pytest.fixture
def books(database: TestDatabase) -> Iterator[Books]:
    """This test's read models."""
    with Books(database.projector_url) as opened:
        yield opened


@pytest.fixture
def rebuild(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Rebuilding:
    """Rebuilds toys, or other projections, on this test's database."""
    waits = Worker.__init__.__kwdefaults__
    assert waits is not None
    monkeypatch.setitem(waits, "take_over_seconds", 0.5)  # as the workers of `work` do

    def run(*projections: AnyProjection, **asked: Any) -> list[Rebuilt]:
        given = {each.name: each for each in projections} or TOYS
        return Rebuild(Datastore(database.projector_url), given, **{"processes": 1, **asked}).run()

    return run


@contextlib.contextmanager
def running(*workers: Worker) -> Iterator[None]:
    """Workers at work, each in a thread of its own, until the block ends."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def run(worker: Worker) -> None:
        try:
            worker.run(stop)
        except BaseException as error:  # shown below
            failures.append(error)

    threads = [threading.Thread(target=run, args=[worker]) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
