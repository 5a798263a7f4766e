"""The tables of totals beside a read model's table: made with it, and changed by what changes in its rows."""

from collections.abc import Sequence
from functools import cached_property

from psycopg import sql

from runfold.projections.columns import Column
from runfold.projections.projection import Totals
from runfold.projections.totals import columns_of_totals, is_sum
from runfold.projector.tables.row_queries import RowQueries, collated_type, names_of
from runfold.store.queries import named_queries

_QUERIES = named_queries("runfold.projector.tables", "totals.sql")
TENANT = Column("tenant_id", "text", nullable=False, comment="Whose it is")
FREE = 70
"""Of a page of rows that change with every page of events, so much is filled at first, in percent."""


class TotalsTable:
    """One table of totals. `source` are the queries of the table whose rows it adds up."""

    def __init__(self, totals: Totals, schema: str, source: RowQueries) -> None:
        self.name, self.schema, self.purpose = totals.name, schema, totals.purpose
        self.columns = self.view_columns = [TENANT, *columns_of_totals(totals)]
        self._sums = [column.name for column in self.columns if is_sum(column)]
        self._by = [column.name for column in self.columns if not is_sum(column)]
        self._parts, self._source = totals.parts, source
        self.table = sql.Identifier(schema, totals.name)

    @cached_property
    def creation(self) -> list[sql.Composed]:
        """The statements that make it. One group has one row, whatever of it is null."""
        definitions = sql.SQL(", ").join(
            sql.SQL("{} {}{}").format(
                sql.Identifier(column.name), sql.SQL(collated_type(column)), sql.SQL("" if column.nullable else " NOT NULL")
            )
            for column in self.columns
        )
        comment = sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format
        return [
            sql.SQL("CREATE TABLE {} ({}) WITH (fillfactor = {})").format(self.table, definitions, sql.Literal(FREE)),
            sql.SQL("CREATE UNIQUE INDEX ON {} ({}) NULLS NOT DISTINCT").format(self.table, self._group),
            sql.SQL("COMMENT ON TABLE {} IS {}").format(self.table, sql.Literal(self.purpose)),
            *(comment(self.table, sql.Identifier(each.name), sql.Literal(each.comment or None)) for each in self.columns),
        ]

    @cached_property
    def _group(self) -> sql.Composed:
        """What a row is found by: all that it is grouped by. Texts are in a digest: they may be more than an index takes.

        Before each stands its length, so that no others give the same. `decode` gives their bytes, for `convert_to` is not taken
        in indexes.
        """
        texts = [column.name for column in self.columns if column.type == "text" and column.name != TENANT.name]
        told = sql.SQL(" || ").join(
            sql.SQL("coalesce(length({0})::text || ':' || {0}, '-')").format(sql.Identifier(name)) for name in texts
        )
        others = names_of(name for name in self._by if name not in texts)
        return sql.SQL(r"{}, sha256(decode(replace({}, '\', '\\'), 'escape'))").format(others, told)

    @cached_property
    def add_all(self) -> sql.Composed:
        """Add up all rows that there are, into a table that is empty."""
        return self._add(self._source.all_signed)

    @cached_property
    def change(self) -> sql.Composed:
        """Take off the rows that are stored under some keys, and add those that are to take their place.

        The parameters are an array for each column of the key, and an array of rows as JSON.
        """
        return self._add(self._source.changed_signed)

    def _add(self, rows: sql.Composed) -> sql.Composed:
        comma = sql.SQL(", ").join
        summed = [sql.SQL("sum(sign * {})").format(sql.Identifier(name)) for name in self._sums]
        return sql.SQL(_QUERIES["add"]).format(
            table=self.table,
            names=names_of([*self._by, *self._sums]),
            rows=rows,
            parts=sql.SQL(self._parts).format(rows=sql.Identifier("rows")),
            added=comma([*map(sql.Identifier, self._by), *summed]),
            by=names_of(self._by),
            group=self._group,
            changes=comma(sql.SQL("{0} = t.{0} + excluded.{0}").format(sql.Identifier(name)) for name in self._sums),
        )


def tables_of(totals: Sequence[Totals], schema: str, source: RowQueries) -> list[TotalsTable]:
    """The tables of a projection's totals."""
    return [TotalsTable(each, schema, source) for each in totals]
