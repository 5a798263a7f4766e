"""What several processes share of limits: here the same file in the memory of one, and once of real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runfold.access.limits import BytesInFlight
from runfold.access.shared_limits import SharedLimits
from runfold.errors import TooBusy

SRC = Path(__file__).parents[2] / "src"
TAKERS, TAKES = 3, 1500
TAKE = f"""
import sys
from runfold.access.shared_limits import SharedLimits
shared = SharedLimits(int(sys.argv[1]), int(sys.argv[2]), {TAKERS})
bucket, tally = shared.bucket("key", 1000, 0), shared.tally()
through = 0
for _ in range({TAKES}):
    through += bucket.take(1.0) == 0
    if tally.take("ada", 7, 70, 70):
        assert tally.total <= 70
        tally.give_back("ada", 7)
tally.take("ada", 1, 70, 70)
print(through)
"""


@pytest.fixture
def file() -> Iterator[int]:
    made = SharedLimits.new(TAKERS)
    yield made
    os.close(made)


def test_bytes_of_bodies_are_bounded_for_all_processes_together(file: int) -> None:
    one, other = (BytesInFlight(100, SharedLimits(file, number, TAKERS).tally()) for number in (0, 1))
    one.take("ada", 30)
    other.take("ada", 20)
    with pytest.raises(TooBusy, match="bodies of 50 bytes"):  # half of all is one owner's
        other.take("ada", 1)
    other.take("bob", 50)
    assert one.total == other.total == 100
    with pytest.raises(TooBusy):
        one.take("eve", 1)
    one.give_back("ada", 30)
    other.take("ada", 30)
    for owner, size in (("ada", 50), ("bob", 50)):
        other.give_back(owner, size)
    assert one.total == other.total == 0


def test_what_a_process_held_that_has_ended_is_free_again(file: int) -> None:
    one, other = (SharedLimits(file, number, TAKERS) for number in (0, 1))
    held = BytesInFlight(100, one.tally())
    held.take("ada", 40)
    BytesInFlight(100, other.tally()).take("ada", 10)
    other.forget(0)
    assert held.total == 10


def test_a_key_may_ask_so_often_of_all_processes_together(file: int) -> None:
    one, other = (SharedLimits(file, number, TAKERS).bucket("default/key_1", 2, 0) for number in (0, 1))
    assert [one.take(5), other.take(5), one.take(5), other.take(5)] == [0, 0, 0.5, 0.5]
    assert other.take(5.5) == 0
    assert one.take(5.5) == 0.5
    assert [one.take(100), one.take(100), other.take(100)] == [0, 0, 0.5]
    assert SharedLimits(file, 2, TAKERS).bucket("default/key_2", 2, 0).take(100) == 0


def test_more_names_than_there_are_rows_are_bounded_all_the_same(file: int) -> None:
    shared, now = SharedLimits(file, 0, TAKERS), 5.0
    keys = [shared.bucket(f"key_{number}", 1, 0) for number in range(20_000)]
    through = sum(key.take(now) == 0 for key in keys)
    assert 10_000 < through < len(keys)
    assert sum(key.take(now + 60) == 0 for key in keys) >= through, "rows of those that asked long ago are for others"
    in_flight = BytesInFlight(10**9, shared.tally())
    for number in range(2000):
        in_flight.take(f"owner {number}", 1)
    assert in_flight.total == 2000
    for number in range(2000):
        in_flight.give_back(f"owner {number}", 1)
    assert in_flight.total == 0


def test_processes_that_take_at_once_take_no_more_than_there_is(file: int) -> None:
    command = [sys.executable, "-c", TAKE, str(file)]
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    takers = [
        subprocess.Popen([*command, str(number)], pass_fds=[file], env=environment, stdout=subprocess.PIPE, text=True)
        for number in range(TAKERS)
    ]
    through = [int(taker.communicate()[0]) for taker in takers]
    assert [taker.returncode for taker in takers] == [0] * TAKERS
    assert sum(through) == 1000
    assert SharedLimits(file, 0, TAKERS).tally().total == TAKERS


def test_a_process_that_is_killed_holds_up_nobody(file: int) -> None:
    forever = TAKE.replace(f"range({TAKES})", "iter(int, 1)").replace("through = 0", "through = 0; print('begun', flush=True)")
    command = [sys.executable, "-c", forever, str(file), "1"]
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    with subprocess.Popen(command, pass_fds=[file], env=environment, stdout=subprocess.PIPE, text=True) as taker:
        assert taker.stdout is not None
        taker.stdout.readline()
        shared = SharedLimits(file, 0, TAKERS)
        assert shared.tally().take("bob", 1, 1000, 1000)
        taker.kill()
    shared.forget(1)
    assert shared.tally().total == 1
    assert shared.bucket("another", 1, 0).take(time.monotonic()) == 0
