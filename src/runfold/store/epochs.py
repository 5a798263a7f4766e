"""The lineage of a ledger's histories, and what a position of one of them means in the present one."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import tuple_row

from runfold.errors import HistoryChanged, LedgerUnavailable, UsageError
from runfold.store.cursor import Cursor, Place, cursor_of
from runfold.store.datastore import Connection
from runfold.store.reading.reader import Head, Reader

EPOCHS = "SELECT id, parent, from_position, lost_position, reason, began_at FROM runfold.epochs"
UNBOUNDED = 2**62


class Epoch(NamedTuple):
    """One history. It shares everything up to `from_position` with its parent, which is known to have gone to `lost_position`."""

    id: UUID
    parent: UUID | None
    from_position: int
    lost_position: int | None
    reason: str
    began_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Return it ready for `--json`."""
        return {
            "epoch": str(self.id),
            "parent": self.parent and str(self.parent),
            "from_position": self.from_position,
            "lost_position": self.lost_position,
            "reason": self.reason,
            "began_at": self.began_at.isoformat(),
        }


class Lineage:
    """The present history and those it came from. Iterate it: the present one first."""

    def __init__(self, epochs: Iterable[Epoch], present: UUID) -> None:
        self._known = {epoch.id: epoch for epoch in epochs}
        self.present = present

    def __iter__(self) -> Iterator[Epoch]:
        epoch = self._known.get(self.present)
        while epoch is not None:
            yield epoch
            epoch = self._known.get(epoch.parent) if epoch.parent else None

    def shared(self, epoch: UUID) -> int | None:
        """The last position that a history shares with the present one; None for one that is not of this lineage."""
        bound = UNBOUNDED
        if epoch == self.present:
            return bound
        for each in self:
            if each.id == epoch:
                return bound
            bound = min(bound, each.from_position)
        return None

    def holds(self, position: int, epoch: UUID) -> bool:
        """Return whether a position of a history is one of the present history too."""
        bound = self.shared(epoch)
        return bound is not None and position <= bound

    def require(self, position: int, epoch: UUID, head: int) -> None:
        """Raise HistoryChanged unless a position of a history is one of the present history, which ends at `head`."""
        bound = self.shared(epoch)
        if bound is None or position > min(bound, head):
            raise self._changed(cursor_of(position, epoch), bound, head)

    def require_cursor(self, cursor: Cursor, head: int) -> None:
        """The same of a cursor with an epoch. Raises UsageError where its digits could mean several."""
        named = [each.id for each in self if cursor.epoch is not None and each.id.hex.startswith(cursor.epoch)]
        if len(named) > 1:
            raise UsageError(f"the history of {cursor} is ambiguous: {', '.join(map(str, named))}; give more digits")
        if not named:
            raise self._changed(str(cursor), None, head)
        self.require(cursor.position, named[0], head)

    def _changed(self, asked: str, bound: int | None, head: int) -> HistoryChanged:
        return HistoryChanged(asked, None if bound is None else min(bound, head), str(self.present))


def lineage_of(reader: Reader, head: Head) -> Lineage:
    """The lineage of the history that a head is of. Raises LedgerUnavailable."""
    return Lineage((Epoch(*row) for row in reader.rows(EPOCHS)), head.epoch)


def lineage_over(connection: Connection, present: UUID) -> Lineage:
    """The same over a connection of one's own. Raises psycopg.Error."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return Lineage((Epoch(*row) for row in cursor.execute(EPOCHS)), present)


def position_of(reader: Reader, after: Place) -> int:
    """Return what a cursor is in the present history; a bare position is not checked.

    Raises HistoryChanged, UsageError, LedgerUnavailable.
    """
    cursor = Cursor.parse(after)
    if cursor.epoch is not None:
        head = _confirmed(reader, cursor.position, reader.head())
        lineage_of(reader, head).require_cursor(cursor, head.position)
    return cursor.position


def still(reader: Reader, position: int, epoch: UUID) -> Head:
    """The head, where a position that was reached in a history is one of the present history.

    Raises HistoryChanged, LedgerUnavailable.
    """
    head = reader.head()
    if head.epoch != epoch or position > head.position:
        head = _confirmed(reader, position, head)
        lineage_of(reader, head).require(position, epoch, head.position)
    return head


def _confirmed(reader: Reader, position: int, head: Head) -> Head:
    """The head, once it is known why it is before a position that somebody has seen. Raises LedgerUnavailable."""
    if position <= head.position:
        return head
    if reader.rows("SELECT pg_catalog.pg_is_in_recovery()") == [(True,)]:
        fact = f"this standby is at position {head.position}, and has not reached {position} yet"
        raise LedgerUnavailable(fact, "ask again in a moment, or ask the primary")
    reader.when_short()
    return reader.head()
