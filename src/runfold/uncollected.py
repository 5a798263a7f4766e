"""No search for cycles while much is made that has none. To look through all of it, again and again, takes longer than to make
it, and no other thread runs meanwhile."""

import contextlib
import gc
import threading
from collections.abc import Iterator

SELDOM, VERY_SELDOM = 50_000, 250_000
"""Objects that are made and stay before a search for cycles, where Python's own number is 700; and where much more is made, of
which most goes again. 250,000 are looked through in a tenth of a second."""

_turn = threading.Lock()
_inside = 0
"""How many threads are at such work."""
_was_enabled = True
_asked: list[int] = []
"""After how many objects cycles are looked for, as each thread wants it that makes much."""
_found = _set = 0
"""The number that there was when the first of them asked, and the one that is set."""


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
def seldom_collected(objects: int = SELDOM) -> Iterator[None]:
    """Look for cycles only after so many objects until all who asked for it are done; who sets another number meanwhile keeps it.

    A command of a large batch takes 16 µs so, and 20 where each few hundred objects are looked through, all that a program has
    from time to time. The search goes on: what others leave in cycles meanwhile is bounded.
    """
    global _found, _set  # noqa: PLW0603  there is one collector a process
    with _turn:
        if not _asked:
            _found = _set = gc.get_threshold()[0]
        _asked.append(objects)
        _set = _adjusted()
    try:
        yield
    finally:
        with _turn:
            _asked.remove(objects)
            _set = _adjusted()


class SeldomWhile:
    """The same for who is now at much, now at little: whoever waits for little is not to wait for a long search."""

    def __init__(self, objects: int) -> None:
        self._objects, self._held = objects, contextlib.ExitStack()
        self._is_held = False

    def hold(self, is_much: bool) -> None:
        """Look for cycles seldom from now on, or as before."""
        if is_much and not self._is_held:
            self._held.enter_context(seldom_collected(self._objects))
        elif not is_much:
            self._held.close()
        self._is_held = is_much


def _adjusted() -> int:
    """Set the most that is asked for, unless somebody else has set a number meanwhile; return what was set last."""
    now, *others = gc.get_threshold()
    if _found == 0 or now != _set:  # 0: switched off
        return _set
    most = max([_found, *_asked])
    gc.set_threshold(most, *others)
    return most
