"""The table of a read model, made from the class of its rows: its schema, and reading and writing its rows.

A generation of a read model lives in a schema of its own. What people query is a view in the schema `runfold_read` under
the read model's plain name, which points at the generation in use.
"""

import hashlib
from collections.abc import Iterable
from functools import cache, cached_property
from typing import Any, Generic, NamedTuple

from psycopg import sql
from psycopg.rows import tuple_row
from pydantic import BaseModel, TypeAdapter, ValidationError, create_model

from runfold.projections.columns import Column, columns_of
from runfold.projections.fold import Standings
from runfold.projections.projection import Key, Projection, R, Row
from runfold.projector.tables import indexes, word_index
from runfold.projector.tables.invalid_rows import InvalidRow, of_a_row, within_limits
from runfold.projector.tables.row_queries import RowQueries, collated_type, names_of
from runfold.projector.tables.schemas import creation, removal
from runfold.projector.tables.totals import TENANT, tables_of
from runfold.store.datastore import Connection

READ_SCHEMA = "runfold_read"
READERS = ("runfold_app", "runfold_reader")
GIVEN_ROWS = 100
"""Rows of a piece; as many as PostgreSQL takes a function to give that it knows nothing about."""
POSITION = Column("position", "bigint", nullable=False, comment="Position of the last event that changed the row")


class Given(NamedTuple):
    """Rows that are in no table: a query of one parameter that gives them, and that parameter, arrays of rows as JSON."""

    query: sql.Composed
    pieces: list[str]


class Changes(NamedTuple):
    """Rows as they are sent: those that stand as JSON; a list for each column of the key of those that went, and of all.

    Those of all are there where there are totals.
    """

    rows: str | None
    gone: list[list[Any]]
    keys: list[list[Any]]


NOTHING = Changes(None, [], [])


class _Stored(NamedTuple):
    """A row as it is written: with the columns that every table has by itself."""

    model: type[BaseModel]
    many: TypeAdapter[list[Any]]


@cache
def _stored(row: type[Row]) -> _Stored:
    quickly = {"use_attribute_docstrings": False}  # else the source is parsed for words that nobody asks for, while others wait
    model = create_model(f"Stored{row.__name__}", __base__=row, __cls_kwargs__=quickly, tenant_id=(str, ...), position=(int, ...))
    return _Stored(model, TypeAdapter(list[model]))


