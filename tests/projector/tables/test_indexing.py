"""What is folded from far behind has its indexes made at the end, whoever does it and wherever they were killed."""

import signal
from collections.abc import Iterable

import pytest

from runfold import Ledger, Projection, Row
from runfold.domain.recorded import Recorded
from runfold.domain.thread import ThreadCreated
from runfold.errors import ProjectionStopped
from runfold.projections.projection import Key
from runfold.projector import worker
from runfold.projector.rebuilding.rebuild import Rebuild
from runfold.projector.tables import generations
from runfold.projector.tables.indexing import complete
from runfold.projector.tables.table import Table
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase
from tests.projector import driver
from tests.projector.conftest import Fill, Rebuilding, Work
from tests.projector.killing import SPAWNING
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import INCOMPRESSIBLE, TOYS, SecondTally, Tally, Tools


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """One event is much to fold, and a page is short."""
    monkeypatch.setattr(generations, "LATER_FROM", 1)
    monkeypatch.setattr(worker, "FIRST_PAGE", 12)
    monkeypatch.setattr(worker, "LARGEST_PAGE", 12)


@pytest.mark.usefixtures("far")
def test_a_first_generation_has_its_key_from_the_beginning_and_its_indexes_when_it_is_folded(
    fill: Fill, work: Work, books: Books
) -> None:
    head, seen = fill(8), []
    folding = work()
    folding.when_stored = lambda position, *_: seen.append((position, books.indexes(Tally()), books.indexes(Tools())))
    folding.catch_up()
    assert len(seen) > 5
    assert {tuple(map(tuple, (*tally, *tools))) for position, tally, tools in seen if position < head} == {()}
    require_sound(books.url, TOYS.values())


@pytest.mark.usefixtures("far")
def test_a_new_version_comes_into_use_with_its_indexes(fill: Fill, work: Work, books: Books) -> None:
    fill(8)
    work({"tally": Tally()}).catch_up()
    building = work({"tally": SecondTally()})
    seen = []
    building.when_stored = lambda *_: seen.append([model.state for model in books.models()])
    building.catch_up()
    assert ["live", "building"] in seen, "it was built beside the one in use"
    assert books.model("tally").version == 2
    require_sound(books.url, [SecondTally()])


class Title(Row):
    """What a thread is called."""

    thread_id: str
    """The thread."""
    title: str = ""
    """What it is called."""


class Titles(Projection[Title]):
    """One row per thread, looked up by what it is called."""

    name, row, key, partition, events = "titles", Title, ("thread_id",), "thread", (ThreadCreated,)
    indexes = (("title",),)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        return ((recorded.thread_id,),)

    def evolve(self, row: Title, recorded: Recorded) -> Title:
        return row.but(title=recorded.event.title or "")  # type: ignore[attr-defined]  # it looks at no other event


class LongTitles(Titles):
    """One row per thread, looked up by how what it is called begins."""

    name, long_texts = "titles_by_beginning", ("title",)


@pytest.mark.fault("G1", "G2")
@pytest.mark.usefixtures("far")
def test_a_text_that_is_too_long_for_an_index_stops_its_read_model_alone(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    fill(8)
    with Ledger.open(settings=database.settings) as ledger:
        ledger.create_thread(agent_id="a", title=INCOMPRESSIBLE)
    head = fill(1)
    work(TOYS | {"titles": Titles()}).catch_up()
    model = books.model("titles")
    assert (model.trouble, model.error) == ("stopped", "ProjectionStopped")
    assert "titles made an invalid row: a row is more than the database takes (index row" in (model.message or "")
    assert [fault for toy in TOYS.values() for fault in books.faults(toy, head)] == []
    with pytest.raises(ProjectionStopped, match="made an invalid row: a row is more than the database takes"):
        Rebuild(Datastore(books.url), {"titles": Titles()}).run()
    work({"titles_by_beginning": LongTitles()}).catch_up()
    assert books.faults(LongTitles(), head) == []


def test_where_little_is_to_be_folded_indexes_are_there_from_the_beginning(fill: Fill, work: Work, books: Books) -> None:
    fill(8)
    seen = []
    folding = work()
    folding.when_stored = lambda *_: seen.append(books.missing_indexes(Tally()))
    folding.catch_up()
    assert seen
    assert not any(seen)


@pytest.mark.fault("A4")
@pytest.mark.parametrize(("point", "times"), [("page stored", 3), ("generation indexed", 1), ("generation indexed", 2)])
def test_a_worker_killed_before_or_amid_its_indexes_leaves_the_rest_to_the_next_one(
    database: TestDatabase, fill: Fill, work: Work, books: Books, point: str, times: int
) -> None:
    fill(5)
    killed = SPAWNING.Process(target=driver.fold_until, args=[database.projector_url, point, times])
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL, "it came to that point"
    missing = [fault for toy in TOYS.values() for fault in books.missing_indexes(toy)]
    assert len(missing) in {("page stored", 3): {3}, ("generation indexed", 1): {1, 2}}.get((point, times), {0})
    folding = work(take_over_seconds=3600.0)
    folding.catch_up()
    fill(1)
    folding.catch_up()
    require_sound(database.projector_url, TOYS.values())


@pytest.mark.usefixtures("far")
def test_who_comes_second_finds_the_indexes_made(fill: Fill, work: Work, books: Books) -> None:
    fill(2)
    work().catch_up()
    before = books.indexes(Tally())
    complete(books.connection, Tally(), Table(Tally(), 1))
    assert books.indexes(Tally()) == before != []


def test_a_rebuild_in_the_order_of_positions_has_its_indexes_when_it_is_compared(
    fill: Fill, work: Work, books: Books, rebuild: Rebuilding
) -> None:
    fill(4)
    work({"tools": Tools()}).catch_up()
    seen = []
    rebuild(
        Tools(), told=lambda stage, *_: seen.append((stage, books.indexes(Tools(), "filling"))) if stage == "folding" else None
    )
    assert seen
    assert all(indexes == [] for _, indexes in seen)
    require_sound(books.url, [Tools()])


@pytest.mark.parametrize("projection", [Tally(), Tools()])
def test_comparing_alone_makes_no_index_that_nobody_reads(
    fill: Fill, work: Work, books: Books, rebuild: Rebuilding, projection: Tally | Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(4)
    work({projection.name: projection}).catch_up()
    monkeypatch.delattr(Table, "create_indexes")
    (found,) = rebuild(projection, keep=True)
    assert found.compared is not None
    assert found.compared.different == 0
    require_sound(books.url, [projection])
