"""Where read models are read: several at one moment, as of one position, and not before a position that was asked for."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from runfold.projector.tables.table import READ_SCHEMA, Given
from runfold.queries.page import Standing
from runfold.queries.sources.snapshot import Snapshot
from runfold.queries.sources.standings import behind, standing_of, states_of
from runfold.store.datastore import Connection, Datastore, unavailable

WAIT_SECONDS = 5.0
"""How long a reader that asks for a position waits for it, unless it says otherwise."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05


class Progress(NamedTuple):
    """How far a read model is: None where it has not been begun."""

    position: int | None
    has_stopped: bool


class SchemaGone(Exception):
    """A schema of the past was dropped after it was found."""


class ReadModels:
    """Where snapshots come from; of other tenants' rows the database shows them none."""

    def __init__(self, datastore: Datastore, tenant_id: str) -> None:
        self._datastore = datastore
        self._tenant_id = tenant_id

    @contextlib.contextmanager
    def reading(self, *names: str, min_position: int | None = None, wait_seconds: float | None = None) -> Iterator[Snapshot]:
        """Some read models, not before a position. Raises ReadModelBehind, LedgerUnavailable."""
        if min_position is not None:
            self._wait(names, min_position, WAIT_SECONDS if wait_seconds is None else wait_seconds)
        with self._transaction("ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
            try:
                _hold(connection, READ_SCHEMA, names)
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                connection.rollback()
                standing_of(connection, states_of(connection, names), None)
                raise
            states = states_of(connection, names)
            standing = standing_of(connection, states, min_position)
            yield Snapshot(_as_tuples(connection), self._tenant_id, standing, states=states)

    @contextlib.contextmanager
    def of_schema(self, schema: str, position: int, names: Sequence[str]) -> Iterator[Snapshot]:
        """Read models of the past, in a schema that nobody drops meanwhile. Raises SchemaGone, LedgerUnavailable."""
        with self._transaction("ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
            try:
                _hold(connection, schema, names)
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                raise SchemaGone from None
            standing = Standing(position=position, head=position)
            yield Snapshot(_as_tuples(connection), self._tenant_id, standing, schema)

    @contextlib.contextmanager
    def of_given(self, given: Mapping[str, Given], position: int) -> Iterator[Snapshot]:
        """Read models of the past whose rows are given, beside the log. Raises LedgerUnavailable."""
        with self._transaction("ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
            standing = Standing(position=position, head=position)
            yield Snapshot(_as_tuples(connection), self._tenant_id, standing, given=given)

    @contextlib.contextmanager
    def _transaction(self, how: str) -> Iterator[Connection]:
        """Rolled back at the end: nothing is written here that should stay."""
        with self._datastore.reading(self._tenant_id) as connection:
            connection.execute(f"BEGIN {how}")
            try:
                yield connection
            except psycopg.Error as error:
                raise unavailable(error) from error
            finally:
                connection.row_factory = psycopg.rows.dict_row
                if not connection.closed:
                    connection.rollback()

    def standing(self, *names: str) -> Standing:
        """How far read models are. Raises ReadModelBehind where one has not been begun, or is of another version."""
        with self._datastore.reading(self._tenant_id) as connection:
            return standing_of(connection, states_of(connection, names), None)

    def progress(self, names: Iterable[str]) -> dict[str, Progress]:
        """How far read models are. Raises LedgerUnavailable."""
        with self._datastore.reading(self._tenant_id) as connection:
            states = states_of(connection, list(names))
        return {state.name: Progress(state.position, state.trouble == "stopped") for state in states}

    def _wait(self, names: Sequence[str], wanted: int, seconds: float) -> None:
        until, pause = time.monotonic() + seconds, _FIRST_PAUSE
        while True:
            with self._datastore.reading(self._tenant_id) as connection:
                late = [state for state in states_of(connection, names) if (state.position or 0) < wanted]
                if not late:
                    return
                if time.monotonic() >= until or any(state.trouble == "stopped" for state in late):
                    raise behind(connection, late[0], wanted)
            time.sleep(min(pause, max(0.0, until - time.monotonic())))
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def _as_tuples(connection: Connection) -> Connection:
    connection.row_factory = tuple_row
    return connection


def _hold(connection: Connection, schema: str, names: Sequence[str]) -> None:
    """Until the transaction ends, the names mean the tables that they mean now. Raises psycopg.Error.

    What a name means is changed for everybody at once: without this, a transaction that began before such a change would
    see the new table as it was then, half-built.
    """
    tables = sql.SQL(", ").join(sql.Identifier(schema, name) for name in names)
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(tables))
