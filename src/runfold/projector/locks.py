"""Locks in the database that only the projector's role can take: for a transaction, or for as long as a session lives."""

import contextlib
from collections.abc import Iterator
from typing import Literal

import psycopg

from runfold.store.datastore import Connection

_IS_HELD = "SELECT EXISTS (SELECT FROM runfold.held_session_locks AS h WHERE h.name = %s) AS held"


def take_lock(connection: Connection, name: Literal["generations", "moments", "session locks"]) -> None:
    """Wait until no other transaction holds it, and keep it until the caller's ends. Raises psycopg.errors.LockNotAvailable."""
    connection.execute("SELECT runfold.take_lock(%s)", [name])


def take_session_lock(connection: Connection, name: str) -> bool:
    """Return whether the connection has the lock from now on, until it closes. It must be in autocommit, and does not wait."""
    row = connection.execute("SELECT runfold.take_session_lock(%s) AS taken", [name]).fetchone()
    return row is not None and bool(row["taken"])


@contextlib.contextmanager
def closing(connection: Connection) -> Iterator[Connection]:
    """Close a connection at the end, and release its session locks before: the server takes a moment to see that it is closed."""
    try:
        yield connection
    finally:
        with contextlib.suppress(psycopg.Error):  # a broken one holds no locks
            connection.execute("SELECT pg_catalog.pg_advisory_unlock_all()")
        connection.close()


def is_held(connection: Connection, name: str) -> bool:
    """Return whether a session that lives holds the lock."""
    row = connection.execute(_IS_HELD, [name]).fetchone()
    return row is not None and bool(row["held"])


def rebuilding(read_model: str) -> str:
    """Name the session lock that a rebuild of a read model holds."""
    return f"rebuild {read_model}"


def making(schema: str) -> str:
    """Name the session lock that the making of a schema of the past holds."""
    return f"schema {schema}"
