"""What a table holds against what the fold of the log says: row by row, column by column."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from psycopg.rows import tuple_row

from runfold.projections.fold import Standing
from runfold.projections.projection import AnyProjection, Key
from runfold.projector.tables import Table
from runfold.store.datastore import Connection

ROWS_AT_ONCE = 2000


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
