"""A rebuild says what the table in use says, or where it does not; it can be tried, and taken back."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runfold import Ledger
from runfold.errors import ProjectionStopped
from runfold.importers.importing import import_paths
from runfold.projections.registry import known
from tests.databases import TestDatabase, fresh_database
from tests.projector.conftest import Fill, Rebuilding, Work
from tests.projector.rebuilding.rebuilds import (
    BY_THREAD,
    EVERY_TOY,
    OtherKeyTally,
    OtherTypeTally,
    dying,
    leftovers,
)
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import TOYS, SecondTally, Tally, WideTally


@pytest.fixture(scope="module")
def real(admin_url: str, template: str, trajectories: Path) -> Iterator[tuple[Ledger, str]]:
    """Real runs, folded; and the projector's URL."""
    with fresh_database(admin_url, template, "rebuilt") as made, Ledger.open(settings=made.settings) as ledger:
        import_paths(ledger, "claude-code", [trajectories / "claude-code"])
        import_paths(ledger, "tau2", [trajectories / "tau2-human-agent" / "airline"])
        ledger.fold()
        yield ledger, made.projector_url


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_of_real_runs_every_read_model_is_rebuilt_row_by_row(real: tuple[Ledger, str], processes: int) -> None:
    ledger, url = real
    before = ledger.position()
    found = {each.name: each for each in ledger.rebuild(processes=processes)}
    assert found.keys() == known().keys()
    for name in known():
        assert found[name].switched
        assert (compared := found[name].compared) is not None
        assert (compared.examples[:3], compared.different, compared.changed_since) == ((), 0, 0)
        assert found[name].position == before
    require_sound(url, known().values())
    with Books(url) as books:
        assert sum(len(books.rows(projection)) for projection in known().values()) > 3000
        assert leftovers(books) == []


def test_a_read_model_of_ones_own_is_rebuilt_like_any_other(fill: Fill, work: Work, books: Books, ledger: Ledger) -> None:
    fill(7)
    work().catch_up()
    fill(1)
    found = ledger.rebuild(*EVERY_TOY, processes=2)
    assert [(each.name, each.generation, each.switched) for each in found] == [
        ("tally", 2, True),
        ("open_calls", 2, True),
        ("tools", 2, True),
        ("ended", 2, True),
    ]
    assert [each.compared.rows if each.compared else None for each in found] == [8, 8, 3, 0]
    require_sound(books.url, TOYS.values())
    assert leftovers(books) == []


def test_a_first_rebuild_needs_no_table_to_be_there(rebuild: Rebuilding, fill: Fill, books: Books) -> None:
    found = rebuild(Tally())
    assert (found[0].position, found[0].switched) == (0, True), "an empty ledger, too"
    fill(3)
    rebuild()
    require_sound(books.url, TOYS.values())
    assert leftovers(books) == []


def test_comparing_alone_leaves_everything_as_it_was(rebuild: Rebuilding, fill: Fill, work: Work, books: Books) -> None:
    fill(5)
    work().catch_up()
    before = books.models()
    found = rebuild(keep=True)
    assert [(each.name, each.switched) for each in found] == [(name, False) for name in TOYS]
    assert [each.compared.different for each in found if each.compared] == [0, 0, 0, 0]
    assert [(model.name, model.generation, model.state) for model in books.models()] == [
        (model.name, model.generation, model.state) for model in before
    ]
    assert leftovers(books) == []
    require_sound(books.url, TOYS.values())


def test_comparing_after_a_killed_rebuild_compares_and_drops_what_that_made(
    rebuild: Rebuilding, fill: Fill, work: Work, books: Books
) -> None:
    fill(5)
    work({"tally": Tally()}).catch_up()
    assert dying(books.url, "ready to catch up", BY_THREAD[0])[0] == -9
    books.connection.execute("UPDATE runfold_tally_1.tally SET calls = 99")
    (found,) = rebuild(Tally(), keep=True)
    assert found.compared is not None
    assert found.compared.different == 5
    assert leftovers(books) == []
    assert books.model("tally").generation == 1


