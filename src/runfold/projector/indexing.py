"""The indexes of a table that was filled, which show whether every row of it is whole."""

from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from runfold.errors import WrongPartition
from runfold.projections.partition import Toucher
from runfold.projections.projection import AnyProjection
from runfold.projector.tables import Table
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

_QUERIES = named_queries("runfold.projector", "indexing.sql")


def index(connection: Connection, projection: AnyProjection, table: Table[Any]) -> None:
    """Make the indexes of a table that was filled. Raises WrongPartition where two shards made parts of one row."""
    try:
        with connection.transaction():
            if not _has_indexes(connection, table):  # a rebuild that was killed may have made them
                table.create_indexes(connection)
    except psycopg.errors.UniqueViolation:
        raise _torn(connection, projection, table) from None
    analyze(connection, table)


def analyze(connection: Connection, table: Table[Any]) -> None:
    """Let the planner know what a table holds."""
    connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table.schema, table.name)))


def _has_indexes(connection: Connection, table: Table[Any]) -> bool:
    name = f"{table.schema}.{table.name}"
    return connection.execute("SELECT FROM pg_index WHERE indrelid = to_regclass(%s)", [name]).fetchone() is not None


def _torn(connection: Connection, projection: AnyProjection, table: Table[Any]) -> WrongPartition:
    """The first row that is there more than once, and an event of each of two of its parts."""
    key = sql.SQL(", ").join(map(sql.Identifier, ("tenant_id", *projection.key)))
    query = sql.SQL(_QUERIES["torn row"]).format(table=sql.Identifier(table.schema, table.name), key=key)
    (*whole, first, last) = connection.cursor(row_factory=tuple_row).execute(query).fetchone() or ("", 0, 0)
    events = {row["position"]: row for row in connection.execute(_QUERIES["events at"], {"positions": [first, last]})}
    said = [str(Toucher(events[at]["thread_id"], at, events[at]["type"])) for at in (first, last)]
    return WrongPartition(projection.name, projection.partition or "thread", tuple(whole[1:]), *said)
