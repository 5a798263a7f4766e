"""Generations of a read model: when a new one is made, by whom, and when it is refused."""

import threading
import time
from typing import Any

import pytest

from runfold.projector import checkpoints
from runfold.projector.connection import connect
from runfold.projector.tables import generations
from runfold.store.datastore import Datastore
from tests.projector.conftest import Fill, Work, running
from tests.projector.soundness import Books
from tests.projector.toys import OtherEventsTally, PricedTally, SecondTally, Tally, Tools
from tests.waiting import until


def generations_of(books: Books) -> list[tuple[int, int, str]]:
    """All but what was in use before."""
    return [
        (model.generation, model.version, model.state)
        for model in books.models()
        if model.name == "tally" and model.state != "previous"
    ]


@pytest.mark.fault("J3")
def test_an_older_program_leaves_a_newer_table_alone(fill: Fill, work: Work, books: Books) -> None:
    head = fill()
    newer = work({"tally": SecondTally()})
    newer.catch_up()
    newer.close()
    fill()
    older = work({"tally": Tally(), "tools": Tools()})
    older.catch_up()
    assert generations_of(books) == [(1, 2, "live")]
    assert books.model("tally").position == head
    assert books.model("tally").trouble is None
    assert books.faults(SecondTally(), head) == []
    assert books.faults(Tools(), books.head()) == [], "and folds what is its own"


def test_two_programs_that_depend_on_different_things_do_not_replace_each_other(fill: Fill, work: Work, books: Books) -> None:
    """And each generation is folded by a worker that can, whatever the other is called."""
    of_april = {f"tally_{n}": type("April", (Tally,), {"name": f"tally_{n}", "__doc__": "The same."})() for n in range(6)}
    of_may = {name: type("May", (PricedTally,), {"name": name, "__doc__": "The same."})() for name in of_april}
    fill()
    older, newer = work(of_april, 3600.0), work(of_may, 3600.0)
    older.catch_up()

    def all_are(depends_on: str, head: int) -> bool:
        live = [model for model in books.models() if model.state != "previous"]
        return {(model.state, model.depends_on, model.position) for model in live} == {("live", depends_on, head)}

    with running(older, newer):
        until(lambda: len(checkpoints.peers(books.connection)) == 2)
        for _ in range(5):
            head = fill(1)
            time.sleep(0.1)
        until(lambda: all_are("", head))
    with running(newer):
        until(lambda: all_are("prices of May", head))
    with running(work(of_april)):
        until(lambda: all_are("", head))
    assert [fault for projection in of_april.values() for fault in books.faults(projection, head)] == []


def test_a_version_raised_again_before_the_last_one_was_built_builds_only_the_newest(
    fill: Fill, work: Work, books: Books
) -> None:
    class ThirdTally(SecondTally):
        """The same again."""

        version = 3

    fill()
    work({"tally": Tally()}).catch_up()
    with connect(Datastore(books.connection.info.dsn)) as connection:
        generations.begin(connection, SecondTally(), books.models()[0].epoch)  # type: ignore[arg-type]
    assert generations_of(books) == [(1, 1, "live"), (2, 2, "building")]
    work({"tally": ThirdTally()}).catch_up()
    assert generations_of(books) == [(3, 3, "live")]
    assert books.faults(ThirdTally(), books.head()) == []


