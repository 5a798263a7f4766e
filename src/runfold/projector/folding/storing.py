"""Storing what was folded while the next page is folded: on a connection of its own, one page at a time.

The server writes rows for as long as a third of the time that it takes to fold them, so both go on at once where there is
more to fold.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple
from uuid import UUID

from runfold.failpoint import reach
from runfold.projector import checkpoints
from runfold.projector.connection import connect
from runfold.projector.folding.page import Page
from runfold.projector.folding.shard import Folded, Shard
from runfold.store.datastore import Connection, Datastore
from runfold.store.reading.reader import Head

Work = Callable[[Connection], None]
Together = list[tuple[Shard, Folded]]
"""Read models, each with what one page comes to in it."""


class Ahead(NamedTuple):
    """A page that is being stored while the next one is folded."""

    folded: Together
    page: Page
    head: Head


class Storing:
    """One thread with a connection. What was begun is ended by `end`, which raises what went wrong."""

    def __init__(self, datastore: Datastore) -> None:
        self._datastore = datastore
        self._open: Connection | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._begun: Future[None] | None = None

    def begin(self, work: Work) -> None:
        """Let something be stored; whatever was begun before has ended."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="runfold-storing")
        self._begun = self._thread.submit(self._do, work)

    def end(self) -> None:
        """Wait until what was begun is stored. Raises what that raised."""
        begun, self._begun = self._begun, None
        if begun is not None:
            begun.result()

    def close(self) -> None:
        """Wait, whatever comes of it, and give connection and thread back; what is begun after that begins anew."""
        self._begun = None
        if self._thread is not None:
            self._thread.submit(self._close).result()
            self._thread.shutdown()
            self._thread = None

    def _do(self, work: Work) -> None:
        if self._open is None or self._open.closed:
            self._open = connect(self._datastore)
        work(self._open)

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None


def store_together(connection: Connection, folded: Together, after: int, up_to: int, epoch: UUID) -> None:
    """Store what a page comes to in some read models, in one transaction. Raises ClaimsLost, InvalidRow, psycopg.Error."""
    with connection.transaction():
        checkpoints.advance(connection, [each.applied.claim for _, each in folded], after, up_to, epoch)
        reach("checkpoint moved")
        for shard, each in folded:
            shard.write(connection, each)
        reach("rows written")
        checkpoints.acknowledge(connection, [each.applied for _, each in folded], after, up_to)
        for shard, each in folded:
            if shard.ends_trouble(each):
                checkpoints.end_trouble(connection, shard.name, each.applied.claim.generation)
        reach("receipt written")
