"""A worker may die anywhere: nothing is lost, nothing counts twice, and the receipts say so."""

import random
import signal

import pytest

from runfold.failpoint import POINTS
from runfold.projections.projection import AnyProjection
from tests.databases import TestDatabase
from tests.projector import driver
from tests.projector.conftest import Fill, Work
from tests.projector.killing import SPAWNING, kill_at_random
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import TOYS, SecondTally, Tally
from tests.waiting import until


@pytest.mark.fault("A4", "G3")
@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("point", [point for point in POINTS if not point.startswith("generation")])
def test_a_worker_killed_at_any_point_leaves_all_or_nothing_of_a_page(
    database: TestDatabase, fill: Fill, work: Work, books: Books, point: str, times: int
) -> None:
    fill(5)
    killed = SPAWNING.Process(target=driver.fold_until, args=[database.projector_url, point, times])
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL, "it came to that point"
    assert [fault for toy in TOYS.values() for fault in books.faults(toy)] == [], "as far as it came, it is right"
    folding = work(take_over_seconds=3600.0)
    folding.catch_up()
    fill(1)
    folding.catch_up()
    require_sound(database.projector_url, TOYS.values())


@pytest.mark.fault("A4")
def test_a_worker_killed_by_the_environments_word_when_it_has_switched_leaves_the_new_generation(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    assert [point for point in POINTS if point.startswith("generation")] == ["generation indexed", "generation switched"]
    fill()
    work({"tally": Tally()}).catch_up()
    killed = driver.started(
        database.projector_url,
        "--once",
        projections=("tests.projector.toys:SecondTally",),
        environment={"RUNFOLD_FAILPOINT": "generation switched"},
    )
    said, _ = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, said
    fill()
    work({"tally": SecondTally()}).catch_up()
    require_sound(database.projector_url, [SecondTally()])
    assert (books.model("tally").generation, books.model("tally").version) == (2, 2)


@pytest.fixture
def dice() -> random.Random:
    """Chance that can be had again."""
    return random.Random(20261121)  # noqa: S311


@pytest.mark.fault("A4", "G3", "G4")
def test_workers_killed_at_any_time_leave_every_read_model_right_at_every_moment(
    database: TestDatabase, fill: Fill, work: Work, books: Books, dice: random.Random
) -> None:
    fill(30)
    toys: list[AnyProjection] = list(TOYS.values())
    positions = set()
    for number in kill_at_random(database.projector_url, dice):
        fill(3)
        if number % 4 == 0:  # else, where processes are slow to start, each might be killed before it has folded anything
            until(lambda: {model.name for model in books.models() if model.position not in positions} >= TOYS.keys())
        if len(books.models()) < len(toys):
            continue
        with books.one_moment():
            assert [fault for toy in toys for fault in books.faults(toy)] == []
            positions.add(books.model("tally").position)
    work().catch_up()
    require_sound(database.projector_url, toys)
    assert len(positions) > 3, "they got on meanwhile"