class Table(Generic[R]):
    """One generation's table, or one that was made elsewhere for good: as of a moment, say."""

    def __init__(self, projection: Projection[R], generation: int, *, schema: str | None = None) -> None:
        self._row = projection.row
        self._key = ("tenant_id", *projection.key)
        self._moving = projection.moving if schema is None else ()  # elsewhere nothing moves
        self._indexes = indexes.indexes_of(projection, self._moving)
        self._word_index = projection.word_index
        self.purpose = " ".join((projection.__doc__ or "").split())
        self.name = projection.name
        self.schema = schema or f"runfold_{projection.name}_{generation}"
        self.columns = [TENANT, *columns_of(projection.row), POSITION]
        self.view_columns = [TENANT, POSITION, *columns_of(projection.row)]
        """In the order in which people see them: the machine's own first, so that more come after all that were there."""
        self._qualified = sql.Identifier(self.schema, self.name)
        self._queries = RowQueries(self._qualified, self.columns, self._key)
        self.totals = tables_of(projection.totals, self.schema, self._queries)

    # Making it

    def create(self, connection: Connection) -> None:
        """Make the schema and the table, with its comments; for readers to read."""
        table = self._qualified
        comment = sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format
        _execute_all(
            connection,
            [
                creation(self.schema),
                sql.SQL("CREATE TABLE {} ({}){}").format(table, self._definitions, indexes.ROOM if self._moving else sql.SQL("")),
                sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(self.purpose)),
                *(comment(table, sql.Identifier(column.name), sql.Literal(column.comment or None)) for column in self.columns),
                let_read(table),
                *(statement for each in self.totals for statement in (*each.creation, let_read(each.table))),
            ],
        )
        for relation in (table, *(each.table for each in self.totals)):
            keep_tenants_apart(connection, relation)

    def add_key(self, connection: Connection) -> None:
        """Make the primary key, which `write` needs, add up what is in the table by then, and make what is asked for words.

        Raises InvalidRow.
        """
        key = sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(self._qualified, names_of(self._key))
        words = [] if self._word_index is None else [word_index.function(self.schema, self.name, self._word_index, self.columns)]
        with within_limits():
            _execute_all(connection, [key, *(each.add_all for each in self.totals), *words])

    @property
    def index_count(self) -> int:
        """How many indexes it has beside its key."""
        return len(self._indexes) + (self._word_index is not None)

    def create_indexes(self, connection: Connection) -> None:
        """Make the indexes that the projection names. Raises InvalidRow."""
        named = [indexes.creation(self._qualified, self.name, index) for index in self._indexes]
        words = [] if self._word_index is None else [word_index.index(self.schema, self.name, self._word_index)]
        with within_limits():
            _execute_all(connection, [*named, *words])

    def drop(self, connection: Connection) -> None:
        """Remove the schema with all that is in it."""
        connection.execute(removal(self.schema))

    # Its rows

    def load(self, connection: Connection, keys: Iterable[Key]) -> dict[Key, R]:
        """The rows that there are under some keys."""
        columns = list(zip(*keys, strict=True))
        width = len(self._key)
        with of_a_row("a row cannot be read"):
            found = connection.cursor(row_factory=tuple_row, binary=True).execute(
                self._queries.load, [list(column) for column in columns], prepare=True
            )
            return {tuple(values[:width]): self.row_of(values[width:]) for values in found}

    def row_of(self, values: Iterable[Any]) -> R:
        """The values of the row's own columns, in their order → row."""
        names = (column.name for column in self.columns[1:-1])
        return self._row.model_validate(
            {name: tuple(value) if type(value) is list else value for name, value in zip(names, values, strict=True)}
        )

    def write(self, connection: Connection, changed: Standings) -> None:
        """Store rows as they are now. Raises InvalidRow, psycopg.Error."""
        self.store(connection, self.changes(changed))

    def changes(self, changed: Standings) -> "Changes":
        """Rows as `store` takes them. It takes its time, so not in a transaction. Raises InvalidRow."""
        gone = [key for key, standing in changed.items() if standing.row is None]
        by = changed if self.totals else ()
        return Changes(self.packed(changed), _by_column(gone), _by_column(by))

    def store(self, connection: Connection, changes: "Changes") -> None:
        """Write rows that are there or not, remove others, and change the totals. Raises InvalidRow, psycopg.Error."""
        with within_limits():
            if changes.keys:
                for each in self.totals:
                    connection.execute(each.change, [*changes.keys, changes.rows or "[]"], prepare=True)
            if changes.gone:
                connection.execute(self._queries.delete, changes.gone, prepare=True)
            if changes.rows is not None:
                connection.execute(self._queries.write, [changes.rows], prepare=True)

    def packed(self, standings: Standings) -> str | None:
        """Rows as `fill` takes them, None where there are none. It takes its time, so not in a transaction. Raises InvalidRow."""
        rows = self._standing(standings)
        return self._as_json(rows) if rows else None

    def fill(self, connection: Connection, packed: str | None) -> None:
        """Add rows to a table that has none of them and no index yet. Raises InvalidRow, psycopg.Error."""
        if packed is not None:
            with within_limits():
                connection.execute(self._queries.fill, [packed])

    def given(self, standings: Standings) -> "Given":
        """Rows to be asked without a table. Raises InvalidRow."""
        rows = self._standing(standings)
        pieces = (rows[start : start + GIVEN_ROWS] for start in range(0, len(rows), GIVEN_ROWS))
        return Given(self._queries.given, [self._as_json(piece) for piece in pieces])

    def _standing(self, standings: Standings) -> list[Any]:
        """Rows as they are written. Raises InvalidRow for what their class refuses."""
        names, rows = self._key, []
        for key, standing in standings.items():
            if standing.row is None:
                continue
            rows.append(fields := {**standing.row.__dict__, "tenant_id": key[0], "position": standing.position})
            if tuple([fields[name] for name in names]) != key:
                raise InvalidRow(f"evolve changed the key of the row {key[1:]}; a row keeps its key for ever")
        with of_a_row("a row cannot be made"):
            try:
                return _stored(self._row).many.validate_python(rows, strict=True)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                at, *place = first["loc"]
                name, key = ".".join(map(str, place)), tuple(rows[int(at)][each] for each in names)
                raise InvalidRow(f"the row {key[1:]} has {name} = {first['input']!r}: {first['msg']}") from None

    def _as_json(self, rows: list[Any]) -> str:
        with of_a_row("a row holds what JSON cannot"):
            return _stored(self._row).many.dump_json(rows).decode()

    def require_kept(self, connection: Connection, changed: Standings) -> None:
        """Read back what was written. Raises InvalidRow for a value that comes back as another.

        A fold would otherwise go on from one value where the row is at hand, and from another where it is read.
        """
        rows = {key: standing.row for key, standing in changed.items() if standing.row is not None}
        with of_a_row("a row cannot be compared"):
            for key, found in (self.load(connection, rows) if rows else {}).items():
                for name, value in rows[key].__dict__.items():
                    if (kept := getattr(found, name)) != value:
                        raise InvalidRow(f"the row {key[1:]} has {name} = {value!r}, which its column gives back as {kept!r}")

    @property
    def select_query(self) -> sql.Composed:
        """All rows: the tenant, the row's own columns, the position."""
        return self._queries.select

    @cached_property
    def _definitions(self) -> sql.Composed:
        own = (
            sql.SQL("{} {}{}").format(
                sql.Identifier(column.name), sql.SQL(collated_type(column)), sql.SQL("" if column.nullable else " NOT NULL")
            )
            for column in self.columns
        )
        return sql.SQL(", ").join([*own, *map(indexes.definition, self._moving)])


