"""The queries of a read model's table: reading and writing rows as they are.

Those that are asked for every page are put together once: that takes longer than to send them.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property

from psycopg import sql

from runfold.projections.columns import Column
from runfold.store.queries import named_queries

_TOTALS = named_queries("runfold.projector.tables", "totals.sql")


class RowQueries:
    """The queries of one table."""

    def __init__(self, table: sql.Identifier, columns: Sequence[Column], key: Sequence[str]) -> None:
        """`columns` are all: the tenant, the row's own, the position."""
        self._table, self._columns, self._key = table, columns, key

    @cached_property
    def select(self) -> sql.Composed:
        """All rows: the tenant, the row's own columns, the position."""
        names = names_of(column.name for column in self._columns)
        return sql.SQL("SELECT {} FROM {} ORDER BY {}").format(names, self._table, names_of(self._key))

    @cached_property
    def load(self) -> bytes:
        """The rows under some keys: an array for each column of the key."""
        own = [f"t.{column.name}" for column in self._columns[1:-1]]
        query = sql.SQL("SELECT {}, {} FROM unnest({}) AS k ({}) JOIN {} AS t USING ({})").format(
            names_of(self._key),
            sql.SQL(", ").join(map(_dotted, own)),
            self._given,
            names_of(self._key),
            self._table,
            names_of(self._key),
        )
        return query.as_bytes()

    @cached_property
    def all_signed(self) -> sql.Composed:
        """All rows, each with a sign to count by."""
        return sql.SQL(_TOTALS["stored rows"]).format(source=self._table)

    @cached_property
    def changed_signed(self) -> sql.Composed:
        """The rows that are stored under some keys, to be taken off, and rows as JSON, to be added."""
        return sql.SQL(_TOTALS["rows that change"]).format(
            columns=sql.SQL(", ").join(sql.Identifier("t", column.name) for column in self._columns),
            arrays=self._given,
            key=names_of(self._key),
            source=self._table,
            shape=self._shape(collated=True),
        )

    @property
    def _given(self) -> sql.Composed:
        """Keys: an array for each column of them."""
        types = {column.name: column.type for column in self._columns}
        return sql.SQL(", ").join(sql.SQL("%b::{}").format(sql.SQL(f"{types[name]}[]")) for name in self._key)

    @cached_property
    def fill(self) -> sql.Composed:
        """Add the rows that one parameter, an array as JSON, holds."""
        names = names_of(column.name for column in self._columns)
        return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM json_to_recordset(%s::json) AS r ({})").format(
            self._table, names, names, self._shape()
        )

    @cached_property
    def given(self) -> sql.Composed:
        """Give the rows as an array of pieces: so the planner knows about how many rows there are."""
        return sql.SQL(
            "SELECT {} FROM unnest(%b::text[]) AS given (piece) CROSS JOIN LATERAL json_to_recordset(given.piece::json) AS r ({})"
        ).format(names_of(column.name for column in self._columns), self._shape(collated=True))

    def _shape(self, *, collated: bool = False) -> sql.Composed:
        return sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(collated_type(column) if collated else column.type))
            for column in self._columns
        )

    @cached_property
    def write(self) -> bytes:
        """The same, over rows that are there already."""
        changes = sql.SQL(", ").join(
            sql.SQL("{} = excluded.{}").format(sql.Identifier(column.name), sql.Identifier(column.name))
            for column in self._columns
            if column.name not in self._key
        )
        query = self.fill + sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {}").format(names_of(self._key), changes)
        return query.as_bytes()

    @cached_property
    def delete(self) -> bytes:
        """Remove the rows under some keys."""
        same = sql.SQL(" AND ").join(
            sql.SQL("t.{} = k.{}").format(sql.Identifier(name), sql.Identifier(name)) for name in self._key
        )
        query = sql.SQL("DELETE FROM {} AS t USING unnest({}) AS k ({}) WHERE {}").format(
            self._table, self._given, names_of(self._key), same
        )
        return query.as_bytes()


def collated_type(column: Column) -> str:
    """Ids and labels sort by their bytes, the same on every server."""
    return f'{column.type} COLLATE "C"' if column.type in {"text", "text[]"} else column.type


def names_of(names: Iterable[str]) -> sql.Composed:
    """Names of columns or roles, with commas between."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _dotted(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))
