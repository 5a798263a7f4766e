"""How work grows with input: counted in calls, in processor time against itself, and in memory against the input's size."""

import gc
import sys
import time
import tracemalloc
from collections.abc import Callable, Sized
from typing import Any, NamedTuple

from runfold.errors import LedgerError

TIMES = 8
"""How much larger the larger input is."""
FLOOR_SECONDS = 0.0005
"""Less than that is taken for that."""


class Growth(NamedTuple):
    """How much more the larger input took."""

    calls: float
    """Times as many."""
    message: int
    """Characters of what was said of the larger one."""
    seconds: float = 0.0
    """Times as many; looked at only where that was asked for."""
    bytes_each: float = 0.0
    """The peak of memory, in bytes for each byte of the larger input, where that was asked for and it has a size."""


def _said(work: Callable[[Any], object], given: Any) -> str:
    try:
        work(given)
    except (LedgerError, ValueError) as error:
        return str(error)
    return ""


def calls_of(work: Callable[[Any], object], given: Any) -> int:
    """Python's and C's functions that were called."""
    count = 0

    def counting(_: object, event: str, __: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(counting)
    try:
        _said(work, given)
    finally:
        sys.setprofile(None)
    return count


def seconds_of(work: Callable[[Any], object], given: Any) -> float:
    """Of this thread's processor, without what Python's collector of garbage does now and then."""
    gc.disable()
    began = time.thread_time()
    try:
        _said(work, given)
        return time.thread_time() - began
    finally:
        gc.enable()


def growth(work: Callable[[Any], object], make: Callable[[int], Any], small: int, *, weighed: bool = False) -> Growth:
    """What becomes of work on `make(n)` where n is eight times as much; `weighed` in time and memory too.

    Time is the least of some tries, for a busy machine only ever adds to it.
    """
    little, much = make(small), make(small * TIMES)
    message = len(_said(work, much))  # what is made at the first use is made by now
    calls = calls_of(work, much) / max(50, calls_of(work, little))
    if not weighed:
        return Growth(calls, message)
    least = max(FLOOR_SECONDS, min(seconds_of(work, little) for _ in range(3)))
    seconds = min(seconds_of(work, much) for _ in range(2)) / least
    tracemalloc.start()
    _said(work, much)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Growth(calls, message, seconds, peak / len(much) if isinstance(much, Sized) else 0.0)
