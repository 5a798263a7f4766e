"""The indexes of a read model's table, and the columns that stand in them for times that change with every event.

PostgreSQL writes a row anew beside the old one and leaves all indexes as they are, as long as no column of any of them has
changed and there is room on the page. One time that moves with each event makes it write every index of the table instead. So
a time that moves has a column of its own for indexes: while it moves, that is when its ten seconds begin; afterwards, the time
itself. A list walks the rows whose time moves and the others apart (see `queries/lists/index_walk.py`).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from psycopg import sql

from runfold.projections.projection import STEP_SECONDS, AnyProjection, Moving

BEGINNING = 200
"""So many characters of a long text are in an index: PostgreSQL takes 2,704 bytes for an entry."""
NAME_BYTES = 64
"""A name in PostgreSQL is shorter than this."""
ROOM = sql.SQL(" WITH (fillfactor = 70)")
"""Of a table whose rows are written again and again: what is left free on a page when it is filled."""


class Index(NamedTuple):
    """One index: its name after that of the table, its columns, and of which rows it is; of all without a condition.

    It has no name where another one took that: columns of other names may be joined to the same.

    Of `long_texts` among its columns it has the beginnings.
    """

    name: str
    columns: tuple[str, ...]
    condition: str = ""
    long_texts: tuple[str, ...] = ()


def indexes_of(projection: AnyProjection, moving: Sequence[Moving]) -> list[Index]:
    """All indexes beside the key. Each begins with the tenant and ends with the key, so that it is one order."""
    key, long_texts = ("tenant_id", *projection.key), projection.long_texts
    found: list[Index] = []
    taken = set[str]()
    for index in dict.fromkeys(index for columns in projection.indexes for index in _indexes(columns, key, moving)):
        found.append(index._replace(long_texts=long_texts, name="" if index.name in taken else index.name))
        taken.add(index.name)
    return found


def _indexes(columns: tuple[str, ...], key: tuple[str, ...], moving: Sequence[Moving]) -> Iterator[Index]:
    name = f"tenant_id_{'_'.join(columns)}_idx"
    whole = tuple(dict.fromkeys((key[0], *columns, *key)))
    moves = next((each for each in moving if each.column in columns), None)
    if moves is None:
        yield Index(name, whole)
        return
    whole = tuple(moves.indexed if column == moves.column else column for column in whole)
    if moves.kinds.keys() <= set(columns[: columns.index(moves.column)]):
        yield Index(name, whole)
    else:
        yield Index(name, whole, settled(moves))
        yield Index(f"moving_{name}", whole, still_moving(moves))


def still_moving(moving: Moving, of: str = "") -> str:
    """The condition for rows whose time moves, in SQL."""
    said = ((column, ", ".join(f"'{word}'" for word in words)) for column, words in moving.kinds.items())
    return " AND ".join(f'{of}"{column}" IN ({words})' for column, words in said)


def settled(moving: Moving, of: str = "") -> str:
    """The condition for all others."""
    return f"({still_moving(moving, of)}) IS NOT TRUE"


def creation(table: sql.Identifier, name: str, index: Index) -> sql.Composed:
    """The statement that makes an index. PostgreSQL names it where it has no name, or one that is too long."""
    named = f"{name}_{index.name}"
    is_named = bool(index.name) and len(named.encode()) < NAME_BYTES
    return sql.SQL("CREATE INDEX {} ON {} ({}){}").format(
        sql.Identifier(named) if is_named else sql.SQL(""),
        table,
        sql.SQL(", ").join([_indexed(column, index.long_texts) for column in index.columns]),
        sql.SQL(f" WHERE {index.condition}" if index.condition else ""),
    )


def _indexed(column: str, long_texts: Sequence[str]) -> sql.Composable:
    return sql.SQL(beginning_of(f'"{column}"')) if column in long_texts else sql.Identifier(column)


def beginning_of(text: str) -> str:
    """The part of a long text that is in indexes, in SQL."""
    return f"left({text}, {BEGINNING})"


def definition(moving: Moving) -> sql.Composed:
    """The column that stands in indexes for a time that moves."""
    return sql.SQL("{} timestamptz GENERATED ALWAYS AS (CASE WHEN {} THEN date_bin({}, {}, {}) ELSE {} END) STORED").format(
        sql.Identifier(moving.indexed),
        sql.SQL(still_moving(moving)),
        sql.SQL(f"interval '{STEP_SECONDS} s'"),
        sql.Identifier(moving.column),
        sql.SQL("timestamptz '2000-01-01 00:00:00+00'"),
        sql.Identifier(moving.column),
    )