def test_catching_up_waits_for_the_switch_that_falls_to_another(
    fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = fill()
    first = work({"tally": Tally()})
    first.catch_up()
    first.close()
    switch, ended = generations.switch, threading.Event()
    monkeypatch.setattr(generations, "switch", lambda *_: False)

    def catch_up() -> None:
        work({"tally": SecondTally()}, 3600.0).catch_up()
        ended.set()

    with running(work({"tally": SecondTally()}, 3600.0)):
        until(lambda: len(generations_of(books)) == 2 and books.model("tally", "building").position == head)
        waiting = threading.Thread(target=catch_up)
        waiting.start()
        assert not ended.wait(0.5)
        monkeypatch.setattr(generations, "switch", switch)
        assert ended.wait(60)
        waiting.join()
    assert generations_of(books) == [(2, 2, "live")]


def test_several_workers_that_begin_at_once_make_one_generation(fill: Fill, work: Work, books: Books) -> None:
    fill()
    with running(*(work({"tally": Tally(), "tools": Tools()}) for _ in range(4))):
        until(lambda: len(books.models()) == 2 and {model.position for model in books.models()} == {books.head()})
    assert [(model.name, model.generation, model.state) for model in books.models()] == [
        ("tally", 1, "live"),
        ("tools", 1, "live"),
    ]
    assert books.faults(Tally()) == []


@pytest.mark.fault("J3")
def test_rows_changed_without_a_new_version_are_refused_until_that_is_mended(fill: Fill, work: Work, books: Books) -> None:
    head = fill()
    first = work({"tally": Tally()})
    first.catch_up()
    first.close()
    fill()
    changed = work({"tally": OtherEventsTally(), "tools": Tools()})
    changed.catch_up()
    changed.close()
    stopped = books.model("tally")
    assert (stopped.trouble, stopped.error, stopped.position) == ("stopped", "ProjectionChanged", head)
    assert stopped.message == (
        "tally changed its columns, key or events, but its version is still 1; set its version to 2 to have it"
        " rebuilt, or undo the change"
    )
    assert books.faults(Tools(), books.head()) == []
    work({"tally": Tally()}).catch_up()
    assert books.model("tally").trouble is None
    assert books.faults(Tally(), books.head()) == []


def test_a_changed_program_does_not_stop_what_others_fold_rightly(fill: Fill, work: Work, books: Books) -> None:
    fill()
    first = work({"tally": Tally()})
    first.catch_up()
    first.close()
    with running(work({"tally": Tally()}, 3600.0)):
        until(lambda: books.model("tally").worker)
        with running(work({"tally": OtherEventsTally()}, 3600.0)):
            until(lambda: len(checkpoints.peers(books.connection)) >= 2)
            for _ in range(5):
                head = fill(1)
                time.sleep(0.1)
            until(lambda: books.model("tally").position == head)
            assert books.model("tally").trouble is None
    assert books.faults(Tally(), books.head()) == []


def test_a_table_that_nobody_knows_of_any_more_is_made_anew(fill: Fill, work: Work, books: Books) -> None:
    fill()
    first = work({"tally": Tally()})
    first.catch_up()
    first.close()
    books.connection.execute("DELETE FROM runfold.read_models")
    work({"tally": Tally()}).catch_up()
    assert generations_of(books) == [(1, 1, "live")]
    assert books.faults(Tally(), books.head()) == []


def test_two_generations_of_one_read_model_in_one_page_are_each_accounted_for(
    fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it is folded anew on demand: the same program folds both, in the same transactions."""
    fill()
    first = work({"tally": Tally()})
    first.catch_up()
    first.close()
    monkeypatch.setattr(generations, "is_wanted", lambda *_: True)
    with connect(Datastore(books.connection.info.dsn)) as connection:
        generations.begin(connection, Tally(), books.models()[0].epoch)  # type: ignore[arg-type]
    monkeypatch.undo()
    both = work({"tally": Tally()})
    shards: dict[Any, Any] = both._team.shards
    both._team.beat_if_due(both._connection)
    monkeypatch.setattr(generations, "switch", lambda *_: False)
    while any(shard.position < books.head() for shard in shards.values()):
        both._step()
    fill(1)
    books.connection.execute("UPDATE runfold.checkpoints SET token = token + 1 WHERE generation = 1")
    both._step()
    assert set(shards) == {("tally", 2)}, "the lost one is let go, and only that"
    assert books.faults(Tally()) == []
    both._step()
    built = books.model("tally", "building")
    assert built.position == books.head() > (books.model("tally").position or 0)
    assert [(receipt.first, receipt.last) for receipt in books.receipts(built)] == [(1, books.head())]
