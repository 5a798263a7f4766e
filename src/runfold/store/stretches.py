"""Stretches of the log one after the other, the next one read while whoever asked is still at the one before it."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

Rows = list[tuple[Any, ...]]
Read = Callable[[int], tuple[Rows, int]]
"""Return the rows after a position, as many as a stretch holds, and the position up to which these are all."""


def stretches(read: Read, after: int, up_to: int, full: int) -> Iterator[Rows]:
    """Yield what stands after a position and up to another; at the end it is looked once more what has come meanwhile.

    Who has taken two stretches of `full` rows is reading all there is: then the database, which needs as long as they do, reads
    on in a thread, one stretch ahead and no further.
    """
    thread: ThreadPoolExecutor | None = None
    ahead: Future[tuple[Rows, int]] | None = None
    whole = 0
    try:
        while after < up_to:
            found, end = read(after) if ahead is None else ahead.result()
            ahead, whole = None, whole + 1 if len(found) >= full else 0
            if whole > 1 and end < up_to:
                thread = thread or ThreadPoolExecutor(1, thread_name_prefix="runfold-stretches")
                ahead = thread.submit(read, end)
            yield found
            if end == after:
                return
            after = end
    finally:
        if thread is not None:
            thread.shutdown(wait=False, cancel_futures=True)
