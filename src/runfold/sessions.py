"""What a session of the server must be: what decides what is asked and answered is set, and a connection keeps it.

LISTEN, session locks and the tenant's setting all rest on one session.

A pooler in transaction mode gives each transaction whichever session is free. Such a connection is told by the process id
of the session behind it, which changes under it, or is another connection's too.
"""

from collections.abc import Callable
from typing import Any

import psycopg

from runfold.errors import TransactionPooling

_MEANINGS = {
    # A name means what PostgreSQL brings or what is written with its schema, and never what somebody else put into a schema
    # that happens to be looked through.
    "search_path": "pg_catalog, pg_temp",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "gin_fuzzy_search_limit": "0",
    "row_security": "on",
}
BEGIN_SESSION = "; ".join(f"SET {name} = {value}" for name, value in _MEANINGS.items())
"""What every session of ours begins with, whatever its URL, its role, the database or the server says: what would change the
meaning of what we ask, or how what is answered is written."""

_LIMITS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout")

ROUNDS = 20
"""How often two connections are compared. Free sessions handed out in turn, or the last one first, show in the first round."""


def connect_pinned(url: str, **options: Any) -> psycopg.Connection[Any]:
    """A connection in autocommit in which SQL means what it says here. Raises psycopg.OperationalError."""
    connection = psycopg.connect(url, autocommit=True, **options)
    try:
        connection.execute(BEGIN_SESSION)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_unlimited(url: str, **options: Any) -> psycopg.Connection[Any]:
    """The same, and what it does may take as long as it takes, whatever was set. Raises psycopg.OperationalError."""
    connection = connect_pinned(url, **options)
    names = [*_LIMITS, *(["transaction_timeout"] if connection.info.server_version >= 170_000 else [])]
    try:
        connection.execute("; ".join(f"SET {name} = 0" for name in names))
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
