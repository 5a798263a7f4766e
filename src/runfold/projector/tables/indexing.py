"""The indexes of a table that was filled, which show whether every row of it is whole."""

from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from runfold.errors import WrongPartition
from runfold.projections.partition import Toucher
from runfold.projections.projection import AnyProjection
from runfold.projector.tables.invalid_rows import stopped_by_rows
from runfold.projector.tables.table import Table
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

_QUERIES = named_queries("runfold.projector.tables", "indexing.sql")


def index(connection: Connection, projection: AnyProjection, table: Table[Any], *, key_only: bool = False) -> None:
    """Make the key and the indexes of a table that was filled, or only its key, where nobody but a comparison will read it.

    Raises WrongPartition where two shards made parts of one row, ProjectionStopped where a row is too large for them.
    """
    with stopped_by_rows(projection):
        try:
            with connection.transaction():
                _complete(connection, table, key_only=key_only)
        except psycopg.errors.UniqueViolation:
            raise _torn(connection, projection, table) from None
    analyze(connection, table)


def complete(connection: Connection, projection: AnyProjection, table: Table[Any]) -> None:
    """Make the indexes of a table that was begun without, for it would have been long in the filling.

    Nobody writes to it meanwhile, and readers go on. Who comes second finds them made. Raises ProjectionStopped where a row is
    too large for them.
    """
    with stopped_by_rows(projection), connection.transaction():
        connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(sql.Identifier(table.schema, table.name)))
        _complete(connection, table)


def _complete(connection: Connection, table: Table[Any], *, key_only: bool = False) -> None:
    """Make what is missing: whoever was killed may have made some."""
    found = connection.execute(_QUERIES["indexes"], [f"{table.schema}.{table.name}"]).fetchone()
    assert found is not None, "counting gives one row"  # noqa: S101
    if not found["keys"]:
        table.add_key(connection)
    if table.index_count and not found["others"] and not key_only:
        table.create_indexes(connection)


def analyze(connection: Connection, table: Table[Any]) -> None:
    """Let the planner know what a table holds."""
    connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table.schema, table.name)))


def _torn(connection: Connection, projection: AnyProjection, table: Table[Any]) -> WrongPartition:
    """The first row that is there more than once, and an event of each of two of its parts."""
    key = sql.SQL(", ").join(map(sql.Identifier, ("tenant_id", *projection.key)))
    query = sql.SQL(_QUERIES["torn row"]).format(table=sql.Identifier(table.schema, table.name), key=key)
    (*whole, first, last) = connection.cursor(row_factory=tuple_row).execute(query).fetchone() or ("", 0, 0)
    events = {row["position"]: row for row in connection.execute(_QUERIES["events at"], {"positions": [first, last]})}
    said = [str(Toucher(events[at]["thread_id"], at, events[at]["type"])) for at in (first, last)]
    return WrongPartition(projection.name, projection.partition or "thread", tuple(whole[1:]), *said)
