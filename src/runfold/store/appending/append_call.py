"""The call of the append function over a connection, straight over the wire.

What is asked and answered has one form, so it is packed and sent as it is. A cursor would take each value apart first, which
takes longer than the server does.
"""

import os
import select
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import OperationalError, errors
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.rows import tuple_row

from runfold.store.appending import packing
from runfold.store.codec import Row, StreamKey
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

SALT_BYTES = 16
_QUERIES = named_queries("runfold.store.appending", "append_call.sql")
_MANY, _ALIKE = 64, 4
"""So many events are sent in groups, where a group has so many of them on average; of others that takes the server longer."""


class _Statement(NamedTuple):
    """A way to append: by itself, and after an event that was sent before."""

    alone: bytes
    after: bytes


_EVENTS = _Statement(b"runfold_append", b"runfold_append_after")
_GROUPS = _Statement(b"runfold_append_groups", b"runfold_append_groups_after")
_PREPARED = {
    _EVENTS.alone: "append",
    _EVENTS.after: "append after",
    _GROUPS.alone: "append groups",
    _GROUPS.after: "append groups after",
}


class Placed(NamedTuple):
    """Where a batch of events stands: its first position, and the store's time."""

    first_position: int
    recorded_at: datetime


class Sent(NamedTuple):
    """The last event of rows on their way. Where it is stored, all of them are: its salt is of this try alone."""

    event_id: bytes
    salt: bytes


def new_salts(count: int) -> bytes:
    """Return salts for some events, one after the other."""
    return os.urandom(SALT_BYTES * count)


Conflicts = dict[StreamKey, int]
"""Streams that are not where a batch believed them to be, and the version each is at."""


