"""Whatever is set for a server, a database or a role: what is asked and answered means the same."""

import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from runfold import Ledger, Settings, demo_story
from runfold.cli.operate.doctor import examine
from runfold.demo_story import Cast
from runfold.errors import MigrationRefused
from runfold.maintenance.backup import back_up
from runfold.maintenance.checking import LogCheck
from runfold.maintenance.restore import restore
from runfold.store.marks import MarkFile
from runfold.store.setup.migrate import migrate
from tests.backups import events, tell
from tests.databases import TestDatabase

ODD = {
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "client_encoding": "LATIN1",
    "row_security": "off",
    "gin_fuzzy_search_limit": "1",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "quote_all_identifiers": "on",
    "enable_nestloop": "off",
    "enable_indexscan": "off",
}
LISTS = ("runs", "threads", "tool_calls", "decisions", "approvals", "usage", "problems")
PASSING = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)|datetime\.datetime\(.*?\)|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
)
"""Times of now, and ids that are drawn by lot."""


def make_odd(database: TestDatabase, settings: dict[str, str] = ODD) -> None:
    """Set these for whoever connects from now on."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        for name, value in settings.items():
            statement = sql.SQL("ALTER DATABASE {} SET {} = {}")
            admin.execute(statement.format(sql.Identifier(database.name), sql.Identifier(name), sql.Literal(value)))


def what_is_told(database: TestDatabase) -> dict[str, str]:
    """What a story comes to in lists, a search and the log, once it is recorded and folded."""
    with Ledger.open(settings=database.settings) as ledger:
        demo_story.tell(ledger, Cast.of(7, "default"))
        thread = ledger.create_thread(thread_id="thread_odd", agent_id="Jörg")
        run = thread.start_run(run_id="run_odd", input={"sum": 0.1 + 0.2, "path": "C:\\new"})
        run.add_message("user", "Grüße an die 🦉", message_id="message_odd")
        run.request_approval("refund", approval_id="approval_odd", expires_in="1h")
        ledger.fold()
        assert [*LogCheck(ledger.recorder.reader).findings()] == []
        found = {name: getattr(ledger.now, name)().model_dump_json() for name in LISTS}
        found["search"] = ledger.now.search("refund").model_dump_json()
        found["messages"] = str([message.text for message in ledger.now.messages(run_id="run_odd")])
        found["log"] = "".join(f"{each.position} {each.event!r}\n" for each in ledger.events())
        (asked,) = ledger.now.approvals(run_id="run_odd").items
        assert 3500 < (asked.expires_at - datetime.now(UTC)).total_seconds() < 3601
    return {name: PASSING.sub("…", text) for name, text in found.items()}


def test_a_ledger_tells_the_same_in_a_database_of_odd_settings(database: TestDatabase, empty: TestDatabase) -> None:
    make_odd(empty)
    migrate(empty.admin_url)
    assert what_is_told(empty) == what_is_told(database)


def test_a_backup_of_a_database_of_odd_settings_is_restored_in_one(
    database: TestDatabase, empty: TestDatabase, tmp_path: Path
) -> None:
    with Ledger.open(settings=database.settings) as ledger:
        tell(ledger)
        before = events(database.admin_url)
        make_odd(database)
        make_odd(empty)
        back_up(database.admin_url, tmp_path / "ledger.dump", None)
        assert restore(empty.admin_url, tmp_path / "ledger.dump", None, MarkFile(tmp_path / "marks.json")).findings == []
    make_odd(
        empty, {"DateStyle": "ISO", "bytea_output": "hex", "TimeZone": "UTC", "client_encoding": "UTF8", "row_security": "on"}
    )
    assert events(empty.admin_url) == before


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "SQL_ASCII"])
def test_a_database_that_has_no_room_for_every_letter_is_refused(database: TestDatabase, tmp_path: Path, encoding: str) -> None:
    with other_encoding(database, encoding) as url:
        with pytest.raises(MigrationRefused, match=f"keeps text as {encoding}.*createdb --encoding=UTF8"):
            migrate(url)
        back_up(database.admin_url, tmp_path / "ledger.dump", None)
        with pytest.raises(MigrationRefused, match=f"keeps text as {encoding}"):
            restore(url, tmp_path / "ledger.dump", None, MarkFile(tmp_path / "marks.json"))
        settings = Settings(database_url=url, admin_url=url)
        (found,) = [line for line in examine(settings) if line.about == "encoding"]
        assert (found.state, encoding in found.fact) == ("wrong", True)
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT to_regnamespace('runfold')").fetchone() == (None,)


def test_doctor_names_a_database_that_is_read_only(database: TestDatabase) -> None:
    assert [line for line in examine(database.settings) if line.about == "read-only"] == []
    make_odd(database, {"default_transaction_read_only": "on"})
    (found,) = [line for line in examine(database.settings) if line.about == "read-only"]
    assert (found.state, "default_transaction_read_only is on" in found.fact) == ("note", True)
    assert f"set it to off for the database {database.name}" in str(found.next_step)


@contextlib.contextmanager
def other_encoding(beside: TestDatabase, encoding: str) -> Iterator[str]:
    """The address of a database that keeps text otherwise."""
    name = sql.Identifier(f"{beside.name}_{encoding.lower()}")
    with psycopg.connect(make_conninfo(beside.admin_url, dbname="postgres"), autocommit=True) as server:
        made = sql.SQL("CREATE DATABASE {} ENCODING {} LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0")
        server.execute(made.format(name, sql.Literal(encoding)))
        try:
            yield make_conninfo(beside.admin_url, dbname=f"{beside.name}_{encoding.lower()}")
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
