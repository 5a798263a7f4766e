"""A page is stored while the next one is folded. Where it turns out not to be stored, what was folded after it is forgotten."""

import threading
from collections.abc import Callable
from uuid import UUID

import pytest

from runfold.domain.recorded import Recorded
from runfold.projector import checkpoints, worker
from runfold.projector.checkpoints import Claim
from runfold.projector.folding import shard
from runfold.projector.worker import Worker
from runfold.store.datastore import Connection
from tests.databases import TestDatabase
from tests.projector.conftest import Fill, Work
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import TOYS, Tally, TallyRow

PAGE = 5
POISON = 18
"""The position of a tool call in what `fill` appends: pages come before and after it."""


class TooLarge(Tally):
    """The tally with a number, from one event on, that only the database refuses."""

    name = "too_large"

    def evolve(self, row: TallyRow, recorded: Recorded) -> TallyRow | None:
        after = super().evolve(row, recorded)
        return after.but(calls=2**63) if after and recorded.position >= POISON else after


@pytest.fixture(autouse=True)
def small_pages(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "FIRST_PAGE", PAGE)
    monkeypatch.setattr(worker, "LARGEST_PAGE", PAGE)
    monkeypatch.setattr(shard, "PAUSES", (0.01, 0.01, 0.01))


@pytest.fixture
def stored_by(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the threads that store pages."""
    names: set[str] = set()
    advance = checkpoints.advance

    def noting(connection: Connection, claims: list[Claim], after: int, up_to: int, epoch: UUID) -> None:
        names.add(threading.current_thread().name.partition("_")[0])
        advance(connection, claims, after, up_to, epoch)

    monkeypatch.setattr(checkpoints, "advance", noting)
    return names


def at_page(folding: Worker, number: int, do: Callable[[], object]) -> None:
    """Do something when so many pages are stored, the next one being folded already."""
    left = [number]

    def look(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            do()

    folding.when_stored = look


def test_all_pages_but_the_last_are_stored_beside_the_folding(
    database: TestDatabase, fill: Fill, work: Work, stored_by: set[str]
) -> None:
    head = fill(5)
    assert work().catch_up() == head
    assert stored_by == {"runfold-storing", threading.current_thread().name}
    require_sound(database.projector_url, TOYS.values())


@pytest.mark.fault("G1", "G2")
def test_a_page_that_the_database_refuses_stops_its_read_model_alone_before_the_event(
    fill: Fill, work: Work, books: Books
) -> None:
    head = fill(5)
    work(TOYS | {"too_large": TooLarge()}).catch_up()
    model = books.model("too_large")
    assert (model.trouble, model.trouble_position, model.position) == ("stopped", POISON, POISON - 1)
    assert books.faults(TooLarge(), POISON - 1) == []
    assert [fault for toy in TOYS.values() for fault in books.faults(toy, head)] == []


@pytest.mark.fault("G4")
@pytest.mark.parametrize("pages", [1, 2, 3])
def test_a_read_model_that_another_takes_meanwhile_is_folded_from_where_it_is_stored(
    database: TestDatabase, fill: Fill, work: Work, books: Books, pages: int
) -> None:
    head = fill(5)
    folding = work()
    at_page(folding, pages, lambda: checkpoints.claim(books.connection, books.model("tally"), "somebody"))
    assert folding.catch_up() == head
    assert (books.model("tally").token or 0) > 2
    require_sound(database.projector_url, TOYS.values())


@pytest.mark.fault("A4")
def test_a_connection_that_ends_while_a_page_is_stored_loses_nothing(database: TestDatabase, fill: Fill, work: Work) -> None:
    head = fill(5)
    folding = work()

    def end() -> None:
        assert folding._storing._open is not None
        folding._storing._open.close()

    at_page(folding, 2, end)
    assert folding.catch_up() == head
    require_sound(database.projector_url, TOYS.values())
