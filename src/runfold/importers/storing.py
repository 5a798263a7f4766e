"""Threads of a source stored one after the other, some at a time: while some wait for the disk, another is decided."""

import gc
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from runfold.importers.claims import Claims
from runfold.importers.format import SourceThread
from runfold.importers.source_import import Outcome, SourceImport
from runfold.ledger import Ledger
from runfold.uncollected import uncollected

AT_ONCE = 3
"""Threads that go in at a time, at most."""
LIGHT = 2_000_000
"""Bytes of sources that more than two threads may have which go in at a time: all of them are in memory."""
OBJECTS = 100_000
"""Objects that come to be, and stay, before the next search for cycles: some 50 MB."""


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
    with uncollected(), ThreadPoolExecutor(AT_ONCE, "runfold-import") as workers:
        going_in: deque[tuple[SourceThread, Future[Outcome]]] = deque()

        def take_first() -> None:
            done(going_in.popleft()[1].result())
            _collect_some()

        for source in sources:
            placed = claims.placed(source)
            while must_wait(placed, [other for other, _ in going_in]):
                take_first()
            is_joined = placed.thread_id != source.thread_id
            storing = SourceImport(ledger, format, version, placed, is_joined=is_joined, name=name).store
            going_in.append((placed, workers.submit(storing)))
        while going_in:
            take_first()


def must_wait(source: SourceThread, going_in: Sequence[SourceThread]) -> bool:
    """Return whether another must be in first: they are too many, too large together, or it goes into the same thread."""
    if len(going_in) == AT_ONCE or any(other.thread_id == source.thread_id for other in going_in):
        return True
    return len(going_in) > 1 and source.size + sum(other.size for other in going_in) > LIGHT


def _collect_some() -> None:
    """Give back what is no longer needed of threads that are in, whose messages and turns name each other, once that is much.

    Between two of them little else is there that would have to be looked through; a search in the midst of one finds nothing.
    """
    if gc.get_count()[0] > OBJECTS:
        gc.collect()