def test_a_row_that_is_wrong_is_found_with_both_values_and_the_events_behind_it(
    rebuild: Rebuilding, fill: Fill, work: Work, books: Books
) -> None:
    fill(6)
    work({"tally": Tally()}).catch_up()
    runs = sorted(key[1] for key in books.rows(Tally()))
    change = books.connection.execute
    change("UPDATE runfold_tally_1.tally SET calls = 99 WHERE run_id = %s", [runs[1]])
    change("DELETE FROM runfold_tally_1.tally WHERE run_id = %s", [runs[2]])
    change("UPDATE runfold_tally_1.tally SET run_id = 'run_x' WHERE run_id = %s", [runs[3]])
    (found,) = rebuild(Tally(), keep=True)
    assert found.compared is not None
    assert (found.compared.rows, found.compared.different) == (7, 4)
    said = {example.key[1]: example for example in found.compared.examples}
    assert said.keys() == {*runs[1:4], "run_x"}
    assert said[runs[1]].columns == {"calls": (99, 4)}
    seen = books.due(Tally(), books.head()).rows["default", runs[1]].row.seen  # type: ignore[union-attr]
    assert [position for position, _ in said[runs[1]].events] == sorted(seen, reverse=True)
    assert {kind for _, kind in said[runs[1]].events} == {"run.created", "message.added", "tool.called"}
    assert [said[key].lacking for key in (runs[1], runs[2], runs[3], "run_x")] == [None, "live", "live", "new"]
    assert said["run_x"].events == [], "nothing in the log says that it should be"
    rebuild(Tally())
    require_sound(books.url, [Tally()])


def test_a_changed_fold_is_compared_as_of_where_the_one_in_use_stands(
    rebuild: Rebuilding, fill: Fill, work: Work, books: Books
) -> None:
    head = fill(4)
    older = work({"tally": Tally()})
    older.catch_up()
    older.close()
    fill(2)
    (found,) = rebuild(SecondTally())
    assert found.compared is not None
    assert (found.position, found.compared.rows, found.compared.different) == (head, 4, 4)
    assert [example.columns for example in found.compared.examples] == [{"calls": (4, 8)}] * 4
    require_sound(books.url, [SecondTally()])
    assert leftovers(books) == []


@pytest.mark.parametrize("newer", [OtherTypeTally(), OtherKeyTally(), WideTally()], ids=["type", "key", "more"])
def test_columns_that_are_not_in_both_are_not_compared(
    rebuild: Rebuilding, fill: Fill, work: Work, books: Books, newer: Tally
) -> None:
    fill(3)
    work({"tally": Tally()}).catch_up()
    (found,) = rebuild(newer)
    if isinstance(newer, OtherKeyTally):
        assert found.compared is None
    else:
        assert found.compared is not None
        assert (found.compared.rows, found.compared.different) == (3, 0)
    require_sound(books.url, [newer])


def test_rolling_back_goes_back_and_goes_on_folding(
    rebuild: Rebuilding, fill: Fill, work: Work, books: Books, ledger: Ledger
) -> None:
    before = fill(3)
    with pytest.raises(ProjectionStopped, match="tally has no previous generation; there is nothing to roll back to"):
        ledger.roll_back(BY_THREAD[0])
    rebuild(Tally())
    fill(1)
    rebuild(Tally())
    head = fill(1)
    work({"tally": Tally()}).catch_up()
    assert ledger.roll_back(BY_THREAD[0]) == before + 11
    assert (books.model("tally").generation, books.model("tally", "previous").generation) == (1, 2)
    assert books.faults(Tally()) == []
    work({"tally": Tally()}).catch_up()
    require_sound(books.url, [Tally()], head)
    assert ledger.roll_back(BY_THREAD[0]) == head, "and there again"
    assert leftovers(books) == []


def test_rolling_back_to_what_another_version_folded_is_refused(
    rebuild: Rebuilding, fill: Fill, books: Books, ledger: Ledger
) -> None:
    fill(2)
    rebuild(Tally())
    rebuild(SecondTally())
    with pytest.raises(ProjectionStopped, match="tally was built by version 1 before, but this program has another; roll the pr"):
        ledger.roll_back("tests.projector.toys:SecondTally")
    require_sound(books.url, [SecondTally()])


def test_rolling_back_where_a_view_stands_in_the_way_names_it(
    database: TestDatabase, rebuild: Rebuilding, fill: Fill, books: Books, ledger: Ledger
) -> None:
    fill(2)
    rebuild(Tally())
    rebuild(WideTally())
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("CREATE VIEW public.busy AS SELECT run_id, errors FROM runfold_read.tally")
    with pytest.raises(ProjectionStopped, match=r"no longer has errors, which view busy takes from it, so the table in use"):
        ledger.roll_back(BY_THREAD[0])
    require_sound(books.url, [WideTally()])
