"""The rows of a read model that a bundle is to show: which are asked for, how they are stored, and what they are folded from."""

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row
from pydantic import ValidationError

from runfold.errors import RowNotFound, SealingRefused, UsageError
from runfold.evidence.bundles.refolding import Refolding, key_texts, row_values
from runfold.projections.columns import columns_of
from runfold.projections.fold import Standing
from runfold.projections.projection import AnyProjection, Key
from runfold.projections.registry import find, named
from runfold.projector.checkpoints import read_models
from runfold.projector.tables.generations import fits
from runfold.projector.tables.table import Table, fingerprint
from runfold.proofs.answer import AnswerRow, CannotFold
from runfold.proofs.claims import Answer
from runfold.store.datastore import Connection


class AnswerAsked(NamedTuple):
    """What is asked of a read model: the row under a key, or all rows whose keys begin so."""

    read_model: str
    key: tuple[str, ...]


class _Stored(NamedTuple):
    """Rows as the read model in use has them."""

    position: int
    """How far it is."""
    rows: dict[Key, Standing]


class AnswerRows:
    """Rows of a read model as of the checkpoint of a bundle."""

    def __init__(self, asked: AnswerAsked, connection: Connection, tenant_id: str, position: int) -> None:
        """Look for them as they are stored. Raises ProjectionNotFound, UsageError."""
        self.projection = _installed(connection, asked.read_model)
        self.key, self.position = _typed(self.projection, asked.key), position
        self.is_of_thread = self.projection.partition == "thread"
        self.folding = Refolding(self.projection, key_texts(self.key))
        self._stored = _stored(connection, tenant_id, self.projection, self.key)

    @property
    def name(self) -> str:
        """Return what a person finds them by."""
        return " ".join([self.projection.name, *key_texts(self.key)])

    def some_positions(self) -> list[int]:
        """Return the last event of each row that is stored, by which its thread is found."""
        return sorted({standing.position for standing in self._stored.rows.values()})

    def some_streams(self) -> list[str]:
        """Return what in the key could be the id of a thread, a run or an approval."""
        return [value for value in self.key if isinstance(value, str)]

    def claim(self, thread: str | None, epoch: str) -> Answer:
        """Return what the bundle is to show of them."""
        by = self.projection
        return Answer(
            by.name, key_texts(self.key), thread, self.position, epoch, by.version, fingerprint(by), depends_on=by.depends_on
        )

    def rows(self) -> list[AnswerRow]:
        """Return them after all events were folded: as they are stored, where they still stand as of the checkpoint.

        Raises RowNotFound where there is none, CannotFold.
        """
        found = dict[Key, Standing]()
        try:
            found = self.folding.rows()
        except CannotFold:
            if not self._stored.rows:
                raise
        if self._stored.position >= self.position:
            for key, standing in self._stored.rows.items():
                if standing.position <= self.position and found.get(key) != standing:
                    found[key] = standing
        if not found:
            raise RowNotFound(self.name, f"is not there as of position {self.position}, the checkpoint's; give a key that is")
        return [AnswerRow(standing.position, row_values(standing.row)) for _, standing in sorted(found.items()) if standing.row]


def _installed(connection: Connection, name: str) -> AnyProjection:
    """The projection of a name, which whoever verifies can have, too. Raises ProjectionNotFound, UsageError."""
    if find(name) is None and any(each.name == name for each in read_models(connection)):
        fact = f"{name} is a projection of your own, and answers are by those that are installed where they are verified, too"
        raise UsageError(f"{fact}; give it a package with the entry point `runfold.projections`, and install that", name=name)
    return named(name)


def _typed(projection: AnyProjection, key: Sequence[str]) -> Key:
    names = projection.key
    if not 1 <= len(key) <= len(names):
        fact = f"a key of {projection.name} is {', '.join(names)}"
        raise UsageError(f"{fact}; give --key for each of them, in this order, or for the first of them", key=list(key))
    types = {column.name: column.type for column in columns_of(projection.row)}
    return tuple(_value(projection, name, types[name], value) for name, value in zip(names, key, strict=False))


def _value(projection: AnyProjection, name: str, type: str, text: str) -> Any:
    try:
        match type:
            case "bigint":
                return int(text)
            case "date":
                return date.fromisoformat(text)
            case _:
                return text
    except ValueError:
        kind = "a whole number" if type == "bigint" else "a day such as 2026-01-31"
        raise UsageError(f"{name} of {projection.name} is {kind}, not {text[:80]!r}", key=text[:80]) from None


def _stored(connection: Connection, tenant_id: str, projection: AnyProjection, key: Key) -> _Stored:
    """Rows as they are stored; none where the read model in use was folded otherwise than here, or is being replaced."""
    model = next((each for each in read_models(connection) if each.name == projection.name and each.state == "live"), None)
    if model is None or model.position is None or not fits(projection, model):
        return _Stored(0, {})
    table: Table[Any] = Table(projection, model.generation)
    width = len(projection.key)
    names = ["tenant_id", *projection.key[: len(key)]]
    query = sql.SQL("SELECT {}, {}, position FROM {} WHERE {}").format(
        sql.SQL(", ").join(map(sql.Identifier, projection.key)),
        sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns[1:-1]),
        sql.Identifier(table.schema, table.name),
        sql.SQL(" AND ").join(sql.SQL("{} = %b").format(sql.Identifier(name)) for name in names),
    )
    try:
        with connection.transaction(), connection.cursor(binary=True, row_factory=tuple_row) as rows:
            found = rows.execute(query, [tenant_id, *key]).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return _Stored(0, {})
    try:
        standings = {tuple(row[:width]): Standing(table.row_of(row[width:-1]), row[-1]) for row in found}
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        fact = f"a row of {projection.name} is stored as none can be: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise SealingRefused(fact, f"somebody changed it; run `runfold rebuild {projection.name}`") from None
    return _Stored(model.position, standings)
