"""Workers share the read models: each is folded by one, and by another when that one leaves, dies or sleeps too long."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from runfold.projector import checkpoints, worker
from runfold.projector.checkpoints import Claim, ClaimsLost, Peer
from runfold.projector.connection import connect
from runfold.projector.folding import team
from runfold.projector.folding.page import Pages
from runfold.projector.worker import Worker
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase
from tests.projector import driver
from tests.projector.conftest import Fill, Work, running
from tests.projector.division import MANY, holders, is_divided
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import TOYS, Tally, Tools
from tests.waiting import until

WAITING = "SELECT query FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"


def beat(worker: Worker) -> None:
    """Say that it lives, and look around, now."""
    worker._team.look_again()
    worker._team.beat_if_due(worker._connection)


def beat_of(books: Books, worker: Worker) -> int:
    return next(each.beat for each in checkpoints.peers(books.connection) if each.worker == worker._team.name)


def beat_by(books: Books, process: "subprocess.Popen[str]") -> int:
    return next(each.beat for each in checkpoints.peers(books.connection) if each.pid == process.pid)


def peer(name: str, names: list[str]) -> Peer:
    return Peer(name, 1, "host", 1, names, started_at=None)  # type: ignore[arg-type]  # nobody looks at it


@contextmanager
def process(url: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A worker in a process of its own, that is gone at the end."""
    started = driver.started(url, *arguments)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGCONT)
        started.kill()
        started.communicate()


def test_the_division_is_the_same_for_all_and_moves_only_what_it_must() -> None:
    names = [f"model_{number}" for number in range(200)]
    workers = [peer(f"worker_{number}", names) for number in range(4)]
    before = {name: checkpoints.assigned(name, workers) for name in names}
    assert before == {name: checkpoints.assigned(name, reversed(workers)) for name in names}
    assert all(25 < count < 75 for count in Counter(before.values()).values()), "about equal shares"
    after = {name: checkpoints.assigned(name, workers[1:]) for name in names}
    assert {name for name in names if before[name] != after[name]} == {name for name in names if before[name] == "worker_0"}
    assert checkpoints.assigned("unknown", workers) is None


