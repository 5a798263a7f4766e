"""No search for cycles while much is made that has none. To look through all of it, again and again, takes longer than to make
it, and no other thread runs meanwhile."""

import contextlib
import gc
import threading
from collections.abc import Iterator

_turn = threading.Lock()
_inside = 0
"""How many threads are at such work."""
_was_enabled = True


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
