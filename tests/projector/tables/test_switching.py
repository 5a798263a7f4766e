"""The new generation of a read model takes the place of the one in use, and readers notice nothing of it."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from runfold.errors import DependentView, ReadModelBehind
from runfold.projector import checkpoints, worker
from runfold.projector.checkpoints import ClaimsLost
from runfold.projector.tables import generations
from runfold.queries.sources.read_models import ReadModels
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase
from tests.projector.conftest import Fill, Work, running
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import PricedTally, SecondTally, Tally, ThirdTally, Tools, WideTally
from tests.waiting import until


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "FIRST_PAGE", 10)
    monkeypatch.setattr(worker, "LARGEST_PAGE", 10)


@contextmanager
def reading(url: str) -> Iterator[list[tuple[int, int, int]]]:
    """Looks at the view all the time, as a reader would: the rows, their last position, and the checkpoint."""
    seen: list[tuple[int, int, int]] = []
    stop, failures = threading.Event(), []

    def look() -> None:
        query = (
            "SELECT count(*), coalesce(max(t.position), 0), (SELECT position FROM runfold.read_positions WHERE name = 'tally')"
            " FROM runfold_read.tally AS t"
        )
        try:
            with psycopg.connect(url, autocommit=True, options="-c runfold.tenant=*") as connection:
                while not stop.is_set():
                    found = connection.execute(query).fetchone()
                    assert found is not None
                    seen.append(found)
        except Exception as error:  # shown below
            failures.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
    assert not failures


def generations_of(books: Books) -> list[tuple[int, int, str]]:
    """All but what was in use before."""
    return [
        (model.generation, model.version, model.state)
        for model in books.models()
        if model.name == "tally" and model.state != "previous"
    ]


@pytest.mark.parametrize("newer", [SecondTally(), PricedTally(), WideTally()], ids=["version", "depends_on", "columns"])
@pytest.mark.usefixtures("small_pages")
def test_a_changed_read_model_is_built_beside_and_switched_while_readers_see_the_old_one(
    database: TestDatabase, fill: Fill, work: Work, books: Books, newer: Tally
) -> None:
    fill(20)
    old = work({"tally": Tally()})
    old.catch_up()
    old.close()
    head = fill(1)
    with reading(database.url) as seen:
        until(lambda: seen)
        work({"tally": newer}).catch_up()
        until(lambda: seen[-1][2] == head)
    assert generations_of(books) == [(2, newer.version, "live")]
    assert {found[:2] for found in seen} == {(20, seen[0][1]), (21, seen[-1][1])}, "never empty, never half-built"
    assert [found[2] for found in seen] == sorted(found[2] for found in seen), "never back"
    require_sound(database.projector_url, [newer])
    assert [(model.generation, model.state) for model in books.models()] == [(1, "previous"), (2, "live")]


@pytest.mark.fault("G5", "J3")
@pytest.mark.usefixtures("small_pages")
def test_old_and_new_program_side_by_side_under_appends_end_with_the_new_one(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    fill(30)
    work({"tally": Tally()}).catch_up()
    with running(work({"tally": Tally()}), work({"tally": SecondTally()})), reading(database.url) as seen:
        given_up = time.monotonic() + 60
        while generations_of(books) != [(2, 2, "live")]:
            fill(1)
            assert time.monotonic() < given_up
        fill(1)
        until(lambda: books.model("tally").position == books.head())
    assert [found[2] for found in seen] == sorted(found[2] for found in seen), "a read model never goes back"
    assert [found[0] for found in seen] == sorted(found[0] for found in seen), "nor loses rows"
    require_sound(database.projector_url, [SecondTally()])


def test_a_view_of_the_users_lives_through_a_switch(database: TestDatabase, fill: Fill, work: Work, books: Books) -> None:
    fill()
    work({"tally": Tally()}).catch_up()
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("CREATE VIEW public.busy AS SELECT run_id, calls FROM runfold_read.tally WHERE calls > 0")
        before = admin.execute("SELECT sum(calls) FROM busy").fetchone()
        work({"tally": SecondTally()}).catch_up()
        after = admin.execute("SELECT sum(calls) FROM busy").fetchone()
    assert (before, after) == ((12,), (24,))
    assert books.faults(SecondTally(), books.head()) == []


def test_a_view_of_the_users_that_stands_in_the_way_is_named_and_nothing_else_waits(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    fill()
    first = work({"tally": WideTally()})
    first.catch_up()
    first.close()
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("CREATE VIEW public.busy AS SELECT run_id, errors FROM runfold_read.tally")
        work({"tally": ThirdTally(), "tools": Tools()}).catch_up()
        assert generations_of(books) == [(1, 2, "live"), (2, 3, "building")]
        stopped = books.model("tally", "building")
        assert (stopped.trouble, stopped.error) == ("stopped", DependentView.__name__)
        assert stopped.message == (
            "tally no longer has errors, which view busy takes from it, so the table in use stays; drop or change view busy, and"
            " run `runfold projections retry tally` or repeat the command"
        )
        assert books.faults(WideTally()) == [], "the old one serves"
        assert books.faults(Tools(), books.head()) == []
        admin.execute("DROP VIEW public.busy")
        assert checkpoints.end_trouble(books.connection, "tally", 2)
        work({"tally": ThirdTally()}).catch_up()
    assert generations_of(books) == [(2, 3, "live")]
    assert books.faults(ThirdTally(), books.head()) == []


def test_a_reader_that_stays_long_puts_off_the_switch_and_holds_up_nobody(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    fill()
    work({"tally": Tally()}).catch_up()
    url = make_conninfo(database.url, options="-c runfold.tenant=*")
    with psycopg.connect(url) as reader, running(work({"tally": SecondTally(), "tools": Tools()})):
        reader.execute("SELECT count(*) FROM runfold_read.tally")
        until(lambda: len(generations_of(books)) == 2 and books.model("tally", "building").position == books.head())
        for _ in range(10):
            head = fill(1)
            with psycopg.connect(url) as another:
                another.execute("SET lock_timeout = '20s'")  # it waits behind the switch for a moment at most
                another.execute("SELECT count(*) FROM runfold_read.tally")
            until(lambda: books.model("tools").position == head)  # noqa: B023
        assert generations_of(books) == [(1, 1, "live"), (2, 2, "building")]
        reader.rollback()
        until(lambda: generations_of(books) == [(2, 2, "live")])
    require_sound(database.projector_url, [SecondTally(), Tools()])


@pytest.mark.usefixtures("small_pages")
def test_who_began_to_read_before_a_switch_never_sees_the_half_built_table(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    head = fill(20)
    old = work({"tally": Tally()})
    old.catch_up()
    old.close()
    building = work({"tally": SecondTally()})
    building._team.beat_if_due(building._connection)
    building._step()
    rows = "SELECT count(*), sum(calls) FROM {tally}"
    with closing(Datastore(database.url)) as datastore:
        with ReadModels(datastore, "default").reading("tally") as snapshot, running(building):
            until(lambda: snapshot.query(rows) == [(20, 80)] and books.model("tally", "building").position == head)
            time.sleep(0.4)
            assert snapshot.standing.position == head
            assert snapshot.query(rows) == [(20, 80)]
        with running(building):
            until(lambda: generations_of(books) == [(2, 2, "live")])


def test_who_reads_what_nobody_has_begun_is_told_so(database: TestDatabase, work: Work) -> None:
    with closing(Datastore(database.url)) as datastore:
        models = ReadModels(datastore, "default")
        for _ in range(2):  # first without the schema of the views, then with it
            with pytest.raises(ReadModelBehind, match="the read model tally has not been built yet"), models.reading("tally"):
                pass
            work({"tools": Tools()}).catch_up()


def test_who_has_lost_the_claim_cannot_switch(fill: Fill, work: Work, books: Books, database: TestDatabase) -> None:
    fill()
    work({"tally": Tally()}).catch_up()
    late = work({"tally": SecondTally()})
    late._team.beat_if_due(late._connection)
    (shard,) = late._team.shards.values()
    books.connection.execute("UPDATE runfold.checkpoints SET token = token + 1 WHERE generation = 2")
    with pytest.raises(ClaimsLost, match="tally"):
        generations.switch(books.connection, shard.projection, shard.claim)
    assert generations_of(books) == [(1, 1, "live"), (2, 2, "building")]
    generations.remove(books.connection, books.model("tally", "building"))
    with pytest.raises(ClaimsLost, match="tally"):
        generations.switch(books.connection, shard.projection, shard.claim)


def test_what_was_switched_while_it_was_taken_over_is_not_switched_again(
    fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would drop the one before, and one that a rebuild is just filling."""
    fill()
    work({"tally": Tally()}).catch_up()
    slow, other = (work({"tally": SecondTally()}) for _ in range(2))
    slow._team.beat_if_due(slow._connection)
    (shard,) = slow._team.shards.values()
    with monkeypatch.context() as patch:
        patch.setattr(generations, "switch", lambda *_: False)
        slow._step()
    honest = checkpoints.claim

    def claim(*given: Any) -> Any:
        assert generations.switch(slow._connection, shard.projection, shard.claim)
        return honest(*given)

    monkeypatch.setattr(checkpoints, "claim", claim)
    checkpoints.remove_worker(books.connection, slow._team.name)
    other._team.beat_if_due(other._connection)
    generations.renew(books.connection, SecondTally(), "filling")
    other._step()
    states = [(model.generation, model.state) for model in books.models()]
    assert states == [(1, "previous"), (2, "live"), (3, "filling")]
    assert [shard.building for shard in other._team.shards.values()] == [False]


def test_what_is_behind_the_one_in_use_does_not_take_its_place(fill: Fill, work: Work, books: Books) -> None:
    fill()
    work({"tally": Tally()}).catch_up()
    building = work({"tally": SecondTally()})
    building._team.beat_if_due(building._connection)
    (shard,) = building._team.shards.values()
    assert shard.building
    assert not generations.switch(books.connection, shard.projection, shard.claim)
    assert generations_of(books) == [(1, 1, "live"), (2, 2, "building")]