@pytest.mark.fault("G4")
@pytest.mark.parametrize("count", [2, 3])
def test_workers_share_the_read_models_and_each_is_folded_by_one_at_a_time(
    database: TestDatabase, fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    applied: list[tuple[str, int, int]] = []

    def acknowledge(connection: Any, of: Any, after: int, up_to: int) -> None:
        honest(connection, of, after, up_to)
        applied.extend((each.claim.name, after, up_to) for each in of)

    honest = checkpoints.acknowledge
    monkeypatch.setattr(checkpoints, "acknowledge", acknowledge)
    fill()
    with running(*(work(MANY, 5.0) for _ in range(count))):
        until(lambda: len(checkpoints.peers(books.connection)) == count and is_divided(books))
        for _ in range(10):
            fill(1)
        until(lambda: {model.position for model in books.models()} == {books.head()})
    require_sound(database.projector_url, MANY.values())
    for name in MANY:
        pages = sorted((after, up_to) for read_model, after, up_to in applied if read_model == name)
        assert [after for after, _ in pages[1:]] == [up_to for _, up_to in pages[:-1]], "pages join, and none is there twice"


def test_a_worker_that_leaves_gives_back_at_once(fill: Fill, work: Work, books: Books) -> None:
    fill()
    staying, leaving = work(MANY, 3600.0), work(MANY, 3600.0)
    with running(staying):
        with running(leaving):
            until(lambda: len(checkpoints.peers(books.connection)) == 2 and is_divided(books))
        assert leaving._team.name not in holders(books).values()
        until(lambda: set(holders(books).values()) == {staying._team.name})  # and not after an hour


def test_a_worker_that_comes_gets_its_share(fill: Fill, work: Work, books: Books) -> None:
    fill()
    first, second = work(MANY, 3600.0), work(MANY, 3600.0)
    first._team.name, second._team.name = "first", "second"  # names by chance leave one of them without any now and then
    with running(first):
        until(lambda: set(holders(books).values()) == {first._team.name})
        with running(second):
            until(lambda: set(holders(books).values()) == {first._team.name, second._team.name})


@pytest.mark.fault("G4")
def test_a_killed_worker_of_this_machine_is_taken_over_from_at_once(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    fill()
    with process(database.projector_url) as killed:
        until(lambda: {model.position for model in books.models()} == {books.head()})
        held = {name for name, holder in holders(books).items() if holder and f":{killed.pid}:" in holder}
        assert held == TOYS.keys()
        killed.kill()
        killed.wait()
        head = fill()
        taking_over = work(take_over_seconds=3600.0)
        beat(taking_over)
        assert set(holders(books).values()) == {taking_over._team.name}
        taking_over.catch_up()
    require_sound(database.projector_url, TOYS.values(), head)


@pytest.mark.fault("G4")
def test_a_killed_worker_of_another_machine_is_taken_over_from_when_its_beat_stands_still(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    fill()
    with process(database.projector_url, "--host", "elsewhere", "--take-over", "3600") as killed:
        until(lambda: {model.position for model in books.models()} == {books.head()})
        watching, began = work(take_over_seconds=0.6), time.monotonic()
        while time.monotonic() - began < 1.0:
            beat(watching)
            assert len(checkpoints.peers(books.connection)) == 2, "while it lives it is left alone"
            seen = beat_by(books, killed)
            until(lambda: beat_by(books, killed) > seen)  # noqa: B023
        killed.kill()
        head = fill()
        with running(watching):
            until(lambda: {model.position for model in books.models()} == {head})
            assert set(holders(books).values()) == {watching._team.name}
    require_sound(database.projector_url, TOYS.values(), head)


@pytest.mark.fault("G4")
def test_a_worker_that_slept_through_a_take_over_writes_nothing_when_it_wakes(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    fill()
    with process(database.projector_url, "--host", "elsewhere") as sleeper:
        until(lambda: {model.position for model in books.models()} == {books.head()})
        sleeper.send_signal(signal.SIGSTOP)
        fill()
        with running(awake := work(take_over_seconds=0.5)):
            until(lambda: {model.position for model in books.models()} == {books.head()})
            assert set(holders(books).values()) == {awake._team.name}
            sleeper.send_signal(signal.SIGCONT)
            until(lambda: len(checkpoints.peers(books.connection)) == 2 and is_divided(books, TOYS))
            for _ in range(5):
                fill(1)
            until(lambda: is_divided(books, TOYS))
    require_sound(database.projector_url, TOYS.values())


@pytest.mark.fault("G3", "G4")
def test_a_write_under_an_old_claim_is_refused_whole(
    database: TestDatabase, fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading a page and writing it a worker sleeps, and another takes over and goes on."""
    head = fill()
    sleeper = work({"tally": Tally(), "tools": Tools()})
    sleeper._team.beat_if_due(sleeper._connection)
    honest, names = Pages.read, {"tally"}

    def read(*arguments: Any) -> Any:
        page = honest(*arguments)
        for name in names:
            books.connection.execute("UPDATE runfold.checkpoints SET token = token + 1, worker = 'b' WHERE name = %s", [name])
        names.clear()
        return page

    monkeypatch.setattr(Pages, "read", read)
    sleeper._step()
    assert {name for name, _ in sleeper._team.shards} == {"tools"}
    assert [model.position for model in books.models()] == [0, 0], "what stood in one transaction fell with it"
    assert books.rows(Tally()) == {}
    sleeper._step()
    assert [model.position for model in books.models()] == [0, head]
    sleeper.close()
    assert holders(books) == {"tally": "b", "tools": None}, "only what is its own is given back"
    work({"tally": Tally(), "tools": Tools()}).catch_up()
    require_sound(database.projector_url, [Tally(), Tools()])


def test_who_has_lost_a_claim_has_nothing_to_say_of_it(fill: Fill, work: Work, books: Books) -> None:
    fill()
    late = work({"tally": Tally()})
    late._team.beat_if_due(late._connection)
    (shard,) = late._team.shards.values()
    books.connection.execute("UPDATE runfold.checkpoints SET token = token + 1, worker = 'b'")
    late._stop(shard, worker.ProjectionStopped("tally", "is odd", "mend it"))
    assert (books.model("tally").trouble, books.model("tally").worker) == (None, "b")
    with pytest.raises(ClaimsLost):
        checkpoints.advance(books.connection, [shard.claim], 0, 5, shard.claim.epoch)
    assert isinstance(shard.claim, Claim)


def test_who_wakes_from_a_sleep_does_not_take_the_others_for_dead(fill: Fill, work: Work, books: Books) -> None:
    """By its own watch all beats stood still, because it did not look."""
    fill()
    sleeper, awake = work(take_over_seconds=0.4), work(take_over_seconds=3600.0)
    beat(awake)
    beat(sleeper)
    for _ in range(8):
        time.sleep(0.1)
        beat(awake)
    for _ in range(5):
        beat(sleeper)
        beat(awake)
    assert beat_of(books, awake) == 1 + 8 + 5, "its row was never struck off and made anew"


def test_a_checkpoint_that_somebody_holds_for_long_holds_up_no_other(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    """As a worker does that was stopped in the middle of a transaction."""
    fill()
    first = work()
    first.catch_up()
    first.close()
    with psycopg.connect(database.projector_url) as stopped, running(work()):
        stopped.execute("UPDATE runfold.checkpoints SET moved_at = now() WHERE name = 'tally'")
        until(lambda: all(holder for name, holder in holders(books).items() if name != "tally"))
        head = fill()

        def others_have_come_to_the_head() -> bool:
            assert stopped.execute(WAITING).fetchall() == [], "nobody waits for it"
            return {model.name for model in books.models() if model.position == head} == TOYS.keys() - {"tally"}

        until(others_have_come_to_the_head)
        stopped.rollback()
        until(lambda: books.model("tally").position == head)
    require_sound(database.projector_url, TOYS.values())


# Who is alive


@pytest.mark.parametrize(
    ("host", "pid", "gone"),
    [("here", os.getpid(), False), ("here", 2**22 + 1, True), ("elsewhere", 2**22 + 1, False), ("here", 1, False)],
    ids=["alive", "ended", "of another machine", "of another user"],
)
def test_a_process_of_this_machine_that_has_ended_is_known_to_be_gone(
    monkeypatch: pytest.MonkeyPatch, host: str, pid: int, gone: bool
) -> None:
    monkeypatch.setattr(team, "_host", lambda: "here")
    assert team._is_gone(Peer("w", 1, host, pid, [], started_at=None)) is gone  # type: ignore[arg-type]


def test_a_worker_that_was_struck_off_by_mistake_is_back_with_its_next_beat(fill: Fill, work: Work, books: Books) -> None:
    fill()
    with running(alive := work(MANY)):
        until(lambda: set(holders(books).values()) == {alive._team.name} and len(holders(books)) == len(MANY))
        checkpoints.remove_worker(books.connection, alive._team.name)
        until(lambda: [each.worker for each in checkpoints.peers(books.connection)] == [alive._team.name])
        head = fill()
        until(lambda: {model.position for model in books.models()} == {head})


def test_a_worker_is_struck_off_only_as_it_was_seen(database: TestDatabase, books: Books) -> None:
    with connect(Datastore(database.projector_url)) as connection:
        for _ in range(3):
            checkpoints.beat(connection, "w", "host", 1, [])
        checkpoints.remove_worker(connection, "w", 2)
        assert [(each.worker, each.beat) for each in checkpoints.peers(connection)] == [("w", 3)]
        checkpoints.remove_worker(connection, "w", 3)
        assert checkpoints.peers(connection) == []


def test_only_who_saw_the_present_holder_can_claim(fill: Fill, work: Work, books: Books) -> None:
    fill()
    first = work({"tally": Tally()})
    first.catch_up()
    first.close()
    seen = books.model("tally")
    assert checkpoints.claim(books.connection, seen, "one") is not None
    assert checkpoints.claim(books.connection, seen, "two") is None
    again = checkpoints.claim(books.connection, books.model("tally"), "two")
    assert again is not None
    assert again.token == (seen.token or 0) + 2


def test_worker_names_are_never_the_same(database: TestDatabase) -> None:
    made = [Worker(Datastore(database.projector_url), TOYS) for _ in range(50)]
    assert len({each._team.name for each in made}) == 50
