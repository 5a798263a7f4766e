"""Reading on while whoever asked is still at what came before."""

import threading
from itertools import islice

import pytest

from runfold.errors import LedgerUnavailable
from runfold.store.reading.stretches import Found, stretches

FULL = 10


class Log:
    """Positions from 1 on, and after which of them somebody read, in which thread."""

    def __init__(self, positions: int) -> None:
        self.last, self.read_after, self.threads = positions, list[int](), set[str]()

    def read(self, after: int) -> Found:
        self.read_after.append(after)
        self.threads.add(threading.current_thread().name.partition("_")[0])
        found = [(position,) for position in range(after + 1, min(self.last, after + FULL) + 1)]
        return Found(found, found[-1][0] if found else after, is_full=len(found) == FULL)


@pytest.mark.parametrize("positions", [0, 1, 9, 10, 11, 20, 30, 95, 100])
@pytest.mark.parametrize("up_to", [0, 5, 10, 30, 95, 1000])
def test_all_rows_come_once_in_order(positions: int, up_to: int) -> None:
    log = Log(min(positions, up_to))
    assert [row for found in stretches(log.read, 0, up_to) for row in found] == [(n + 1,) for n in range(log.last)]
    assert log.read_after == sorted(set(log.read_after)), "nothing is read twice"


def test_who_takes_little_has_nothing_read_ahead() -> None:
    log = Log(100)
    assert len(list(islice(stretches(log.read, 0, 100), 1))) == 1
    assert (log.read_after, log.threads) == ([0], {threading.current_thread().name})
    assert len([row for found in stretches(Log(15).read, 0, 100) for row in found]) == 15


def test_who_takes_all_has_two_stretches_read_ahead() -> None:
    log = Log(100)
    reading = stretches(log.read, 0, 100)
    for taken in range(1, 11):
        next(reading)
        assert len(log.read_after) <= taken + 2
    assert len(log.threads) == 2


def test_what_is_recorded_while_the_last_ones_are_taken_comes_too() -> None:
    log, seen = Log(35), 0
    for found in stretches(log.read, 0, 1000):
        seen += len(found)
        if seen >= 30:
            log.last = min(log.last + 7, 70)
    assert (seen, log.last) == (70, 70)


def test_an_error_ahead_comes_in_its_place() -> None:
    log = Log(100)

    def read(after: int) -> Found:
        if after >= 40:
            raise LedgerUnavailable("the database cannot be reached", "retry")
        return log.read(after)

    reading = stretches(read, 0, 100)
    assert [len(next(reading)) for _ in range(4)] == [FULL] * 4
    with pytest.raises(LedgerUnavailable):
        next(reading)
