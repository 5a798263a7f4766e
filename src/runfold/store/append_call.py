"""The call of the append function over a connection, straight over the wire.

What is asked and answered has one form, so it is packed and sent as it is. A cursor would take each value apart first, which
takes longer than the server does.
"""

import os
import select
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from psycopg import OperationalError, errors
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.rows import tuple_row

from runfold.store import packing
from runfold.store.codec import Row, StreamKey
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

SALT_BYTES = 16
_QUERIES = named_queries("runfold.store", "append_call.sql")
_NAME = b"runfold_append"
_PARAMETERS = 5


class Placed(NamedTuple):
    """Where a batch of events stands: its first position, and the store's time."""

    first_position: int
    recorded_at: datetime


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
        self._pgconn.send_prepare(_NAME, _QUERIES["append"].encode())
        self._answer(ExecStatus.COMMAND_OK)

    def __call__(self, rows: Collection[Row], watched: Mapping[StreamKey, int], salts: bytes) -> Placed | Conflicts:
        """Append, or tell what stands in the way. After any other error than psycopg.Error the connection is of no use."""
        streams = (
            (
                packing.texts([stream for _, stream in watched]),
                packing.bigints(watched.values()),
                packing.texts([tenant for tenant, _ in watched]),
            )
            if watched
            else (None, None, None)
        )
        values = (packing.events(rows, self._type), salts, *streams)
        self._pgconn.send_query_prepared(_NAME, values, [Format.BINARY] * _PARAMETERS, Format.BINARY)
        self._decoder.set_pgresult(self._answer(ExecStatus.TUPLES_OK))
        position, recorded_at, names, versions, tenants = self._decoder.load_row(0, tuple)
        if names is None:
            return Placed(position, recorded_at)
        return dict(zip(zip(tenants, names, strict=True), versions, strict=True))

    def _answer(self, wanted: ExecStatus) -> PGresult:
        """Wait for the answer. Raises psycopg.Error."""
        while self._pgconn.flush():
            if any(event & select.POLLIN for _, event in self._both.poll()):
                self._pgconn.consume_input()
        answer = self._next()
        while self._next() is not None:
            pass  # only what a server says when it goes
        if answer is None:
            raise OperationalError("the connection was closed")
        if answer.status != wanted:
            raise errors.error_from_result(answer)
        return answer

    def _next(self) -> PGresult | None:
        while self._pgconn.is_busy():
            self._reading.poll()
            self._pgconn.consume_input()
        return self._pgconn.get_result()
