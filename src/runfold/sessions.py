"""What a session of the server must be: its search path is pinned, and a connection keeps it.

LISTEN, session locks and the tenant's setting all rest on one session.

A pooler in transaction mode gives each transaction whichever session is free. Such a connection is told by the process id
of the session behind it, which changes under it, or is another connection's too.
"""

from collections.abc import Callable
from typing import Any

import psycopg

from runfold.errors import TransactionPooling

PIN_SEARCH_PATH = "SET search_path = pg_catalog, pg_temp"
"""What every session of ours begins with, whatever its URL or role says: so a name means what PostgreSQL brings or what is
written with its schema, and never what somebody else put into a schema that happens to be looked through."""

ROUNDS = 20
"""How often two connections are compared. Free sessions handed out in turn, or the last one first, show in the first round."""


def connect_pinned(url: str, **options: Any) -> psycopg.Connection[Any]:
    """A connection in autocommit whose search path is pinned. Raises psycopg.OperationalError."""
    connection = psycopg.connect(url, autocommit=True, **options)
    try:
        connection.execute(PIN_SEARCH_PATH)
    except BaseException:
        connection.close()
        raise
    return connection


def require_own_session(connection: psycopg.Connection[Any], another: Callable[[], psycopg.Connection[Any]]) -> None:
    """Raise TransactionPooling where a pooler stands between, and the session changes from one transaction to the next.

    Without a pooler it is one question: the server itself says the process id when a connection is made, and a pooler
    says a number of its own. With one, `another` connection is opened beside the first.
    """
    if _session_of(connection) == connection.info.backend_pid:
        return
    with another() as other:
        first: set[int] = set()
        second: set[int] = set()
        for _ in range(ROUNDS):
            first |= {_session_of(connection), _session_of(connection)}
            second.add(_session_of(other))
            if len(first) > 1 or len(second) > 1 or first & second:
                raise TransactionPooling(connection.info.host, connection.info.port)


def _session_of(connection: psycopg.Connection[Any]) -> int:
    """The process that answers. Sent unprepared, as a pooler of this kind takes nothing else."""
    cursor = connection.cursor(row_factory=psycopg.rows.tuple_row)
    row = cursor.execute("SELECT pg_catalog.pg_backend_pid()", prepare=False).fetchone()
    assert row is not None, "it is one row"  # noqa: S101
    return int(row[0])
