"""Stretches of the log one after the other, the next ones read while whoever asked is still at those before."""

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import NamedTuple

from runfold.store.unlocked import Row


class Found(NamedTuple):
    """Some rows, the position up to which these are all, and whether no more of them fit into the stretch."""

    rows: Sequence[Row]
    end: int
    is_full: bool


Read = Callable[[int], Found]
"""Return the rows after a position, as many as a stretch holds."""
AHEAD = 2
"""No more stretches are read ahead. With one, reading waits for whoever takes them, and they for it."""


def stretches(read: Read, after: int, up_to: int, read_ahead: Read | None = None) -> Iterator[Sequence[Row]]:
    """Yield what stands after a position and up to another; at the end it is looked once more what has come meanwhile.

    Who has taken two full stretches is reading all there is: then the database, which needs as long as they do, reads on in a
    thread, by `read_ahead` where that is given.
    """
    full = 0
    while after < up_to:
        for found in _ahead(read_ahead or read, after, up_to) if full > 1 else [read(after)]:
            yield found.rows
            if found.end == after:
                return
            after, full = found.end, full + 1 if found.is_full else 0


def _ahead(read: Read, after: int, up_to: int) -> Iterator[Found]:
    """Yield stretches that a thread reads, to the first that is not full: what comes after that may come while it is taken."""
    found: SimpleQueue[Found | BaseException | None] = SimpleQueue()
    room, is_taken = threading.Semaphore(AHEAD), True

    def read_on() -> None:
        position, is_full = after, True
        try:
            while is_full and position < up_to:
                room.acquire()
                if not is_taken:
                    return
                stretch = read(position)
                is_full, position = stretch.is_full, stretch.end
                found.put(stretch)
            found.put(None)
        except BaseException as error:  # it is raised where it is taken
            found.put(error)

    threading.Thread(target=read_on, name="runfold-stretches", daemon=True).start()
    try:
        while (stretch := found.get()) is not None:
            if isinstance(stretch, BaseException):
                raise stretch
            room.release()
            yield stretch
    finally:
        is_taken = False
        room.release()