def _by_column(keys: Iterable[Key]) -> list[list[Any]]:
    return [list(column) for column in zip(*keys, strict=True)]


def fingerprint(projection: Projection[Any]) -> str:
    """A digest of a row's columns, its key and the event types: with another one, the rows of before cannot be gone on with."""
    return fingerprint_of(projection, tuple(event.type for event in projection.events))


def fingerprint_of(projection: Projection[Any], types: tuple[str, ...]) -> str:
    """The digest of the same columns and key, if these were the event types."""
    row: type[Row] = projection.row
    return _digest(row, projection.key, types)


@cache
def _digest(row: type[Row], key: tuple[str, ...], types: tuple[str, ...]) -> str:
    said = [
        *(f"{column.name} {column.type} {column.nullable}" for column in columns_of(row)),
        f"key {key}",
        f"events {sorted(types)}",
    ]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]


def keep_tenants_apart(connection: Connection, table: sql.Identifier) -> None:
    """Let the database show each tenant its own rows; and everybody's to who folds them, for it owns the table."""
    connection.execute("SELECT runfold.keep_tenants_apart(%s::regclass)", [table.as_string(connection)])


def let_read(relation: sql.Identifier) -> sql.Composed:
    """The statement that lets readers read a table or a view."""
    return sql.SQL("GRANT SELECT ON {} TO {}").format(relation, names_of(READERS))


def _execute_all(connection: Connection, statements: list[sql.Composed]) -> None:
    """Execute all statements in one round trip: a table takes dozens."""
    if statements:
        connection.execute(sql.SQL(";\n").join(statements), prepare=False)