class AppendCall:
    """The append function, ready to be called over a connection that nobody else uses meanwhile."""

    def __init__(self, connection: Connection) -> None:
        """Prepare it. Raises psycopg.Error."""
        self._pgconn = connection.pgconn
        self._decoder = Transformer(connection)
        with connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(_QUERIES["event type"], prepare=False).fetchone()
        assert found is not None, "an expression is a row"  # noqa: S101
        (self._type,) = found
        self._reading, self._both = select.poll(), select.poll()
        self._reading.register(self._pgconn.socket, select.POLLIN)
        self._both.register(self._pgconn.socket, select.POLLIN | select.POLLOUT)
        for name, query in _PREPARED.items():
            self._pgconn.send_prepare(name, _QUERIES[query].encode())
            self._answer(ExecStatus.COMMAND_OK)

    # One at a time

    def __call__(
        self,
        rows: Collection[Row],
        watched: Mapping[StreamKey, int],
        salts: bytes,
        when_sent: Callable[[], object] | None = None,
    ) -> Placed | Conflicts:
        """Append, or tell what stands in the way. After any other error than psycopg.Error the connection is of no use.

        `when_sent` is called once the server has been sent all of it.
        """
        statement, packed = self._packed(rows, watched, salts)
        self._send(statement.alone, packed)
        if when_sent is not None:
            self._flush()
            when_sent()
        return _outcome(self._loaded(self._answer(ExecStatus.TUPLES_OK)))

    # Several on their way

    def send(self, rows: Sequence[Row], watched: Mapping[StreamKey, int], salts: bytes, after: Sent | None) -> Sent:
        """Do not wait for the answer, nor for that to rows sent before: these are appended after them, or not at all.

        Nothing else may be asked until `receive` has given all answers, and `flush` has sent all. Raises psycopg.Error.
        """
        statement, packed = self._packed(rows, watched, salts)
        if after is None:
            self._pgconn.enter_pipeline_mode()
            self._send(statement.alone, packed)
        else:
            self._send(statement.after, [*packed, after.event_id, after.salt])
        self._pgconn.pipeline_sync()
        return Sent(rows[-1].event_id, salts[-SALT_BYTES:])

    @property
    def is_broken(self) -> bool:
        """Return whether the connection is lost."""
        return self._pgconn.status != ConnStatus.OK

    def flush(self) -> bool:
        """Send what is still to be sent, without waiting; False where the server does not take all of it now."""
        return not self._pgconn.flush()

    def take_in(self) -> None:
        """Take in what has come. Raises psycopg.Error."""
        self._pgconn.consume_input()

    @property
    def is_answered(self) -> bool:
        """Return whether the next answer is here, so that `receive` need not wait."""
        return not self._pgconn.is_busy()

    @property
    def socket(self) -> int:
        """Return the file that can be read from once something comes."""
        return self._pgconn.socket

    def receive(self, *, is_last: bool) -> Placed | Conflicts | None:
        """Wait for the next answer: None for rows that were to follow others which are not stored. Raises psycopg.Error."""
        self._flush()
        try:
            columns = self._loaded(_only(self._until_sync(), ExecStatus.TUPLES_OK))
        finally:
            if is_last and not self.is_broken:
                self._pgconn.exit_pipeline_mode()
        if len(columns) == 1:
            (columns,) = columns
        return None if columns is None else _outcome(columns)

    # What both are made of

    def _packed(
        self, rows: Collection[Row], watched: Mapping[StreamKey, int], salts: bytes
    ) -> tuple[_Statement, list[bytes | None]]:
        looked_at = _NOTHING if not watched else _packed_watched(watched)
        if len(rows) >= _MANY and (groups := packing.groups(rows, len(rows) // _ALIKE)) is not None:
            return _GROUPS, [*groups, salts, *looked_at]
        return _EVENTS, [packing.events(rows, self._type), salts, *looked_at]

    def _send(self, name: bytes, values: Sequence[bytes | None]) -> None:
        self._pgconn.send_query_prepared(name, values, [Format.BINARY] * len(values), Format.BINARY)

    def _loaded(self, answer: PGresult) -> tuple[Any, ...]:
        self._decoder.set_pgresult(answer)
        return self._decoder.load_row(0, tuple)

    def _answer(self, wanted: ExecStatus) -> PGresult:
        """Wait for the answer, which is the last that is said of it. Raises psycopg.Error."""
        self._flush()
        said = []
        while (result := self._next()) is not None:
            said.append(result)
        return _only(said, wanted)

    def _until_sync(self) -> list[PGresult]:
        """Wait for all that is said until what was sent is committed, or not."""
        said: list[PGresult] = []
        while (result := self._next() or self._next()) is not None:  # None stands between the answer and its commit
            if result.status == ExecStatus.PIPELINE_SYNC:
                return said
            said.append(result)
        self._pgconn.finish()  # whatever comes of it would be taken for another's
        raise OperationalError("the commit was not answered")

    def _flush(self) -> None:
        while self._pgconn.flush():
            if any(event & select.POLLIN for _, event in self._both.poll()):
                self._pgconn.consume_input()

    def _next(self) -> PGresult | None:
        while self._pgconn.is_busy():
            self._reading.poll()
            self._pgconn.consume_input()
        return self._pgconn.get_result()


_NOTHING = (None, None, None)


def _packed_watched(watched: Mapping[StreamKey, int]) -> tuple[bytes | None, ...]:
    return (
        packing.texts([stream for _, stream in watched]),
        packing.bigints(watched.values()),
        packing.texts([tenant for tenant, _ in watched]),
    )


def _outcome(columns: tuple[Any, ...]) -> Placed | Conflicts:
    position, recorded_at, names, versions, tenants = columns
    if names is None:
        return Placed(position, recorded_at)
    return dict(zip(zip(tenants, names, strict=True), versions, strict=True))


def _only(said: Sequence[PGresult], wanted: ExecStatus) -> PGresult:
    """Return the answer. After it the server may still say that it cannot be committed: then nothing is stored."""
    if not said:
        raise OperationalError("the connection was closed")
    for result in said:
        if result.status != wanted:
            raise errors.error_from_result(result)
    return said[0]
