"""Columns of an export: how each is asked for in SQL, and what it is in Parquet.

Every value keeps all that it says. What Parquet or JSON has no exact type for goes as text: numeric in JSON, JSON in Parquet
and CSV. Arrays are lists in Parquet and JSON, and JSON text in CSV.
"""

from collections.abc import Iterable
from typing import NamedTuple

from psycopg import sql

from runfold.export.manifest import Column

_PARQUET = {
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "boolean": "BOOLEAN",
    "double precision": "DOUBLE",
    "numeric": "DECIMAL(38, 18)",
    "timestamp with time zone": "TIMESTAMPTZ",
    "date": "DATE",
    "text[]": "VARCHAR[]",
    "bigint[]": "BIGINT[]",
}
_AS_IT_IS = _PARQUET.keys() | {"json", "jsonb", "text"}
_NOT_EXACT_IN_JSON = {"numeric"}
_TIMES = {"timestamp with time zone", "date"}


class Asked(NamedTuple):
    """A column, and the SQL expression that gives it."""

    column: Column
    expression: sql.Composable

    @property
    def parquet(self) -> str:
        """Return its type in Parquet, in DuckDB's words."""
        return _PARQUET.get(self.column.type, "VARCHAR")


def select_text(asked: Iterable[Asked]) -> sql.Composed:
    """A select list in which each value is text; times as in ISO 8601, whatever the server is set to."""
    return _list((each, sql.SQL(_text_of(each.column.type)).format(each.expression)) for each in asked)


def select_json(asked: Iterable[Asked]) -> sql.Composed:
    """A select list of values as they are to stand in JSON."""
    return _list(
        (each, sql.SQL("{}" if _fits_json(each.column.type) else "({})::text").format(each.expression)) for each in asked
    )


def _text_of(type: str) -> str:
    if type.endswith("[]"):
        return "to_json({})::text"
    return "to_json({}) #>> '{{}}'" if type in _TIMES else "({})::text"


def _fits_json(type: str) -> bool:
    return type in _AS_IT_IS - _NOT_EXACT_IN_JSON


def _list(expressions: Iterable[tuple[Asked, sql.Composable]]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(expression, sql.Identifier(each.column.name)) for each, expression in expressions
    )
