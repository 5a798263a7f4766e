"""A log of three hundred thousand events, and read models as large, made in SQL in seconds: what statements are tried on.

A recorded history is multiplied, each copy under ids of its own. The copies are mixed with each other position by position,
as where many agents work at once: every thread has its events all over the log.
"""

import random
from dataclasses import dataclass
from typing import LiteralString, cast

import psycopg

from runfold import Ledger
from runfold.projections.registry import known
from tests import waiting
from tests.databases import TestDatabase
from tests.projections.histories import History

EVENTS = 300_000
Admin = psycopg.Connection[tuple[str, ...]]

_IDS = {"originator_id", "thread_id", "run_id", "approval_id", "parent_run_id"}
_TABLES = (
    "SELECT c.oid::regclass::text, c.oid::text, c.relpages::text, c.reltuples::text, c.relkind::text FROM pg_class AS c"
    " WHERE c.relnamespace::regnamespace::text LIKE 'runfold%' AND c.relkind IN ('r', 'i')"
)


@dataclass(frozen=True)
class Small:
    """A ledger on its first day: one history, folded."""

    database: TestDatabase
    events: int
    pages: dict[str, tuple[str, str]]
    """By table and index: the pages and rows that the database believes it to have."""


@dataclass(frozen=True)
class Crowd:
    """The ledger after that, and of whom to ask."""

    small: Small
    events: int
    threads: list[str]
    runs: list[str]

    @property
    def database(self) -> TestDatabase:
        """Where it is."""
        return self.small.database

    def whole_readings(self) -> int:
        """How many times the log was read from end to end."""
        with _admin(self.database) as admin:
            found = admin.execute(
                "SELECT seq_scan::text FROM pg_stat_all_tables WHERE relid = 'runfold.log'::regclass"
            ).fetchone()
            return int(found[0]) if found else 0

    def pages_looked_at(self) -> int:
        """How many pages of the log and of its indexes were looked at by sessions that have ended; waits until all have."""
        with _admin(self.database) as admin:
            others = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            waiting.until(lambda: not admin.execute(others).fetchall())
            found = admin.execute(
                "SELECT (heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::text"
                "  FROM pg_statio_all_tables WHERE relid = 'runfold.log'::regclass"
            ).fetchone()
            return int(found[0]) if found else 0

    def believe_the_first_day(self) -> None:
        """Let the database have the statistics that it had on the first day."""
        with _admin(self.database) as admin:
            for oid, (pages, rows) in self.small.pages.items():
                admin.execute(
                    "UPDATE pg_class SET relpages = %s::int, reltuples = %s::real WHERE oid = %s::oid", [pages, rows, oid]
                )

    def forget(self) -> None:
        """Let the database have no statistics at all."""
        with _admin(self.database) as admin:
            for oid in self.small.pages:
                admin.execute("DELETE FROM pg_statistic WHERE starelid = %s::oid", [oid])
                admin.execute("UPDATE pg_class SET relpages = 0, reltuples = -1 WHERE oid = %s::oid", [oid])


def _admin(database: TestDatabase, *, autocommit: bool = True) -> Admin:
    return psycopg.connect(database.admin_url, autocommit=autocommit)


def first_day(database: TestDatabase) -> Small:
    """Record one history, fold it, gather statistics once and never again."""
    with Ledger.open(settings=database.settings) as ledger:
        history = History(random.Random(11))  # noqa: S311
        for _ in range(4):
            history.go_on(ledger, 120)
        ledger.fold()
        events = ledger.position()
    with _admin(database) as admin:
        admin.execute("ANALYZE")
        found = admin.execute(cast("LiteralString", _TABLES)).fetchall()
        for name, *_, kind in found:
            if kind == "r":
                admin.execute(cast("LiteralString", f"ALTER TABLE {name} SET (autovacuum_enabled = off)"))
    return Small(database, events, {oid: (pages, rows) for _, oid, pages, rows, _ in found})


