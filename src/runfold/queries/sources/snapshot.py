"""Read models at one moment: what is asked of them."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any

import psycopg
from psycopg import sql

from runfold.projections.projection import AnyProjection, Projection, R
from runfold.projections.registry import find
from runfold.projector.tables.table import READ_SCHEMA, Given, Table
from runfold.projector.tables.word_index import Sought, question, question_of_rows
from runfold.queries.page import Standing
from runfold.queries.sources.standings import Found, require_fitting
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

_AT_ONCE = 2_000
"""How many rows are fetched together of those that are read one by one."""

_tables: dict[type[AnyProjection], Table[Any]] = {}
"""Making one takes milliseconds, which every answer would take longer."""

_CURRENT = sql.SQL("(SELECT * FROM {} AS every WHERE every.thread_id NOT IN (SELECT s.thread_id FROM superseded_threads AS s))")
"""The rows of a read model that belong to no thread that others stand for."""

_OWN_PARTS = re.compile(r"(?:\s|--[^\n]*\n)*WITH\s+")
_PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")

_QUERIES = named_queries("runfold.queries.sources", "snapshot.sql")
SUPERSEDED_THREADS = _QUERIES["superseded threads"]
"""The query for the threads that others stand for, of a tenant and as of a position."""


class Snapshot:
    """Read models at one moment. Two questions asked of it are answered from the same rows."""

    def __init__(
        self,
        connection: Connection,
        tenant_id: str,
        standing: Standing,
        schema: str = READ_SCHEMA,
        given: Mapping[str, Given] | None = None,
        states: Sequence[Found] = (),
    ) -> None:
        """The rows are those of a schema, or given. `states` are those of the read models in use."""
        self._connection = connection
        self._schema = schema
        self._given = given
        self._states = {state.name: state for state in states}
        self._of_threads: dict[str, bool] = {}
        """By name: whether a read model's rows belong to threads."""
        self.tenant_id = tenant_id
        self.standing = standing

    def without_superseded(self) -> "Snapshot":
        """The same without what belongs to threads that others stand for; its standing says how many these are."""
        ((count,),) = self._connection.execute(_QUERIES["how many are superseded"], [self.tenant_id, self.standing.position])
        if count:
            self.standing = self.standing.model_copy(update={"superseded_threads": count})
        return self

    def with_superseded(self) -> "Snapshot":
        """The same, of which nothing is left out."""
        if not self.leaves_out:
            return self
        other = copy(self)
        other.standing = self.standing.model_copy(update={"superseded_threads": 0})
        return other

    def holds_totals(self, projection: AnyProjection) -> bool:
        """Return whether the totals of a read model are at hand: it is in a table, and by this version of the projection."""
        return self._given is None and (self._schema != READ_SCHEMA or self._is_of_this_version(projection))

    def has_moving(self, projection: AnyProjection) -> bool:
        """Return whether the table of a read model has its times that move in columns of their own, as its projection says."""
        return bool(projection.moving) and self._schema == READ_SCHEMA and self._is_of_this_version(projection)

    def _is_of_this_version(self, projection: AnyProjection) -> bool:
        state = self._states.get(projection.name)
        return state is not None and state.version == projection.version

    @property
    def leaves_out(self) -> bool:
        """Return whether there are threads that it leaves out."""
        return self.standing.superseded_threads > 0

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query in which `{run_summaries}` stands for a read model. The tenant is the caller's to ask for."""
        query, values = self._composed(text)
        # of given rows without preparing: a plan for any number of them would be one for few
        prepare = False if self._given is not None and values else None
        return self._connection.execute(query, [*values, *parameters], prepare=prepare).fetchall()

    def _composed(self, text: str) -> tuple[sql.Composed, list[Any]]:
        """Return a query with the read models that its names stand for, and the values that these take."""
        names = dict.fromkeys(_PLACEHOLDER.findall(text))
        shown: dict[str, sql.Composable] = {name: self._place(name) for name in names}
        before: list[sql.Composable] = []
        values: list[Any] = []
        if self._given is not None:
            shown = {name: sql.Identifier(f"given_{name}") for name in names}
            before = [sql.SQL("{} AS MATERIALIZED ({})").format(shown[name], self._given[name].query) for name in names]
            values = [self._given[name].pieces for name in names]
        if self.leaves_out and (left := [name for name in names if self._is_of_threads(name)]):
            before.append(sql.SQL("superseded_threads AS MATERIALIZED ({})").format(sql.SQL(_QUERIES["superseded threads"])))
            values += [self.tenant_id, self.standing.position]
            shown |= {name: _CURRENT.format(shown[name]) for name in left}
        return _after(before, text, shown) if before else sql.SQL(text).format(**shown), values

    def _place(self, name: str) -> sql.Identifier:
        """Return where the rows are: the table itself where it has columns that no view shows."""
        projection = find(name) if name in self._states else None
        if projection is None or not self.has_moving(projection):
            return sql.Identifier(self._schema, name)
        return sql.Identifier(self._own_schema(projection), name)

    def _own_schema(self, projection: AnyProjection) -> str:
        return Table(projection, self._states[projection.name].generation or 0).schema

    def _is_of_threads(self, name: str) -> bool:
        if name not in self._of_threads:
            projection = find(name)
            self._of_threads[name] = projection is not None and "thread_id" in projection.row.model_fields
        return self._of_threads[name]

    def each(self, text: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of such a query one by one, however many there are; to be read before anything else is asked."""
        if self._given is not None:
            yield from self.query(text, parameters)
            return
        names = dict.fromkeys(_PLACEHOLDER.findall(text))
        query = sql.SQL(text).format(**{name: sql.Identifier(self._schema, name) for name in names})
        with self._connection.cursor(name="each") as cursor:
            cursor.itersize = _AT_ONCE
            yield from cursor.execute(query, parameters)

    def composed(self, query: sql.Composed) -> list[tuple[Any, ...]]:
        """Rows of a query that is put together already."""
        return self._connection.execute(query).fetchall()

    def copy(self, query: sql.Composed) -> contextlib.AbstractContextManager[psycopg.Copy]:
        """What a COPY … TO STDOUT gives, however much it is."""
        return self._connection.cursor().copy(query)

    def copy_of(
        self, text: str, parameters: Sequence[Any], framed: Callable[[sql.Composable], sql.Composed]
    ) -> contextlib.AbstractContextManager[psycopg.Copy]:
        """What a COPY gives, which `framed` makes of a query such as `query` takes."""
        query, values = self._composed(text)
        return self._connection.cursor().copy(framed(query), [*values, *parameters])

    def rows(
        self,
        projection: Projection[R],
        where: str = "true",
        parameters: Sequence[Any] = (),
        *,
        order_by: str = "",
        limit: int | None = None,
        apart: bool = False,
        in_steps: bool = False,
    ) -> list[R]:
        """Rows of one read model of this tenant, as its own class. Raises ReadModelBehind where its columns are others.

        With `apart` they are found first and sorted then: else the order could seem to make the look for them unnecessary. With
        `in_steps` an index has the beginning of the order, and what is alike in it is sorted as it comes.
        """
        table, columns = self._asked_for(projection)
        source = _source(projection, where, apart=apart)
        text = f"SELECT {columns} FROM {source}"  # noqa: S608
        text += f" ORDER BY {order_by}" if order_by else ""
        text += f" LIMIT {limit:d}" if limit is not None else ""
        with self._sorting_in_steps() if in_steps else contextlib.nullcontext():
            found = self.query(text, [self.tenant_id, *parameters])
        return [table.row_of(values) for values in found]

    def rows_together(
        self, projection: Projection[R], parts: Sequence[tuple[str, Sequence[Any], str, bool]], *, order_by: str, limit: int
    ) -> list[R]:
        """The first rows of several parts of one read model, of which some are sorted `in_steps`.

        Of each part its conditions with their values, its own order, and whether it is found `apart`. Raises ReadModelBehind.
        """
        table, columns = self._asked_for(projection)
        each = (
            f"(SELECT * FROM {_source(projection, where, apart=apart)} ORDER BY {order} LIMIT {limit:d})"  # noqa: S608
            for where, _, order, apart in parts
        )
        text = f"SELECT {columns} FROM ({' UNION ALL '.join(each)}) AS t ORDER BY {order_by} LIMIT {limit:d}"  # noqa: S608
        with self._sorting_in_steps():
            found = self.query(text, [value for _, values, _, _ in parts for value in (self.tenant_id, *values)])
        return [table.row_of(values) for values in found]

    def _asked_for(self, projection: Projection[R]) -> tuple[Table[R], str]:
        """Return the table of a read model, and its columns as a query names them. Raises ReadModelBehind."""
        if (state := self._states.get(projection.name)) is not None:
            require_fitting(state, projection)
        table = _table(projection)
        self._of_threads[projection.name] = "thread_id" in projection.row.model_fields
        return table, ", ".join(f't."{column.name}"' for column in table.columns[1:-1])

    @contextlib.contextmanager
    def _sorting_in_steps(self) -> Iterator[None]:
        self._connection.execute("SET LOCAL enable_incremental_sort = on")
        yield
        self._connection.execute("SET LOCAL enable_incremental_sort = off")

    @property
    def is_of_tables(self) -> bool:
        """Return whether its rows are in tables, which have indexes."""
        return self._given is None

    def with_words(self, projection: AnyProjection, columns: Sequence[str], sought: Sought, most: int) -> list[tuple[Any, ...]]:
        """Some columns of this tenant's rows that have what is looked for, the last first, at most so many."""
        name, index = projection.name, projection.word_index
        assert index is not None, "only a read model with an index of words is asked for them"  # noqa: S101
        if self._given is not None:
            return self.query(question_of_rows(name, index, columns), [*sought.values, self.tenant_id, most])
        if self.leaves_out:
            found = self.query(SUPERSEDED_THREADS, [self.tenant_id, self.standing.position])
            sought = sought._replace(threads_left_out=[thread_id for (thread_id,) in found])
        schema = self._schema
        if schema == READ_SCHEMA:
            schema = self._own_schema(projection)
        query, values = question(schema, name, columns, sought, most)
        return self._connection.execute(query, values, prepare=True).fetchall()


def _after(before: Sequence[sql.Composable], text: str, shown: Mapping[str, sql.Composable]) -> sql.Composed:
    """A query to which some names mean more. One that names parts of its own stands apart, as SQL has it."""
    form = "WITH {} SELECT * FROM ({}) AS answer" if _OWN_PARTS.match(text) else "WITH {} ({})"
    return sql.SQL(form).format(sql.SQL(", ").join(before), sql.SQL(text).format(**shown))


def _source(projection: AnyProjection, where: str, *, apart: bool) -> str:
    """Return what the rows of one tenant are selected from, with what they must be."""
    source = f"{{{projection.name}}} AS t WHERE t.tenant_id = %b AND {where}"
    return f"(SELECT * FROM {source} OFFSET 0) AS t" if apart else source  # noqa: S608


def _table(projection: Projection[R]) -> Table[R]:
    kind = type(projection)
    if kind not in _tables:
        _tables[kind] = Table(projection, 0)
    return _tables[kind]
