"""A rebuild may die anywhere, be refused, stand in somebody's way, or fail: the table in use serves."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from runfold import Ledger
from runfold.errors import ProjectionStopped, RebuildRefused
from runfold.failpoint import REBUILD_POINTS
from runfold.projections.registry import chosen
from runfold.projector.connection import connect
from runfold.projector.tables import generations
from runfold.projector.worker import Worker
from runfold.queries.sources.read_models import ReadModels
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase
from tests.projector.conftest import Fill, Rebuilding, Work, running
from tests.projector.rebuilding.rebuilds import (
    BY_THREAD,
    ImpossibleTally,
    PoisonedTally,
    WatchfulTally,
    dying,
    leftovers,
    shards,
)
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import TOYS, OpenCalls, SecondTally, Tally, Tools
from tests.waiting import until

IN_SHORT = {"shard filled", "compared", "generation switched"}
IN_A_CHILD = {"shard taken", "shard filled", "shard stored"}


@pytest.mark.fault("A5")
@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, marks=[] if point in IN_SHORT else [pytest.mark.long])
        for point in [*REBUILD_POINTS, "page stored", "generation switched"]
    ],
)
def test_a_rebuild_killed_at_any_point_leaves_the_table_in_use_and_the_next_one_goes_on_from_there(
    rebuild: Rebuilding, fill: Fill, work: Work, books: Books, point: str
) -> None:
    fill(7)
    work({"tally": Tally(), "open_calls": OpenCalls()}).catch_up()
    fill(1)
    times = 2 if point in IN_A_CHILD else 1
    code, said = dying(books.url, f"{point}:{times}", *BY_THREAD)
    if point in IN_A_CHILD:
        assert code == 0, "only the child died"
        assert said.startswith("LedgerUnavailable: a worker process of the rebuild exited with -9")
        assert said.endswith("repeat the command: it continues where it stopped")
        done = 2 if point == "shard stored" else 1
        assert shards(books) == {shard: (shard < done, int(shard < 2)) for shard in range(4)}
        code, said = dying(books.url, "shards filled", *BY_THREAD)
        again = {1: 1 if point == "shard stored" else 2}
        assert shards(books) == {shard: (True, again.get(shard, 1)) for shard in range(4)}, "what was done is not done again"
    assert code == -9, said
    assert [books.faults(toy) for toy in (Tally(), OpenCalls())] == [[], []], "what readers see is whole"
    fill(1)
    found = rebuild(Tally(), OpenCalls())
    assert {each.generation for each in found} == {3 if point == "generation switched" else 2}, "it went on"
    require_sound(books.url, [Tally(), OpenCalls()])
    assert leftovers(books) == []


@pytest.mark.fault("A5")
def test_a_killed_rebuild_that_is_never_given_again_holds_up_no_worker(
    fill: Fill, work: Work, books: Books, rebuild: Rebuilding
) -> None:
    fill(3)
    older = work({"tally": Tally()})
    older.catch_up()
    older.close()
    assert dying(books.url, "job planned", "tests.projector.toys:SecondTally")[0] == -9
    fill(1)
    work({"tally": SecondTally()}).catch_up()
    require_sound(books.url, [SecondTally()])
    rebuild(SecondTally())
    require_sound(books.url, [SecondTally()])
    assert leftovers(books) == []


@pytest.mark.fault("A5")
def test_a_rebuild_is_not_gone_on_with_in_another_log(
    rebuild: Rebuilding, fill: Fill, database: TestDatabase, books: Books
) -> None:
    fill(8)
    rebuild(Tally())
    assert dying(books.url, "shard stored:2", BY_THREAD[0])[1].startswith("LedgerUnavailable")
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("UPDATE runfold.head SET epoch = gen_random_uuid()")
    (found,) = rebuild(Tally())
    assert found.generation == 3, "neither the first nor the half-done one"
    require_sound(books.url, [Tally()])
    assert leftovers(books) == []


def test_of_two_rebuilds_at_once_the_second_is_refused_and_so_is_rolling_back(
    rebuild: Rebuilding, fill: Fill, books: Books, ledger: Ledger
) -> None:
    fill(4)
    rebuild(Tally())
    rebuild(Tally())
    refused: list[str] = []

    def meanwhile(stage: str, done: int, total: int) -> None:
        if stage == "folding" and not refused:
            for other in (lambda: rebuild(OpenCalls(), Tally()), lambda: ledger.roll_back(BY_THREAD[0])):
                with pytest.raises(RebuildRefused) as error:
                    other()
                refused.append(str(error.value))
            rebuild(Tools())

    rebuild(Tally(), told=meanwhile)
    assert refused == [
        "tally is already being rebuilt; wait for it to finish (`runfold projections` shows it)",
        "tally is being rebuilt; wait for it or stop it, then repeat the command",
    ]
    require_sound(books.url, [Tally(), Tools()])
    assert leftovers(books) == []


@contextmanager
def reading(url: str) -> Iterator[list[int]]:
    """A reader who looks all the time: positions never go back, and every answer is whole as of its position."""
    positions: list[int] = []
    faults: list[str] = []
    stop = threading.Event()
    models = ReadModels(Datastore(url), "default")
    query = (
        "SELECT (SELECT count(*) FROM {tally}), (SELECT coalesce(sum(calls), 0) FROM {tally}), count(*) FILTER (WHERE topic ="
        " 'run.created'), count(*) FILTER (WHERE topic = 'tool.called') FROM runfold.log WHERE notification_id <= %b"
    )

    def look() -> None:
        try:
            while not stop.is_set():
                with models.reading("tally") as snapshot:
                    (runs, calls, created, called), position = (
                        snapshot.query(query, [snapshot.standing.position])[0],
                        snapshot.standing.position,
                    )
                if (runs, calls) != (created, called):
                    faults.append(f"at {position}: {runs} rows with {calls} calls, not {created} with {called}")
                if positions and position < positions[-1]:
                    faults.append(f"from {positions[-1]} back to {position}")
                positions.append(position)
        except Exception as error:  # shown below
            faults.append(repr(error))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield positions
    finally:
        stop.set()
        thread.join()
    assert faults[:5] == []


@pytest.mark.paired
@pytest.mark.timeout(900)
@pytest.mark.fault("A5", "G5")
def test_while_workers_fold_and_others_append_a_rebuild_shows_nothing_half_done_and_nothing_goes_back(
    database: TestDatabase, rebuild: Rebuilding, fill: Fill, work: Work, books: Books
) -> None:
    fill(30)
    work().catch_up()
    stop = threading.Event()

    def append() -> None:
        while not stop.wait(0.1):  # else a rebuild, which gives way, has ever more to do where the machine is slow
            fill(1, complete=True)

    appending = threading.Thread(target=append)
    with running(work()), reading(database.url) as positions:
        appending.start()
        try:
            for number in range(3):
                before = books.head()
                found = rebuild(Tally(), OpenCalls())
                assert [each.compared.different for each in found if each.compared] == [0, 0]
                assert all(each.switched and each.position >= before for each in found)
                assert books.model("tally").generation == number + 2
                until(lambda: len(set(positions)) > number + 1)  # noqa: B023  # it moved on meanwhile
            assert dying(books.url, "shard filled", *BY_THREAD)[1].startswith("LedgerUnavailable")
        finally:
            stop.set()
            appending.join()
    assert len(set(positions)) > 3, "it moved on meanwhile"
    rebuild(Tally(), OpenCalls())
    work().catch_up()
    require_sound(books.url, TOYS.values())
    assert leftovers(books) == []


def test_rows_that_went_away_since_are_no_difference(
    rebuild: Rebuilding, fill: Fill, work: Work, books: Books, ledger: Ledger
) -> None:
    fill(6)
    work({"open_calls": OpenCalls()}).catch_up()
    moved: list[int] = []

    def meanwhile(stage: str, done: int, total: int) -> None:
        if not moved:
            for run_id, call_id in [(event.stream, event.event.call_id) for event in ledger.events(types=["tool.called"])][3::4]:  # type: ignore[attr-defined]
                ledger.run(run_id).tool_call(call_id).succeed("late")
            worker = Worker(Datastore(books.url), {"open_calls": OpenCalls()})
            moved.append(worker.catch_up())
            worker.close()

    (found,) = rebuild(OpenCalls(), told=meanwhile)
    assert found.compared is not None
    assert (found.compared.rows, found.compared.changed_since, found.compared.different) == (0, 6, 0)
    require_sound(books.url, [OpenCalls()])


def test_a_poison_event_ends_a_rebuild_with_its_position_and_leaves_the_table_in_use(
    rebuild: Rebuilding, fill: Fill, work: Work, books: Books, ledger: Ledger
) -> None:
    fill(2)
    run = ledger.create_thread(agent_id="a").start_run()
    run.call_tool("poison")
    fill(2)
    work({"tally": Tally()}).catch_up()
    with pytest.raises(ProjectionStopped) as error:
        rebuild(PoisonedTally(), processes=2)
    poison = ledger.events(types=["tool.called"], run_id=run.id)[0].position
    assert str(error.value).startswith(f"tally failed on the tool.called at position {poison}: ValueError: no such tool; fix")
    assert books.faults(Tally(), books.head()) == []
    rebuild(SecondTally())
    require_sound(books.url, [SecondTally()])
    assert leftovers(books) == []


def test_a_poison_event_beyond_what_was_filled_is_said_too(
    rebuild: Rebuilding, fill: Fill, work: Work, books: Books, ledger: Ledger
) -> None:
    head = fill(2)
    older = work({"tally": Tally()})
    older.catch_up()
    older.close()
    ledger.create_thread(agent_id="a").start_run().call_tool("poison")
    with pytest.raises(ProjectionStopped, match=r"tally failed on the tool.called at position .*no such tool; fix"):
        rebuild(PoisonedTally())
    assert books.faults(Tally(), head) == []
    rebuild(SecondTally())
    require_sound(books.url, [SecondTally()])
    assert leftovers(books) == []


def test_a_row_that_no_column_takes_is_said_with_the_read_models_name(rebuild: Rebuilding, fill: Fill, books: Books) -> None:
    fill(2)
    rebuild(Tally())
    with pytest.raises(ProjectionStopped, match=r"tally made an invalid row: .*out of range.*; fix the projection"):
        rebuild(ImpossibleTally())
    require_sound(books.url, [Tally()])


def test_rows_are_packed_outside_of_transactions_which_must_not_wait_for_what_takes_long(
    rebuild: Rebuilding, fill: Fill, books: Books, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(3)
    monkeypatch.setenv("RUNFOLD_TEST_WATCHED", database.admin_url)
    rebuild(WatchfulTally())
    require_sound(books.url, [Tally()])


def test_a_class_that_another_process_cannot_import_is_named_and_nothing_is_left_half_made(
    rebuild: Rebuilding, fill: Fill, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(2)
    monkeypatch.setattr("runfold.projector.rebuilding.by_thread.source_of", lambda _: "no.such.module:Tally")
    with pytest.raises(ProjectionStopped, match=r"no.such.module:Tally is folded in processes of their own, and there it cannot"):
        rebuild(Tally())
    assert leftovers(books) == []
    monkeypatch.undo()
    rebuild(Tally())
    require_sound(books.url, [Tally()])
    assert leftovers(books) == []


def test_what_the_database_says_to_such_a_process_is_its_last_line(admin_url: str) -> None:
    told = {"url": admin_url, "timeout": 30, "job": 1}  # a database without a ledger
    process = subprocess.run(
        [sys.executable, "-m", "runfold.projector.filling"], input=json.dumps(told), capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    assert re.fullmatch(r"the database said: relation .* does not exist; .*", process.stderr.splitlines()[-1])


def test_every_shard_is_filled_whatever_the_statistics_say(
    rebuild: Rebuilding, fill: Fill, books: Books, database: TestDatabase
) -> None:
    fill(1)
    dying(books.url, "job planned", "tests.projector.toys:SecondTally")
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE runfold.filling_lanes")  # of one shard: a join may look for a free one again and again
    fill(7)
    rebuild(Tally())
    require_sound(books.url, [Tally()])


def test_a_worker_leaves_a_read_model_to_the_rebuild_that_runs(rebuild: Rebuilding, fill: Fill, books: Books) -> None:
    fill(2)
    said: list[bool] = []

    def meanwhile(stage: str, done: int, total: int) -> None:
        if stage == "folding" and not said:
            with connect(Datastore(books.url)) as connection:
                said.append(generations.is_being_rebuilt(connection, "tally"))
                generations.begin(connection, Tally(), generations_epoch(books))
            said.append(len(books.models()) == 1)

    rebuild(Tally(), told=meanwhile)
    assert said == [True, True]
    until(lambda: not generations.is_being_rebuilt(books.connection, "tally"))  # the server ends a session in its own time
    require_sound(books.url, chosen([BY_THREAD[0]]).values())


def generations_epoch(books: Books) -> Any:
    """Of this log."""
    row = books.connection.execute("SELECT epoch FROM runfold.head").fetchone()
    assert row is not None
    return row["epoch"]
