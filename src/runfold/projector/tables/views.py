"""The views that people query: under each read model's plain name in `runfold_read`, with the comments of its columns.

People make views of their own over them, and these outlive every new table: columns that are added come after those that
are there. Where one goes away that none of them takes, who depends on the view keeps it, put aside under another name,
and the plain name means a new one. Only a column that somebody's view takes cannot go: then the new table is not used.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from psycopg import sql

from runfold.errors import DependentView
from runfold.projections.columns import Column
from runfold.projector.tables.row_queries import collated_type
from runfold.projector.tables.table import READ_SCHEMA, Table, let_read
from runfold.projector.tables.totals import TotalsTable
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

AnyTable = Table[Any] | TotalsTable
GONE = "No longer kept: always null, for views that were made while it was"

_QUERIES = named_queries("runfold.projector.tables", "views.sql")


class Dependent(NamedTuple):
    """Something of somebody's that is made over a view, and which columns it takes."""

    what: str
    columns: list[str]
    takes_all: bool
    """Whether it takes whole rows: every column."""


class View(NamedTuple):
    """One that is there: under the plain name, or put aside for who depends on it."""

    name: str
    oid: int
    columns: list[tuple[str, str]]
    """Name and type of each, in order."""
    dependents: list[Dependent]


def show(connection: Connection, table: Table[Any]) -> None:
    """Let a read model's plain name mean a table, and those of its totals theirs. In the caller's transaction.

    Raises DependentView.
    """
    for each in _with_totals(table):
        _show(connection, each)


def _with_totals(table: Table[Any]) -> list[AnyTable]:
    return [table, *table.totals]


def _show(connection: Connection, table: AnyTable) -> None:
    found = {view.name: view for view in _showable(connection, table)}
    main = found.pop(table.name, None)
    for view in found.values():
        if view.dependents:
            _point(connection, table, view.name, view.columns)
        else:
            connection.execute(sql.SQL("DROP VIEW {}").format(_named(view.name)))
    own = [(column.name, collated_type(column)) for column in table.view_columns]
    if main is None or main.columns == own:
        _point(connection, table, table.name, own)
    elif not _gone(main, own) and main.dependents:
        _point(connection, table, table.name, [*main.columns, *(column for column in own if column not in main.columns)])
    else:
        grants = connection.execute(_QUERIES["grants"], {"view": main.oid}).fetchall()
        _set_aside(connection, table, main, found)
        _point(connection, table, table.name, own)
        _grant(connection, table, grants)


def require_showable(connection: Connection, table: Table[Any]) -> None:
    """Raise DependentView where somebody's view takes what a table does not have."""
    for each in _with_totals(table):
        _showable(connection, each)


def _showable(connection: Connection, table: AnyTable) -> list[View]:
    """All views over a table that are there. Raises DependentView."""
    own = [(column.name, collated_type(column)) for column in table.view_columns]
    views = views_of(connection, table.name)
    for view in views:
        gone = _gone(view, own)
        for dependent in view.dependents:
            taken = gone if dependent.takes_all else [name for name in gone if name in dependent.columns]
            if taken:
                raise _in_the_way(table.name, dependent, taken, {name for name, _ in own})
    return views


def made_over(connection: Connection, schema: str) -> str | None:
    """Return what of somebody's is made over the tables of a schema, and would go with it."""
    found = connection.execute(_QUERIES["made over schema"], {"schema": schema}).fetchone()
    return found and f"{found['what']} is made over {schema}.{found['over']}, which would go"


def views_of(connection: Connection, name: str) -> list[View]:
    """The view under a read model's plain name, and those of it that were put aside."""
    found = []
    for row in connection.execute(
        _QUERIES["views"], {"schema": READ_SCHEMA, "name": name, "aside": f"^{re.escape(name)}@[0-9]+$"}
    ):
        columns = [(column["name"], column["type"]) for column in connection.execute(_QUERIES["columns"], {"view": row["oid"]})]
        dependents = [Dependent(**each) for each in connection.execute(_QUERIES["dependents"], {"view": row["oid"]})]
        found.append(View(row["name"], row["oid"], columns, dependents))
    return found


