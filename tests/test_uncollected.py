"""Cycles are looked for seldom while much is made, and as often as before when that is done."""

import contextlib
import gc
import threading
from collections.abc import Iterator

import pytest

from runfold import Ledger
from runfold.projections.registry import known
from runfold.projector.folding.page_size import PageSize
from runfold.projector.worker import Worker
from runfold.store.datastore import Datastore
from runfold.uncollected import SELDOM, VERY_SELDOM, seldom_collected, uncollected
from tests.databases import TestDatabase


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """The collector as a program finds it, put back as it was."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_while_somebody_makes_much_cycles_are_looked_for_seldom_and_then_as_before() -> None:
    with seldom_collected():
        assert gc.isenabled(), "what is left in cycles meanwhile is bounded"
        assert gc.get_threshold() == (SELDOM, 10, 10)
        with seldom_collected(), uncollected():
            assert gc.get_threshold() == (SELDOM, 10, 10)
        assert gc.get_threshold() == (SELDOM, 10, 10), "the other one is not done yet"
    assert gc.get_threshold() == (700, 10, 10)
    with pytest.raises(ZeroDivisionError), seldom_collected():
        raise ZeroDivisionError
    assert gc.get_threshold() == (700, 10, 10)


def test_of_threads_that_end_in_any_order_the_last_one_puts_it_back() -> None:
    begun, may_end = threading.Barrier(2), threading.Event()

    def make() -> None:
        with seldom_collected():
            begun.wait(30)
            may_end.wait(30)

    other = threading.Thread(target=make)
    with seldom_collected():
        other.start()
        begun.wait(30)
    assert gc.get_threshold()[0] == SELDOM
    may_end.set()
    other.join(30)
    assert gc.get_threshold()[0] == 700


def test_of_several_numbers_the_largest_counts_for_as_long_as_it_is_asked_for() -> None:
    with seldom_collected():
        with seldom_collected(VERY_SELDOM):
            with seldom_collected():
                assert gc.get_threshold()[0] == VERY_SELDOM
            assert gc.get_threshold()[0] == VERY_SELDOM
        assert gc.get_threshold()[0] == SELDOM
    assert gc.get_threshold()[0] == 700


@pytest.mark.parametrize("chosen", [0, 2 * SELDOM])
def test_who_has_switched_it_off_or_chosen_more_keeps_that(chosen: int) -> None:
    gc.set_threshold(chosen, 5, 5)
    with seldom_collected():
        assert gc.get_threshold() == (chosen, 5, 5)
    assert gc.get_threshold() == (chosen, 5, 5)


def test_who_chooses_meanwhile_keeps_that() -> None:
    with seldom_collected():
        gc.set_threshold(1234, 5, 5)
    assert gc.get_threshold() == (1234, 5, 5)


def test_nobody_looks_for_cycles_between_the_pages_of_a_fold(ledger: Ledger, database: TestDatabase) -> None:
    for _ in range(20):
        ledger.create_thread(agent_id="support").start_run().complete()
    seen = []
    worker = Worker(Datastore(database.projector_url), known())
    worker.when_stored = lambda *_: seen.append((gc.isenabled(), gc.get_threshold()[0]))
    with contextlib.closing(worker):
        worker.catch_up()
    assert set(seen) == {(True, VERY_SELDOM)}
    assert gc.get_threshold()[0] == 700


def test_who_keeps_up_has_nobody_wait_long_for_a_search(ledger: Ledger, database: TestDatabase) -> None:
    for _ in range(20):
        ledger.create_thread(agent_id="support").start_run().complete()
    seen, stop = list[int](), threading.Event()
    worker = Worker(Datastore(database.projector_url), known())
    worker._size = PageSize(10, 10)

    def stored(position: int, *_: object) -> None:
        seen.append(gc.get_threshold()[0])
        if position == ledger.position():
            stop.set()

    worker.when_stored = stored
    worker.run(stop)
    assert (seen[0], seen[-1], gc.get_threshold()[0]) == (VERY_SELDOM, SELDOM, 700)


def test_a_batch_makes_much_whether_it_is_stored_or_not(ledger: Ledger) -> None:
    seen = []
    with ledger.batch() as batch:
        batch.create_thread()
        seen.append(gc.get_threshold()[0])
    with pytest.raises(ZeroDivisionError), ledger.batch():
        raise ZeroDivisionError
    assert [*seen, gc.get_threshold()[0]] == [SELDOM, 700]
