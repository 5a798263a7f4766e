"""Stretches of the log one after the other, the next ones read while whoever asked is still at those before."""

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

Rows = list[tuple[Any, ...]]
Read = Callable[[int], tuple[Rows, int]]
"""Return the rows after a position, as many as a stretch holds, and the position up to which these are all."""
AHEAD = 2
"""No more stretches are read ahead. With one, reading waits for whoever takes them, and they for it."""


def stretches(read: Read, after: int, up_to: int, full: int, read_ahead: Read | None = None) -> Iterator[Rows]:
    """Yield what stands after a position and up to another; at the end it is looked once more what has come meanwhile.

    Who has taken two stretches of `full` rows is reading all there is: then the database, which needs as long as they do, reads
    on in a thread, by `read_ahead` where that is given.
    """
    whole = 0
    while after < up_to:
        for found, end in _ahead(read_ahead or read, after, up_to, full) if whole > 1 else [read(after)]:
            yield found
            if end == after:
                return
            after, whole = end, whole + 1 if len(found) >= full else 0


def _ahead(read: Read, after: int, up_to: int, full: int) -> Iterator[tuple[Rows, int]]:
    """Yield stretches that a thread reads, to the first that is not full: what comes after that may come while it is taken."""
    found: SimpleQueue[tuple[Rows, int] | BaseException | None] = SimpleQueue()
    room, is_taken = threading.Semaphore(AHEAD), True

    def read_on() -> None:
        position, is_full = after, True
        try:
            while is_full and position < up_to:
                room.acquire()
                if not is_taken:
                    return
                stretch = read(position)
                is_full, position = len(stretch[0]) >= full, stretch[1]
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
