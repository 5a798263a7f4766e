"""What a table holds against what the fold of the log says: row by row, column by column."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import sql
from psycopg.rows import tuple_row

from runfold.projections.fold import Standing
from runfold.projections.projection import AnyProjection, Key
from runfold.projector.checkpoints import ReadModel
from runfold.projector.tables.table import Table
from runfold.store.codec import COLUMNS, decode
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

ROWS_AT_ONCE = 2000
MOST_EVENTS = 50
"""How many events are named for a row that differs."""
LOOKED_BACK, LOOKED_BACK_AT_ONCE = 50_000, 5_000
"""How many positions are looked through for them where they may be anywhere in the log."""

_QUERIES = named_queries("runfold.projector.checking", "comparing.sql")


class Difference(NamedTuple):
    """A row that is not what the fold says. `column` is None where the whole row is missing, or should not be there."""

    key: Key
    column: str | None
    stored: Any
    folded: Any

    def __str__(self) -> str:
        if self.column is None:
            return f"the row {self.key} {'should not be there' if self.folded is None else 'is missing'}"
        return f"the row {self.key} has {self.column} = {self.stored!r}, and the fold says {self.folded!r}"


def differences(
    connection: Connection, projection: AnyProjection, generation: int, folded: Mapping[Key, Standing]
) -> Iterator[Difference]:
    """Each difference between a generation's table and the rows that a fold came to."""
    table: Table[Any] = Table(projection, generation)
    missing = set(folded)
    names = [column.name for column in table.columns[1:-1]]
    with connection.transaction(), connection.cursor("rows", row_factory=tuple_row) as cursor:
        cursor.itersize = ROWS_AT_ONCE
        for *values, position in cursor.execute(table.select_query):
            key: Key = (values[0], *(values[1 + names.index(name)] for name in projection.key))
            missing.discard(key)
            standing = folded.get(key)
            if standing is None or standing.row is None:
                yield Difference(key, None, values, None)
                continue
            stored = {**table.row_of(values[1:]).__dict__, "position": position}
            expected = {**standing.row.__dict__, "position": standing.position}
            for name, value in expected.items():
                if stored[name] != value:
                    yield Difference(key, name, stored[name], value)
    for key in missing:
        yield Difference(key, None, None, folded[key].row)


class Explained(NamedTuple):
    """A row that the two generations do not agree on: its key, what each says, and the events that touch it."""

    key: Key
    columns: dict[str, tuple[Any, Any]]
    """By column: in the table in use, and in the new one. Empty where one of them lacks the row."""
    lacking: str | None
    """`new` or `live`, where the whole row is missing there."""
    events: list[tuple[int, str]]
    """Position and type of each event that touches the row, up to the position compared at; the last of them first."""


@dataclass(frozen=True)
class Comparison:
    """A new generation against the one in use, as of the position up to which the new one is filled.

    Rows of the one in use that have changed since, or may have gone, are left out: they will be compared by nobody, for the
    fold that changed them is the one that the new rows are folded by from there on.
    """

    rows: int
    """How many were compared."""
    changed_since: int
    different: int
    examples: tuple[Explained, ...]


def compare(
    connection: Connection,
    projection: AnyProjection,
    live: ReadModel,
    generation: int,
    up_to: int,
    *,
    is_exact: bool = False,
    most: int = 20,
) -> Comparison | None:
    """Every row of a table that is filled up to a position with the row in use, where that has not changed since.

    With `is_exact` the one in use is at that position, too, so that all rows are compared. None where rows cannot be told to
    be the same: another version may have another key.
    """
    new, old = Table(projection, generation), sql.Identifier(f"runfold_{live.name}_{live.generation}", live.name)
    types, had = _types(connection, new.schema, new.name), _types(connection, f"runfold_{live.name}_{live.generation}", live.name)
    shared = [column.name for column in new.columns if had.get(column.name) == types[column.name]]
    key = ["tenant_id", *projection.key]
    others = [name for name in shared if name not in key]
    if not set(key) <= set(shared):
        return None
    parts = {
        "key": sql.SQL(", ").join(map(sql.Identifier, key)),
        "names": sql.SQL(", ").join(map(_old_and_new, others)),
        "differs": sql.SQL(" OR ").join(sql.SQL("l.{0} IS DISTINCT FROM n.{0}").format(sql.Identifier(name)) for name in others),
        "both": sql.SQL(_QUERIES["both, at one position" if is_exact else "both"]).format(
            new=sql.Identifier(new.schema, new.name), old=old, key=sql.SQL(", ").join(map(sql.Identifier, key))
        ),
    }
    asked = {"up_to": up_to, "types": sorted(event.type for event in projection.events), "most": most}
    counted = connection.execute(sql.SQL(_QUERIES["count"]).format(**parts), asked).fetchone()
    assert counted is not None, "counting gives one row"  # noqa: S101
    found = connection.execute(sql.SQL(_QUERIES["examples"]).format(**parts), asked).fetchall() if counted["different"] else []
    examples = [_explained(key, shared, row) for row in found]
    behind = _events_behind(connection, projection, examples, up_to)
    examples = [example._replace(events=events) for example, events in zip(examples, behind, strict=True)]
    return Comparison(counted["rows"], counted["newer"], counted["different"], tuple(examples))