def multiply(small: Small, events: int) -> Crowd:
    """As many events, and as many rows of each read model as they lead to."""
    copies = events // small.events
    total = small.events * copies
    with _admin(small.database, autocommit=False) as admin:
        admin.execute("SET session_replication_role = replica; SET synchronous_commit = off; SET maintenance_work_mem = '256MB'")
        _multiply_log(admin, copies)
        for name in known():
            _multiply_rows(admin, name, copies)
        for statement in (
            "UPDATE runfold.head SET position = %s, recorded_at = (SELECT max(recorded_at) FROM runfold.log)",
            "UPDATE runfold.checkpoints SET position = %s",
            "UPDATE runfold.receipts SET last_position = %s",
        ):
            admin.execute(statement, [total])
        crowd = Crowd(small, total, _ids(admin, "thread.created"), _ids(admin, "run.created"))
    Ledger.open(settings=small.database.settings).close()  # it notices that this is another history
    with _admin(small.database) as admin:
        admin.execute("UPDATE runfold.checkpoints SET epoch = (SELECT epoch FROM runfold.head)")
    return crowd


def _ids(admin: Admin, topic: str) -> list[str]:
    """Of the first copy."""
    return [
        stream
        for (stream,) in admin.execute(
            "SELECT originator_id FROM runfold.log WHERE topic = %s AND right(originator_id, 8) = '00000000'"
            " ORDER BY notification_id",
            [topic],
        )
    ]


def _multiply_log(admin: Admin, copies: int) -> None:
    run_id = _copied("(e.context ->> 'run_id')")
    made = {
        "notification_id": f"(e.notification_id - 1) * {copies} + n + 1",
        "event_id": "gen_random_uuid()",
        "recorded_at": f"e.recorded_at + ((e.notification_id - 1) * {copies} + n) * interval '1 ms'",
        "context": f"CASE WHEN e.context ? 'run_id' THEN e.context || jsonb_build_object('run_id', {run_id}) ELSE e.context END",
    }
    admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER log_is_not_truncated")
    _replace(admin, "runfold.log", made, copies, ("TRUNCATE runfold.log", " ORDER BY 1"))
    admin.execute("ALTER TABLE runfold.log ENABLE ALWAYS TRIGGER log_is_not_truncated")


def _multiply_rows(admin: Admin, name: str, copies: int) -> None:
    found = admin.execute(
        "SELECT generation::text FROM runfold.read_models WHERE name = %s AND state = 'live'", [name]
    ).fetchone()
    assert found is not None
    table = f"runfold_{name}_{found[0]}.{name}"
    columns = _columns(admin, table)
    made = {column: f"(e.{column} - 1) * {copies} + n + 1" for column in columns if column.endswith("position")}
    made |= {column: f"e.{column} + n * interval '1 s'" for column in columns if column.endswith("_at")}
    made |= {"goal_id": "CASE n WHEN 0 THEN e.goal_id ELSE e.goal_id || ' ' || n END"} if name == "goals" else {}
    _replace(admin, table, made, copies, (f"TRUNCATE {table}", ""))


def _replace(admin: Admin, table: str, made: dict[str, str], copies: int, how: tuple[str, str]) -> None:
    columns = _columns(admin, table)
    made = {**{column: _copied(f"e.{column}") for column in columns if column in _IDS}, **made}
    values = ", ".join(made.get(column, f"e.{column}") for column in columns)
    empty, order = how
    source = f"SELECT {values} FROM template AS e, generate_series(0, {copies - 1}) AS n{order}"
    for statement in (
        f"CREATE TEMPORARY TABLE template AS SELECT * FROM {table}",
        empty,
        # Else each row is put into each index by itself.
        f"UPDATE pg_index SET indisready = false WHERE indrelid = '{table}'::regclass",
        f"INSERT INTO {table} ({', '.join(columns)}) {source}",
        f"REINDEX TABLE {table}",
        "DROP TABLE template",
    ):
        admin.execute(cast("LiteralString", statement))


def _copied(column: str) -> str:
    """An id under the number of its copy: what stands at its end is random, and gives way."""
    return f"overlay({column} PLACING lpad(to_hex(n), 8, '0') FROM length({column}) - 7)"


def _columns(admin: Admin, table: str) -> list[str]:
    return [
        name
        for (name,) in admin.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
            " AND attgenerated = '' ORDER BY attnum",
            [table],
        )
    ]
