"""Which history the database holds, compared with what this process and the mark file have seen of it.

Where the database is not where it was, or lacks what was seen of it, a new history begins: its lineage says so, and positions
of the one before are good only up to where the two part. It is asked when a ledger is opened and whenever a connection that
appends is made anew, for no database is replaced under a connection.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import tuple_row

from runfold.errors import LedgerError, LedgerUnavailable, UsageError
from runfold.logs import logger
from runfold.store.datastore import Connection
from runfold.store.marks import MarkFile, Seen
from runfold.store.queries import named_queries
from runfold.store.reading.reader import Reader

NOTE_SECONDS = 1.0

_KNOWN = "%b::uuid, %b::bigint, %b::uuid, %b::timestamptz"
_QUERIES = named_queries("runfold.store.reading", "history.sql")
_FOLLOW = f"SELECT epoch, began, common_position, lost_position FROM runfold.follow_history({_KNOWN})"
_PARTED = f"SELECT reason, common_position, lost_position FROM runfold.parted({_KNOWN}) WHERE reason IS NOT NULL"


class Parting(NamedTuple):
    """The database parted from its history: why, the last common position, and how far the history is known to have gone."""

    reason: str
    common_position: int
    lost_position: int | None

    @property
    def fact(self) -> str:
        """Describe the parting in words."""
        lost = f", and positions up to {self.lost_position} were seen" if self.lost_position is not None else ""
        what = {
            "copied": "the database is a copy, at another place than its history says",
            "timeline changed": "the server went over to another timeline (a standby took over, or it was recovered to a time)",
            "rolled back": "the database was put back to an older copy",
        }[self.reason]
        return f"{what}: it has the history up to position {self.common_position}{lost}"


class History:
    """Compares the database with its marks, and keeps them. Thread-safe."""

    def __init__(self, reader: Reader, marks: MarkFile) -> None:
        self.marks = marks
        self.epoch: UUID | None = None
        self.when_changed: list[Callable[[], object]] = []
        """Called, in any thread, when the present history is another one than before."""
        self.parting: Parting | None = None
        """What was found and could not be followed, because this role may not write."""
        self._reader = reader
        self._turn = threading.Lock()
        self._seen: Seen | None = None
        self._noted: Seen | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Compare, begin a new history where that is due, and note how far it is. Raises LedgerUnavailable."""
        with self._reader.datastore.reading() as connection:
            self.follow(connection)
        with contextlib.suppress(LedgerUnavailable):  # a page that cannot be read is for who reads it, and for `runfold check`
            self.look()
        self._note()

    def follow(self, connection: Connection) -> None:
        """Compare over a connection; begin a new history where that is due and may be. Raises psycopg.Error."""
        with self._turn, connection.cursor(row_factory=tuple_row) as cursor:
            present, may_begin = cursor.execute(_QUERIES["present"]).fetchone() or (None, False)
            asked = self._known(present)
            began = None
            if may_begin:
                present, began, common, lost = cursor.execute(_FOLLOW, asked).fetchone() or (present, None, None, None)
                self.parting = None
                if began and (common or lost):  # a copy of an empty ledger is a new one
                    _warn("a new history begins", Parting(began, common, lost), present)
            else:
                found = cursor.execute(_PARTED, asked).fetchone()
                if found and self.parting is None:
                    _warn("the database parted from its history", Parting(*found), present)
                self.parting = Parting(*found) if found else None
            changed, self.epoch = present != self.epoch, present
            if changed:
                self._seen = self._noted = None
        if changed:
            for told in self.when_changed:
                told()

    def check(self) -> None:
        """Compare, over a connection of the pool. Raises LedgerUnavailable."""
        with self._reader.datastore.reading() as connection:
            self.follow(connection)

    def parted(self) -> Parting | None:
        """Return whether the database has parted from its history; nothing is begun. Raises UsageError, LedgerUnavailable."""
        ((present, _),) = self._reader.rows(_QUERIES["present"])
        found = self._reader.rows(_PARTED, [present, *(self.marks.read(present) or (None, None, None))])
        return Parting(*found[0]) if found else None

    def saw(self, position: int, event_id: bytes, recorded_at: Any) -> None:
        """An event was read or stored: cheap, to be noted within a second."""
        seen = self._seen
        if seen is None or position > seen.position:
            self._seen = Seen(position, UUID(bytes=event_id), recorded_at)
            if self._thread is None and not self._closing.is_set():
                thread = threading.Thread(target=self._note_on, name="runfold-marks", daemon=True)
                thread.start()
                self._thread = thread  # once it runs: an interrupt before that leaves nothing to be waited for

    def look(self) -> None:
        """See how far the database is. Raises LedgerUnavailable."""
        for epoch, position, event_id, recorded_at in self._reader.rows(_QUERIES["last"]):
            if epoch == self.epoch and (self._seen is None or position > self._seen.position):
                self._seen = Seen(position, event_id, recorded_at)

    def close(self) -> None:
        """Note what was seen last."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        self._note()

    def _known(self, present: UUID | None) -> list[Any]:
        """The last event that was seen of a history, here or by others."""
        noted = None
        if present is not None:
            try:
                noted = self.marks.read(present)
            except UsageError as error:
                _warn_of_file(error)
        seen = self._seen if present == self.epoch else None
        last = max((each for each in (noted, seen) if each is not None), key=lambda each: each.position, default=None)
        return [present, *(last or (None, None, None))]

    def _note_on(self) -> None:
        while not self._closing.wait(NOTE_SECONDS):
            with contextlib.suppress(LedgerError):  # the next time
                if self._seen is not self._noted and self._reader.head().epoch != self.epoch:
                    self.check()
                self._note()

    def _note(self) -> None:
        with self._turn:
            seen, epoch = self._seen, self.epoch
            if seen is None or epoch is None or seen is self._noted or self.parting is not None:
                return
            try:
                self.marks.note(epoch, seen)
            except UsageError as error:
                _warn_of_file(error)
            self._noted = seen


def _warn(event: str, parting: Parting, present: UUID | None) -> None:
    logger().warning(event, epoch=str(present), fact=parting.fact, reason=parting.reason)


def _warn_of_file(error: UsageError) -> None:
    logger().warning("how far the history was seen is not known", error=str(error))
