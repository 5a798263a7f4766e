"""No search for cycles while much is made that has none. To look through all of it, again and again, takes longer than to make
it, and no other thread runs meanwhile."""

import contextlib
import gc
import threading
from collections.abc import Iterator

SELDOM = 50_000
"""Objects that are made and stay before a search for cycles, where Python's own number is 700."""

_turn = threading.Lock()
_inside = 0
"""How many threads are at such work."""
_was_enabled = True
_collecting = 0
"""How many threads make much that stays, of which cycles are looked for seldom."""
_threshold = 0


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Put off the search for cycles until all who asked for that are done."""
    global _inside, _was_enabled  # noqa: PLW0603  there is one collector a process
    with _turn:
        if not _inside:
            _was_enabled = gc.isenabled()
            gc.disable()
        _inside += 1
    try:
        yield
    finally:
        with _turn:
            _inside -= 1
            if not _inside and _was_enabled:
                gc.enable()


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """Look for cycles seldom until all who asked for that are done; who sets another number meanwhile keeps it.

    A command of a large batch takes 16 µs so, and 20 where each few hundred objects are looked through, all that a program has
    from time to time. The search goes on: what others leave in cycles meanwhile is bounded.
    """
    global _collecting, _threshold  # noqa: PLW0603  there is one collector a process
    with _turn:
        if not _collecting:
            _threshold, *others = gc.get_threshold()
            if 0 < _threshold < SELDOM:
                gc.set_threshold(SELDOM, *others)
        _collecting += 1
    try:
        yield
    finally:
        with _turn:
            _collecting -= 1
            now, *others = gc.get_threshold()
            if not _collecting and 0 < _threshold < now == SELDOM:
                gc.set_threshold(_threshold, *others)
