"""Folding a long log takes no more memory than folding a short one, and a process that ran out of it stands in nobody's way."""

import functools
import multiprocessing
import signal
import sys

import pytest

from runfold.projections.fold import FoldFailed, fold_all
from runfold.projections.registry import known
from runfold.projector.tables import generations
from tests.databases import TestDatabase
from tests.projector import driver
from tests.projector.killing import SPAWNING
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import Tally
from tests.promises.crowd import first_day, multiply

NAMES = ("run_summaries", "tool_calls")
ROOM, TOO_LITTLE = 192 * 2**20, 12 * 2**20
ADDRESSES = 512 * 2**20
"""Each thread takes many more addresses than memory."""


def fold(url: str, room: int) -> tuple[int | None, int | None]:
    """How a process ended that folds all there is, and how many bytes it took."""
    told, tell = multiprocessing.Pipe(duplex=False)
    process = SPAWNING.Process(target=driver.fold_within, args=[url, NAMES, room, tell])
    process.start()
    tell.close()
    process.join(240)
    try:
        return process.exitcode, told.recv()
    except EOFError:
        return process.exitcode, None


@pytest.mark.fault("A12")
def test_a_worker_that_ran_out_of_memory_is_started_again_and_replays_a_long_log_in_bounded_memory(
    database: TestDatabase,
) -> None:
    crowd = multiply(first_day(database), 100_000)
    with Books(database.projector_url) as books:
        for model in books.models():
            generations.remove(books.connection, model)
    ended, _ = fold(database.projector_url, TOO_LITTLE)
    assert ended, "it had no room to fold in"
    with Books(database.projector_url) as books:
        assert [model.trouble for model in books.models() if model.trouble == "stopped"] == [], "no event is to blame"
    ended, took = fold(database.projector_url, ADDRESSES)
    assert ended == 0
    assert took is not None
    assert took < ROOM
    assert crowd.events > 99_000
    require_sound(database.projector_url, [known()[name] for name in NAMES])


def test_an_event_is_not_to_blame_where_memory_ran_out(fill, ledger) -> None:  # type: ignore[no-untyped-def]
    class Greedy(Tally):
        """It runs out of memory."""

        def evolve(self, *_: object) -> None:
            raise MemoryError

    fill(1)
    with pytest.raises(MemoryError):
        fold_all(Greedy(), ledger.recorder.reader.events())
    assert not issubclass(MemoryError, FoldFailed)


class Handler:
    """What a program does at a signal, as an object's method."""

    def end(self, *_: object) -> None:
        sys.exit("told to end")


@pytest.mark.parametrize("how", ["a function", "a method", "with more arguments", "an error"])
def test_an_event_is_not_to_blame_where_the_program_was_told_to_end(fill, ledger, how: str) -> None:  # type: ignore[no-untyped-def]
    class Interrupted(Tally):
        """A signal comes amid it."""

        def evolve(self, *_: object) -> None:
            signal.raise_signal(signal.SIGUSR2)

    def end(*said: object) -> None:
        raise TimeoutError("told to end") if how == "an error" else SystemExit("told to end")

    handler = {"a method": Handler().end, "with more arguments": functools.partial(end, 7)}.get(how, end)
    fill(1)
    before = signal.signal(signal.SIGUSR2, handler)
    try:
        with pytest.raises((SystemExit, TimeoutError), match="told to end"):
            fold_all(Interrupted(), ledger.recorder.reader.events())
    finally:
        signal.signal(signal.SIGUSR2, before)
