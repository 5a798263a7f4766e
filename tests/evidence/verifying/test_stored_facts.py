"""Whatever a superuser writes into a column of the log or of what is sealed of it, is named."""

import psycopg

from ..stage import TABLES, Stage, put_back

ANOTHER = {
    "bigint": "{0} + 1",
    "integer": "{0} + 1",
    "smallint": "{0} + 1",
    "text": "coalesce({0}, '') || 'x'",
    "bytea": "sha256(coalesce({0}, 'a'))",
    "uuid": "gen_random_uuid()",
    "jsonb": """'{{"a": 1}}'""",
    "timestamp with time zone": "{0} + interval '1 s'",
    "boolean": "NOT {0}",
}
UNSIGNED = {
    "head.position": "the next event is given another position, and the gap before it is named",
    "head.recorded_at": "no event is recorded before the last one; nobody is told it",
    "head.epoch": "a history of its own, told by `runfold check`",
    "sealed_position.sealed_at": "when a sealer looked last",
    "sealed_checkpoints.sealed_at": "when it was stored; the note says nothing of time",
    "sealed_logs.begun_at": "when it was begun",
    "sealed_logs.previous_note": "copied from security.loss_accepted, which is sealed",
    "sealed_logs.reason": "copied from security.loss_accepted, which is sealed",
    "sealed_events.salt": "of an event that has none of its own",
}
"""What may be changed unnoticed, and why nobody is led astray by it."""


def test_whatever_is_changed_in_any_column_is_named(stage: Stage) -> None:
    columns = stage.admin.execute(
        "SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns AS c WHERE c.table_schema = 'runfold'"
        " AND c.table_name = ANY(%s) AND c.is_generated = 'NEVER' ORDER BY 1, 2",
        [list(TABLES)],
    ).fetchall()
    unnoticed, changed = set(), set()
    for table, column, type_ in columns:
        for value in (ANOTHER[type_].format(column), "NULL"):
            if _change(stage, table, column, value):
                changed.add(f"{table}.{column}")
                if not stage.found():
                    unnoticed.add(f"{table}.{column}")
                put_back(stage)
    assert {table for table, *_ in columns} == set(TABLES)
    assert unnoticed == UNSIGNED.keys() & changed
    assert UNSIGNED.keys() <= changed


def _change(stage: Stage, table: str, column: str, value: str) -> bool:
    """Write into one row that is in the middle; False where no row can hold it, or it is what stood there."""
    middle = f"(SELECT ctid FROM runfold.{table} ORDER BY ctid LIMIT 1 OFFSET (SELECT count(*) / 2 FROM runfold.{table}))"
    asked = f"UPDATE runfold.{table} SET {column} = {value} WHERE ctid = {middle} AND {column} IS DISTINCT FROM {value}"
    try:
        return stage.admin.execute(asked).rowcount == 1  # type: ignore[arg-type]
    except psycopg.IntegrityError:
        return False
