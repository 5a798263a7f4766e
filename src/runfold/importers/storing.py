"""Threads of a source stored one after the other, some at a time: while some wait for the disk, another is decided."""

import contextlib
import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from runfold.importers.claims import Claims
from runfold.importers.format import SourceThread
from runfold.importers.source_import import Outcome, SourceImport
from runfold.ledger import Ledger

AT_ONCE = 3
"""Threads that go in at a time, at most."""
LIGHT = 2_000_000
"""Bytes of sources that more than two threads may have which go in at a time: all of them are in memory."""
OBJECTS = 50_000
"""Objects that come to be before the next search for cycles."""


def store_all(
    ledger: Ledger,
    format: str,
    version: int,
    sources: Iterable[SourceThread],
    done: Callable[[Outcome], None],
    name: str,
) -> None:
    """Store threads in the order in which they are read, which goes on meanwhile; `done` is told of each, in that order.

    `name` is the import's.
    """
    claims = Claims(ledger, format, version)
    with _seldom_collected(), ThreadPoolExecutor(AT_ONCE, "runfold-import") as workers:
        going_in: deque[tuple[SourceThread, Future[Outcome]]] = deque()
        for source in sources:
            placed = claims.placed(source)
            while must_wait(placed, [other for other, _ in going_in]):
                done(going_in.popleft()[1].result())
            is_joined = placed.thread_id != source.thread_id
            storing = SourceImport(ledger, format, version, placed, is_joined=is_joined, name=name).store
            going_in.append((placed, workers.submit(storing)))
        while going_in:
            done(going_in.popleft()[1].result())


def must_wait(source: SourceThread, going_in: Sequence[SourceThread]) -> bool:
    """Return whether another must be in first: they are too many, too large together, or it goes into the same thread."""
    if len(going_in) == AT_ONCE or any(other.thread_id == source.thread_id for other in going_in):
        return True
    return len(going_in) > 1 and source.size + sum(other.size for other in going_in) > LIGHT


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    """What a source is read into has hardly a cycle, and to look for some after each few hundred objects takes long."""
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