def tables_of(connection: Connection, schema: str) -> list[str]:
    """The tables of a generation: that of its rows, and those of totals."""
    return [row["name"] for row in connection.execute(_QUERIES["tables"], {"schema": schema})]


def comment_on_views(connection: Connection) -> None:
    """Give the views the comments of their tables' columns, where they were made before they had them."""
    for row in connection.execute(_QUERIES["comments that lack"], {"schema": READ_SCHEMA}).fetchall():
        said = sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
            _named(row["view"]), sql.Identifier(row["name"]), sql.Literal(row["comment"])
        )
        connection.execute(said)


def _gone(view: View, own: Sequence[tuple[str, str]]) -> list[str]:
    """Its columns that are no more, or have another type. A column that was kept as null comes back with its type."""
    return [name for name, type_ in view.columns if (name, type_) not in own]


def _point(connection: Connection, table: AnyTable, name: str, columns: Sequence[tuple[str, str]]) -> None:
    """Make a view of these columns, in this order; those that the table does not have are null."""
    has = {(column.name, collated_type(column)): column for column in table.view_columns}
    selected = sql.SQL(", ").join(
        sql.Identifier(column)
        if (column, type_) in has
        else sql.SQL("NULL::{} AS {}").format(sql.SQL(type_), sql.Identifier(column))
        for column, type_ in columns
    )
    view = _named(name)
    make = sql.SQL("CREATE OR REPLACE VIEW {} WITH (security_invoker = true) AS SELECT {} FROM {}")
    statements = [
        make.format(view, selected, sql.Identifier(table.schema, table.name)),
        sql.SQL("COMMENT ON VIEW {} IS {}").format(view, sql.Literal(table.purpose)),
        *(
            sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(view, sql.Identifier(each[0]), _comment(has.get(each)))
            for each in columns
        ),
        let_read(view),
    ]
    connection.execute(sql.SQL(";\n").join(statements), prepare=False)


def _comment(column: Column | None) -> sql.Literal:
    return sql.Literal(GONE if column is None else column.comment or None)


def _set_aside(connection: Connection, table: AnyTable, main: View, aside: Iterable[str]) -> None:
    """Free the plain name: who depends on the view keeps it under another one."""
    if not main.dependents:
        connection.execute(sql.SQL("DROP VIEW {}").format(_named(main.name)))
        return
    number = 1 + max((int(name.partition("@")[2]) for name in aside), default=0)
    name = f"{main.name}@{number}"
    connection.execute(sql.SQL("ALTER VIEW {} RENAME TO {}").format(_named(main.name), sql.Identifier(name)))
    _point(connection, table, name, main.columns)


def _grant(connection: Connection, table: AnyTable, grants: Iterable[dict[str, Any]]) -> None:
    """What was granted on the view before is granted on the new one."""
    has = {column.name for column in table.view_columns}
    for row in grants:
        if row["column"] is not None and row["column"] not in has:
            continue
        columns = sql.SQL("") if row["column"] is None else sql.SQL(" ({})").format(sql.Identifier(row["column"]))
        statement = sql.SQL("GRANT {}{} ON {} TO {}{}").format(
            sql.SQL(row["privilege"]),
            columns,
            _named(table.name),
            sql.SQL("PUBLIC") if row["grantee"] is None else sql.Identifier(row["grantee"]),
            sql.SQL(" WITH GRANT OPTION" if row["is_grantable"] else ""),
        )
        connection.execute(statement)


def _in_the_way(name: str, dependent: Dependent, taken: Sequence[str], has: set[str]) -> DependentView:
    gone = [column for column in taken if column not in has]
    retyped = [column for column in taken if column in has]
    said = [f"no longer has {', '.join(gone)}"] if gone else []
    said += [f"has another type for {', '.join(retyped)}"] if retyped else []
    fact = f"{' and '.join(said)}, which {dependent.what} takes from it, so the table in use stays"
    return DependentView(
        name, fact, f"drop or change {dependent.what}, and run `runfold projections retry {name}` or repeat the command"
    )


def _named(name: str) -> sql.Identifier:
    return sql.Identifier(READ_SCHEMA, name)
