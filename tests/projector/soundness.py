"""The checking that all tests of read models share: a table holds what its events lead to, and its receipts say so."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from psycopg import sql
from psycopg.rows import tuple_row

from runfold.domain.recorded import Recorded
from runfold.errors import Damage
from runfold.projections.fold import Standing, fold_all
from runfold.projections.projection import AnyProjection, Key, Totals
from runfold.projections.totals import columns_of_totals, grouped_by, is_sum
from runfold.projector import checkpoints
from runfold.projector.checkpoints import ReadModel
from runfold.projector.connection import connect
from runfold.projector.folding.team import read_head
from runfold.projector.tables.generations import schema_of
from runfold.projector.tables.indexes import BEGINNING
from runfold.projector.tables.table import READ_SCHEMA, Table
from runfold.store.codec import COLUMNS, decode
from runfold.store.datastore import Connection, Datastore

_INDEXES = """
    SELECT array_agg(pg_get_indexdef(i.indexrelid, k.place::int, TRUE) ORDER BY k.place) AS columns
      FROM pg_index AS i
     CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, place)
     WHERE i.indrelid = to_regclass(%s)
       AND NOT i.indisprimary
     GROUP BY i.indexrelid
"""


class Receipt(NamedTuple):
    """What was applied, as the database says it."""

    first: int
    last: int
    events: int
    digest: int


class Due(NamedTuple):
    """What a read model must be at a position."""

    position: int
    rows: dict[Key, Standing]
    receipts: list[Receipt]


class Books:
    """A database's read models, looked at as its projector. To be used in a `with`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection: Connection = connect(Datastore(url))

    def __enter__(self) -> "Books":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """All that is looked at in the block is as it was at one moment."""
        with self.connection.transaction():
            self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield

    def head(self) -> int:
        """The last position of the log."""
        return read_head(self.connection).position

    def model(self, name: str, state: str = "live") -> ReadModel:
        """The generation in use."""
        (found,) = [model for model in self.models() if (model.name, model.state) == (name, state)]
        return found

    def models(self) -> list[ReadModel]:
        """All generations of all read models."""
        return checkpoints.read_models(self.connection)

    def events(self, projection: AnyProjection, up_to: int) -> list[Recorded]:
        """The readable events that a projection looks at."""
        query = f"SELECT {COLUMNS} FROM runfold.log WHERE notification_id <= %b AND topic = ANY(%b) ORDER BY notification_id"
        cursor = self.connection.cursor(binary=True, row_factory=tuple_row)
        found = []
        for row in cursor.execute(query, [up_to, [event.type for event in projection.events]]):
            with suppress(Damage):
                found.append(decode(row))
        return found

    def rows(self, projection: AnyProjection, schema: str = READ_SCHEMA) -> dict[Key, Standing]:
        """What readers see."""
        table = Table(projection, 0)
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        cursor = self.connection.cursor(binary=True, row_factory=tuple_row)
        found: dict[Key, Standing] = {}
        for tenant, *values, position in cursor.execute(f"SELECT {columns} FROM {schema}.{projection.name}"):
            row = table.row_of(values)
            found[(tenant, *(getattr(row, name) for name in projection.key))] = Standing(row, position)
        return found

    def receipts(self, model: ReadModel) -> list[Receipt]:
        """What the generation's receipts say."""
        asked = {"name": model.name, "generation": model.generation}
        found = self.connection.execute(checkpoints.QUERIES["receipts"], asked).fetchall()
        return [Receipt(*(int(value) for value in receipt.values())) for receipt in found]

    def due(self, projection: AnyProjection, up_to: int) -> Due:
        """What a read model must be at a position."""
        events = self.events(projection, up_to)
        receipts = [Receipt(1, up_to, len(events), checkpoints.digest_of(events))] if up_to else []
        return Due(up_to, fold_all(projection, events), receipts)

    def faults(self, projection: AnyProjection, at: int | None = None, due: Due | None = None) -> list[str]:
        """In what its table, checkpoint or receipts are not what the log says they must be; at its position, or another."""
        model = self.model(projection.name)
        assert model.position is not None
        due = due or self.due(projection, model.position if at is None else at)
        faults = differences(due.rows, self.rows(projection))
        if model.position != due.position:
            faults.append(f"the checkpoint is at {model.position}, not at {due.position} ({model.message})")
        if (found := self.receipts(model)) != due.receipts:
            faults.append(f"the receipts are {found}, not {due.receipts}")
        faults += self.faults_of_totals(projection)
        return [f"{projection.name}: {fault}" for fault in faults]

    def indexes(self, projection: AnyProjection, state: str = "live") -> list[list[str]]:
        """The columns of each index of a generation's table beside its key."""
        schema = schema_of(self.model(projection.name, state))
        return sorted(row["columns"] for row in self.connection.execute(_INDEXES, [f"{schema}.{projection.name}"]))

    def missing_indexes(self, projection: AnyProjection) -> list[str]:
        """Indexes that the projection names and the table in use has not."""
        stands_for = {moving.column: f"indexed_{moving.column}" for moving in projection.moving}
        stands_for |= {name: f'"left"({name}, {BEGINNING})' for name in projection.long_texts}
        named = [
            ["tenant_id", *dict.fromkeys(stands_for.get(column, column) for column in (*columns, *projection.key))]
            for columns in projection.indexes
        ]
        found = self.indexes(projection)
        return [f"{projection.name}: no index over {columns}" for columns in named if columns not in found]

    def faults_of_totals(self, projection: AnyProjection, schema: str = READ_SCHEMA) -> list[str]:
        """Totals that are not what the rows in use add up to."""
        return [
            f"{totals.name} {sign} {group}"
            for totals in projection.totals
            for sign, group in self.connection.cursor(row_factory=tuple_row).execute(
                _totals_that_differ(totals, schema, projection.name)
            )
        ]


