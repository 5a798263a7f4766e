"""An index of words over a read model's table, and the function that asks it, which are made and dropped with the table."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import sql

from runfold.projections.columns import Column
from runfold.projections.projection import WordIndex
from runfold.projector.tables.row_queries import names_of
from runfold.store.queries import filled, named_queries

_QUERIES = named_queries("runfold.projector.tables", "word_index.sql")
_GIVEN = ("wanted", "phrases", "either", "without", "threads_left_out", "time_from", "time_to", "first", "last")
_TYPES = ("tsquery", "text[]", "text[]", "text[]", "text[]", "timestamptz", "timestamptz", "bigint", "bigint")


class Sought(NamedTuple):
    """What is looked for in an index of words, and where. Which words stand together is said by patterns over all in order."""

    wanted: str
    """A `tsquery` of words and labels."""
    first: int
    last: int
    """Between which values of what it is sorted by, both included."""
    phrases: Sequence[str] = ()
    """Patterns of `LIKE`, each of which fits."""
    either: Sequence[str] = ()
    """Regular expressions, each of which fits."""
    without: Sequence[str] = ()
    """Patterns of `LIKE`, none of which fits."""
    threads_left_out: Sequence[str] = ()
    time_from: datetime | None = None
    time_to: datetime | None = None

    @property
    def values(self) -> list[Any]:
        """The parameters of a question, in order."""
        facts = self._asdict()
        return [each if type(each := facts[name]) is not tuple else list(each) for name in _GIVEN]


def index(schema: str, name: str, index: WordIndex) -> sql.Composed:
    """The statement that makes the index of a table."""
    return sql.SQL(filled(_QUERIES["index"], index=_indexed(index, ""))).format(table=sql.Identifier(schema, name))


def function(schema: str, name: str, index: WordIndex, columns: Sequence[Column]) -> sql.Composed:
    """The statements that make the function that asks a table."""
    conditions = _conditions(index, dict(zip(_GIVEN, _GIVEN, strict=True)))
    return sql.SQL(filled(_QUERIES["function"], conditions=conditions, order=index.order)).format(
        table=sql.Identifier(schema, name),
        function=_function(schema, name),
        columns=sql.SQL(", ").join(sql.Identifier("t", column.name) for column in columns),
    )


def question(schema: str, name: str, columns: Sequence[str], sought: Sought, most: int) -> tuple[sql.Composed, list[Any]]:
    """What the function of a table is asked for its rows, the last first, and the values."""
    given = ", ".join(map(_place, (*_TYPES, "bigint")))
    query = sql.SQL(f"SELECT {{}} FROM {{}}({given})").format(names_of(columns), _function(schema, name))
    return query, [*sought.values, most]


def question_of_rows(name: str, index: WordIndex, columns: Sequence[str]) -> str:
    """The same of rows `{name}` that have no index; its values are those of `Sought`, the tenant, and how many at most."""
    given = (f"{_place(kind)} AS {each}" for each, kind in zip(_GIVEN, _TYPES, strict=True))
    return filled(
        _QUERIES["rows that are given"],
        columns=", ".join(f't."{column}"' for column in columns),
        given=", ".join(given),
        conditions=_conditions(index, {each: f"given.{each}" for each in _GIVEN}),
        order=index.order,
        rows=f"{{{name}}}",
    )


def _place(kind: str) -> str:
    """A parameter of a type; a `tsquery` goes as text, as which it is read."""
    return f"%b::text::{kind}" if kind == "tsquery" else f"%b::{kind}"


def _conditions(index: WordIndex, given: dict[str, str]) -> str:
    columns = {"words": f"t.{index.words}", "order": f"t.{index.order}", "time": f"t.{index.time}"}
    return filled(_part("are wanted"), index=_indexed(index, "t."), **columns, **given)


def _indexed(index: WordIndex, table: str) -> str:
    return filled(_part("words"), words=table + index.words, labels=table + index.labels)


def _part(name: str) -> str:
    """A part of a statement, without what is said of it."""
    return "\n".join(line for line in _QUERIES[name].strip().splitlines() if not line.startswith("--"))


def _function(schema: str, name: str) -> sql.Identifier:
    return sql.Identifier(schema, f"{name}_with_words")
