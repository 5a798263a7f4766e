"""One connection that appends. It tells a lost reply from a lost event before it answers."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

import psycopg

from runfold.errors import LedgerUnavailable
from runfold.store.appending.append_call import AppendCall, Conflicts, Placed, new_salts
from runfold.store.appending.packing import UuidArray, register
from runfold.store.appending.turns import Turns
from runfold.store.codec import Row, StreamKey
from runfold.store.datastore import Connection, Datastore, unavailable

_CANCEL_SECONDS = 5.0
_NOTHING: Mapping[StreamKey, int] = MappingProxyType({})
_FIND = "SELECT notification_id, recorded_at, salt FROM runfold.log WHERE event_id = ANY(%b)"
_STORED_IDS = "SELECT uuid_send(event_id) FROM runfold.log WHERE event_id = ANY(%b)"


class Batch(NamedTuple):
    """Events to append, and the streams that must be at a version though nothing is written to them."""

    rows: Sequence[Row]
    watched: Mapping[StreamKey, int] = _NOTHING
    salts: bytes | None = None
    """16 bytes an event, where the caller wants to know them."""


class Repeated(NamedTuple):
    """Events of a batch that another process stored meanwhile, under the ids that a key gives them."""

    event_ids: frozenset[bytes]


class Writer:
    """Appends batches, one at a time."""

    def __init__(self, datastore: Datastore) -> None:
        self._datastore = datastore
        self._connection: Connection | None = None
        self._call: AppendCall | None = None
        self.turns = Turns()
        """Who may use the connection."""
        self.when_connected: Callable[[Connection], object] | None = None
        """Called with each connection before anything is appended over it. It may raise psycopg.Error."""
        self.when_stored: Callable[[int, bytes, datetime], object] | None = None
        """Called with the position, id and time of the last event of what was stored. It must not wait."""
        self.when_sent: Callable[[], object] | None = None
        """Called once: when the next events are on their way. It must not wait."""

    def append(
        self,
        rows: Sequence[Row],
        watched: Mapping[StreamKey, int] = _NOTHING,
        salts: bytes | None = None,
        *,
        is_sent: bool = False,
    ) -> Placed | Conflicts | Repeated:
        """Write all rows at the next positions; or nothing, and the answer names the streams or the events in the way.

        `watched` are streams that must be at a version though nothing is written to them. `salts` are 16 bytes an event. What
        `is_sent` was sent before with the same salts, and its answer lost.

        When the connection breaks, the reply may be lost and the events not: they are looked up by id, and sent again
        only if they are not there. Raises LedgerUnavailable.
        """
        with self.turns:
            deadline = time.monotonic() + self._datastore.connect_timeout
            salts = new_salts(len(rows)) if salts is None else salts
            sent = is_sent
            while True:
                try:
                    connection = self._connected()
                    sent_before = sent
                    if sent_before and (stored := _find(connection, rows, salts)):
                        return stored
                    sent = True
                    answer = self._append(connection, rows, watched, salts)
                    if sent_before and not isinstance(answer, Placed):
                        return _find(connection, rows, salts) or answer  # the earlier try's commit came through meanwhile
                except psycopg.errors.UniqueViolation as error:
                    return self._refusal(error, rows)
                except psycopg.Error as error:
                    self._give_up_or_wait(error, deadline, sent=sent)
                else:
                    if isinstance(answer, Placed):
                        self.told(answer, rows)
                    return answer

    def append_alone(self, decide: Callable[[], Batch | None]) -> Placed | Conflicts | Repeated | None:
        """Hold up everybody else's appends, here and in other processes, while `decide` reads and says what to append.

        Its readers see all that is stored, for they use other connections. None where it gives nothing to append. The server
        ends the hold of who takes longer than a moment over it. Raises LedgerUnavailable, and what `decide` raises.
        """
        batch: Batch | None = None
        answer: Placed | Conflicts | None = None
        with self.turns:
            try:
                connection = self._connected()
                with connection.transaction():
                    connection.execute("SELECT runfold.hold_appends()")
                    if (batch := decide()) is None:
                        return None
                    batch = batch._replace(salts=batch.salts or new_salts(len(batch.rows)))
                    answer = self._append(connection, *batch)
            except psycopg.errors.UniqueViolation as error:
                if batch:
                    return self._refusal(error, batch.rows)
                raise unavailable(error) from error
            except psycopg.Error as error:
                return self._after_lost_hold(error, batch if isinstance(answer, Placed) else None)
            if isinstance(answer, Placed):
                self.told(answer, batch.rows)
            return answer

    def begin_sending(self) -> AppendCall | None:
        """Send several batches at once over the connection, until `end_sending`: nobody else appends over it meanwhile.

        None where there is no connection yet, or somebody else is at it.
        """
        if self._call is None or not self.turns.try_enter():
            return None
        if self._call is None:  # it was lost meanwhile
            self.turns.leave()
        return self._call

    def end_sending(self, *, is_lost: bool = False) -> None:
        """Let others append. Where an answer is outstanding, the connection is of no more use."""
        if is_lost:
            self._drop()
        self.turns.leave()

    def _append(
        self, connection: Connection, rows: Sequence[Row], watched: Mapping[StreamKey, int], salts: bytes | None
    ) -> Placed | Conflicts:
        try:
            if self._call is None:
                self._call = AppendCall(connection)
            when_sent, self.when_sent = self.when_sent, None
            return self._call(rows, watched, salts or new_salts(len(rows)), when_sent)
        except psycopg.Error:
            raise
        except BaseException:  # an interrupt: what is still answered would be taken for the answer to the next call
            self._cancel()
            raise

    def _cancel(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.cancel_safe(timeout=_CANCEL_SECONDS)
        self._drop()

    def told(self, placed: Placed, rows: Sequence[Row]) -> None:
        """Let whoever follows what is stored know of it."""
        if self.when_stored is not None:
            self.when_stored(placed.first_position + len(rows) - 1, rows[-1].event_id, placed.recorded_at)

    def _after_lost_hold(self, error: psycopg.Error, committing: Batch | None) -> Placed:
        """Return where the rows stand, if they were stored before the connection broke. Raises LedgerUnavailable where not."""
        if self._connection is not None and not self._connection.broken:
            raise unavailable(error) from error
        self._drop()
        if committing is not None:
            try:
                connection = self._connected()
                connection.execute("SELECT runfold.hold_appends()")  # by then a commit that was on its way is through
                if stored := _find(connection, committing.rows, committing.salts):
                    return stored
            except psycopg.Error as again:
                raise _unknown(again) from error
        fact = f"the database ended the session that blocked all appends; nothing was stored ({_first_line(error)})"
        raise LedgerUnavailable(fact, "retry") from error

    def refusal(self, error: psycopg.Error, rows: Sequence[Row]) -> Repeated:
        """Return the events that are stored already, where the server refused the rows for that. Raises LedgerUnavailable."""
        with self.turns:
            return self._refusal(error, rows)

    def _refusal(self, error: psycopg.Error, rows: Sequence[Row]) -> Repeated:
        if isinstance(error, psycopg.errors.UniqueViolation) and (repeated := self._repeated(rows)):
            return repeated
        raise unavailable(error) from error

    def _repeated(self, rows: Sequence[Row]) -> Repeated | None:
        try:
            with self._connected().cursor(binary=True, row_factory=psycopg.rows.tuple_row) as cursor:
                found = cursor.execute(_STORED_IDS, [UuidArray(row.event_id for row in rows)]).fetchall()
        except psycopg.Error as error:
            raise unavailable(error) from error
        return Repeated(frozenset(event_id for (event_id,) in found)) if found else None

    def close(self) -> None:
        """Give the connection back."""
        with self.turns:
            self._drop()

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = self._connection = self._datastore.connect()
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            connection.prepare_threshold = None  # else, once something is rolled back, it gives back the append function too
            register(connection.adapters)
            if self.when_connected is not None:
                self.when_connected(connection)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
        self._connection = self._call = None

    def _give_up_or_wait(self, error: psycopg.Error, deadline: float, *, sent: bool) -> None:
        lost = self._connection is None or self._connection.broken
        if not lost:
            raise unavailable(error) from error  # the server itself said no, so nothing was stored
        self._drop()
        if time.monotonic() > deadline:
            if not sent:
                raise unavailable(error) from error
            raise _unknown(error) from error
        self._datastore.revive()
        time.sleep(0.05)


def _unknown(error: psycopg.Error) -> LedgerUnavailable:
    return LedgerUnavailable(
        f"append failed ({str(error).strip()}); it is unknown whether the events were stored",
        "repeat the command with the same ids",
    )


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _find(connection: Connection, rows: Sequence[Row], salts: bytes | None) -> Placed | None:
    """Return where the rows stand, if an earlier try stored them: all of them or none, for they go in together."""
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        found = sorted(cursor.execute(_FIND, [UuidArray(row.event_id for row in rows)]).fetchall())
    # Fewer than all, or others' salts, are events under a key that another process stored: those of an own try go in together.
    if len(found) < len(rows) or b"".join(salt or b"" for _, _, salt in found) != salts:
        return None
    position, recorded_at, _ = found[0]
    return Placed(position, recorded_at)