def _types(connection: Connection, schema: str, table: str) -> dict[str, str]:
    """A table's columns, and the type of each."""
    cursor = connection.cursor(row_factory=tuple_row)
    cursor.execute(
        _QUERIES["types"],
        [schema, table],
    )
    return dict(cursor.fetchall())


def _old_and_new(name: str) -> sql.Composed:
    return sql.SQL("l.{0} AS {1}, n.{0} AS {2}").format(
        sql.Identifier(name), sql.Identifier(f"old {name}"), sql.Identifier(f"new {name}")
    )


def _explained(key: list[str], shared: list[str], row: dict[str, Any]) -> Explained:
    """What two rows do not agree on; of the events behind it, the last one of each that is there."""
    positions = [row["old position"], row["new position"]]
    lacking = "live" if positions[0] is None else "new" if positions[1] is None else None
    columns = {
        name: (row[f"old {name}"], row[f"new {name}"])
        for name in shared
        if name not in key and lacking is None and row[f"old {name}"] != row[f"new {name}"]
    }
    last = max(position for position in positions if position is not None)
    return Explained(tuple(row[name] for name in key), columns, lacking, [(last, "")])


def _events_behind(
    connection: Connection, projection: AnyProjection, examples: list[Explained], up_to: int
) -> list[list[tuple[int, str]]]:
    if projection.partition == "thread":
        return [events_of(connection, projection, example.key, example.events[0][0], up_to) for example in examples]
    return last_events_of(connection, projection, [example.key for example in examples], up_to) if examples else []


def events_of(
    connection: Connection, projection: AnyProjection, key: Key, known_position: int, up_to: int, most: int = MOST_EVENTS
) -> list[tuple[int, str]]:
    """The events of a row's thread that touch the row, the last one first; `known_position` is one of them."""
    cursor = connection.cursor(binary=True, row_factory=tuple_row)
    cursor.execute(
        f"SELECT {COLUMNS} FROM runfold.log WHERE (topic = ANY(%b)) IS TRUE"
        " AND (thread_id, tenant_id, notification_id) > ((SELECT thread_id FROM runfold.log WHERE notification_id = %b), %b, 0)"
        " AND (thread_id, tenant_id, notification_id) <= ((SELECT thread_id FROM runfold.log WHERE notification_id = %b), %b, %b)"
        " ORDER BY thread_id DESC, tenant_id DESC, notification_id DESC",
        [sorted(event.type for event in projection.events), known_position, key[0], known_position, key[0], up_to],
    )
    found: list[tuple[int, str]] = []
    for columns in cursor:
        recorded = decode(columns)
        if key[1:] in list(projection.keys(recorded)):
            found.append((recorded.position, recorded.type))
        if len(found) == most:
            break
    return found


def last_events_of(
    connection: Connection, projection: AnyProjection, keys: list[Key], up_to: int, most: int = MOST_EVENTS
) -> list[list[tuple[int, str]]]:
    """For rows that any events may be behind: those that touch them, the last ones first, looked for so far back only."""
    found: dict[Key, list[tuple[int, str]]] = {key: [] for key in keys}
    types = sorted(event.type for event in projection.events)
    end = up_to
    while end > max(0, up_to - LOOKED_BACK) and any(len(events) < most for events in found.values()):
        cursor = connection.cursor(binary=True, row_factory=tuple_row)
        cursor.execute(
            f"SELECT {COLUMNS} FROM runfold.log WHERE (topic = ANY(%b)) IS TRUE AND notification_id > %b"
            " AND notification_id <= %b ORDER BY notification_id DESC",
            [types, end - LOOKED_BACK_AT_ONCE, end],
        )
        for recorded in map(decode, cursor):
            for key in projection.keys(recorded):
                events = found.get((recorded.tenant_id, *key))
                if events is not None and len(events) < most:
                    events.append((recorded.position, recorded.type))
        end -= LOOKED_BACK_AT_ONCE
    return list(found.values())