def _totals_that_differ(totals: Totals, schema: str, rows: str) -> sql.Composed:
    columns = columns_of_totals(totals)
    added = sql.SQL(", ").join(
        sql.SQL("sum(sign * {0}) AS {0}" if is_sum(column) else "{0}").format(sql.Identifier(column.name)) for column in columns
    )
    return sql.SQL(
        "WITH rows AS (SELECT 1 AS sign, t.* FROM {}.{} AS t), parts AS ({}),"
        " added AS (SELECT tenant_id, {} FROM parts GROUP BY tenant_id, {}),"
        " kept AS (SELECT tenant_id, {} FROM {}.{} WHERE parts <> 0)"
        " (SELECT 'lacks', (l.*)::text FROM (TABLE added EXCEPT TABLE kept) AS l)"
        " UNION ALL (SELECT 'has', (m.*)::text FROM (TABLE kept EXCEPT TABLE added) AS m) LIMIT 5"
    ).format(
        sql.Identifier(schema),
        sql.Identifier(rows),
        sql.SQL(totals.parts).format(rows=sql.Identifier("rows")),
        added,
        sql.SQL(", ").join(map(sql.Identifier, grouped_by(totals))),
        sql.SQL(", ").join(sql.Identifier(column.name) for column in columns),
        sql.Identifier(schema),
        sql.Identifier(totals.name),
    )


def differences(wanted: dict[Key, Standing], found: dict[Key, Standing]) -> list[str]:
    """In what rows are not what they must be."""
    faults = [f"no row {key}" for key in wanted.keys() - found.keys()]
    faults += [f"a row {key} too many" for key in found.keys() - wanted.keys()]
    for key in wanted.keys() & found.keys():
        one, other = _plain(found[key]), _plain(wanted[key])
        faults += [f"{key} has {name} = {one[name]!r}, not {other[name]!r}" for name in other if one[name] != other[name]]
    return faults[:10]


def _plain(standing: Standing) -> dict[str, Any]:
    assert standing.row is not None
    return {**standing.row.__dict__, "position of the row": standing.position}


def require_sound(url: str, projections: Iterable[AnyProjection], at: int | None = None) -> None:
    """Every one of these read models holds what it must, and has come to the end of the log (or to a position)."""
    with Books(url) as books:
        end = books.head() if at is None else at
        faults = [fault for each in projections for fault in (*books.faults(each, end), *books.missing_indexes(each))]
    assert not faults, "\n".join(faults)
