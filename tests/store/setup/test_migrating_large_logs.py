"""The log is brought to a new shape beside those who write to it, and a migration may be broken off anywhere."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runfold import Ledger, LedgerUnavailable
from runfold.errors import MigrationRefused
from runfold.maintenance.checking import LogCheck
from runfold.store.setup import migration
from runfold.store.setup.migrate import _connected, migrate, migrations

BEFORE = [file for file in migrations() if file.number < 5]
THIS = next(file for file in migrations() if file.number == 5)
AS_BEFORE = (
    "SELECT first_position, recorded_at, conflicts, actual_versions FROM runfold.append("
    "%s::text[], %s::int8[], %s::text[], %s::int2[], %s::bytea[], %s::text[],"
    " %s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::int8[])"
)
"""As a process of the version before calls it."""
IS_NEW = """
SELECT (SELECT array_agg(c.conname::text ORDER BY c.conname::text) FROM pg_constraint AS c
         WHERE c.conrelid = 'runfold.log'::regclass AND c.contype = 'u'),
       (SELECT array_agg(i.indexrelid::regclass::text ORDER BY i.indexrelid::regclass::text) FROM pg_index AS i
         WHERE i.indrelid = 'runfold.log'::regclass AND i.indisvalid AND NOT i.indisunique),
       (SELECT count(*) FROM pg_index AS i WHERE i.indrelid = 'runfold.log'::regclass AND NOT i.indisvalid)
"""
NEW = (
    ["log_event_id", "log_tenant_stream_version"],
    [
        "runfold.log_keys",
        "runfold.log_tenant_thread",
        "runfold.log_tenant_tree",
        "runfold.log_tenant_type",
        "runfold.log_threads_created",
        "runfold.log_threads_superseded",
        "runfold.log_webhooks",
    ],
    0,
)


class OldProcess:
    """Appends to one thread of its own, as the version before does."""

    def __init__(self, url: str, name: str = "thread_old") -> None:
        self._connection = psycopg.connect(url, autocommit=True, options="-c runfold.tenant=*")
        self.name, self.version, self.position = name, 0, 0

    def append(self, events: int = 1, watched: dict[str, int] | None = None) -> str | None:
        """The stream that stood in the way, if one did."""
        n, created = events, self.version == 0
        types = ["thread.created" if created and number == 0 else "thread.renamed" for number in range(n)]
        states = [b'{"agent_id":"a","metadata":{}}' if kind == "thread.created" else b'{"title":"x"}' for kind in types]
        metadata = '{"actor": {"kind": "service", "id": "old"}}'
        answer = self._connection.execute(
            AS_BEFORE,
            [
                [self.name] * n,
                [self.version + number + 1 for number in range(n)],
                types,
                [1] * n,
                states,
                [None] * n,
                ["default"] * n,
                [self.name] * n,
                [uuid4() for _ in range(n)],
                ["{}"] * n,
                [metadata] * n,
                list(watched or {}),
                list((watched or {}).values()),
            ],
            prepare=True,
        ).fetchone()
        assert answer is not None
        first, _, conflicts, _ = answer
        if conflicts:
            return str(conflicts[0])
        self.version, self.position = self.version + n, first + n - 1
        return None

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def old(admin_url: str, template: str) -> Iterator[str]:
    """A database as the version before left it, with 300 events."""
    name = f"runfold_old_{os.getpid()}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = make_conninfo(admin_url, dbname=name)
    migrate(url, BEFORE)
    process = OldProcess(make_conninfo(url, user="runfold_app"))
    for _ in range(100):
        assert process.append(3) is None
    process.close()
    yield url
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def app(url: str) -> str:
    return make_conninfo(url, user="runfold_app")


def require_new(url: str, events: int) -> None:
    """All of the new shape is there, nothing of the old one, and the log is whole."""
    with psycopg.connect(url, autocommit=True) as admin:
        assert admin.execute(IS_NEW).fetchone() == NEW
    with Ledger.open(app(url)) as ledger:
        check = LogCheck(ledger.recorder.reader)
        assert list(check.findings()) == []
        assert check.events == events
        assert [found.salt for found in ledger.recorder.reader.page(limit=300)] == [None] * 300
        ledger.create_thread(agent_id="support")
        (newest,) = ledger.events(after=events)
        assert newest.salt is not None
        assert len(newest.salt) == 16


@pytest.mark.fault("J2", "J3")
def test_a_log_is_migrated_while_a_process_of_the_version_before_appends_and_it_may_go_on_after(old: str) -> None:
    process, stop, raised = OldProcess(app(old), "thread_going_on"), threading.Event(), []

    def write() -> None:
        number = 0
        try:
            while not stop.is_set():
                number += 1
                assert process.append(1 + number % 3) is None
        except Exception as error:
            raised.append(error)

    writing = threading.Thread(target=write)
    writing.start()
    told: list[str] = []
    try:
        assert migrate(old, told=told.append) == [file.name for file in migrations() if file.number >= 5]
    finally:
        stop.set()
        writing.join()
    assert raised == []
    assert [text for text in told if text.startswith(THIS.name)][:2] == [
        f"{THIS.name}: add the column for the salt",
        f"{THIS.name}: build the index that makes (tenant, stream, version) unique",
    ]
    assert process.append(1) is None
    assert process.append(2, {"thread_old": 300}) is None
    assert process.append(2, {"thread_old": 299}) == "thread_old"
    require_new(old, process.position)
    process.close()


def migrate_and_die(url: str, failpoint: str) -> int:
    program = "import sys; from runfold.store.setup.migrate import migrate; migrate(sys.argv[1])"
    environment = {**os.environ, "RUNFOLD_FAILPOINT": failpoint}
    return subprocess.run([sys.executable, "-c", program, url], env=environment, check=False).returncode


@pytest.mark.fault("J2")
@pytest.mark.parametrize(
    "point",
    [
        "migration step in its transaction:1",  # nothing is there yet
        *(f"migration step done:{number}" for number in range(1, len(THIS.steps))),
        f"migration step in its transaction:{2}",  # all is switched over, and nobody sees it
    ],
)
def test_a_migration_that_was_killed_goes_on_where_it_was_and_the_old_version_appends_meanwhile(old: str, point: str) -> None:
    assert migrate_and_die(old, point) == -9
    with pytest.raises(MigrationRefused, match=r"lacks 0005_tenant_streams\.sql.*run `runfold migrate`"):
        Ledger.open(app(old))
    process = OldProcess(app(old), "thread_between")
    assert process.append(5) is None
    assert THIS.name in migrate(old)
    process.close()
    require_new(old, 305)


@pytest.mark.fault("J2")
def test_an_index_that_was_left_half_built_is_built_anew(old: str) -> None:
    building = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CREATE%INDEX CONCURRENTLY%'"
    building += " AND wait_event = 'virtualxid' AND pid <> pg_backend_pid()"
    with psycopg.connect(old) as reader, psycopg.connect(old, autocommit=True) as admin:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT position FROM runfold.head")  # an old snapshot: who builds an index waits for it
        raised = in_thread(lambda: migrate(old))
        ((pid,),) = once(lambda: admin.execute(building).fetchall())
        admin.execute("SELECT pg_terminate_backend(%s)", [pid])
        assert isinstance(raised(), LedgerUnavailable)
        left = "SELECT count(*) FROM pg_index WHERE indrelid = 'runfold.log'::regclass AND NOT indisvalid"
        assert admin.execute(left).fetchone() == (1,)
    assert THIS.name in migrate(old)
    require_new(old, 300)


@pytest.mark.fault("J2", "C-3")
def test_who_holds_the_table_makes_the_migration_wait_and_nobody_who_appends(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "LOCK_SECONDS", 0.05)
    monkeypatch.setattr(migration, "PAUSE_SECONDS", 0.05)
    process, told = OldProcess(app(old), "thread_meanwhile"), []
    with psycopg.connect(old, application_name="a careless report") as reader:
        reader.execute("LOCK TABLE runfold.log IN ACCESS SHARE MODE")
        raised = in_thread(lambda: migrate(old, told=told.append))
        held = f"{THIS.name} waits for a lock that others hold: session {reader.info.backend_pid} (a careless report, since"
        for _ in range(5):
            before = len(told)
            once(lambda before=before: any(held in text for text in told[before:]))
            assert process.append(1) is None
    assert raised() is None
    process.close()
    require_new(old, 305)


def test_locks_that_are_not_to_be_had_are_given_up_in_the_end_and_named(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "LOCK_SECONDS", 0.01)
    monkeypatch.setattr(migration, "PATIENCE_SECONDS", 0)
    with psycopg.connect(old, application_name="a careless report") as reader:
        reader.execute("LOCK TABLE runfold.log IN ACCESS SHARE MODE")
        with pytest.raises(LedgerUnavailable, match=r"waits for a lock that others hold: session \d+ \(a careless report, since"):
            migrate(old)
    assert THIS.name in migrate(old)


def test_a_log_that_holds_a_version_twice_is_not_migrated_and_says_what_to_run(old: str) -> None:
    with psycopg.connect(old, autocommit=True) as admin:
        admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER ALL")
        admin.execute("ALTER TABLE runfold.log DROP CONSTRAINT log_stream_version")
        admin.execute("UPDATE runfold.log SET originator_version = 7 WHERE notification_id = 8")
    for _ in range(2):  # the second finds an index that cannot be used, and tries again
        with pytest.raises(MigrationRefused, match=r"log_tenant_stream_version cannot be built, for the log is damaged.*check"):
            migrate(old)


def test_no_setting_of_the_migrating_role_ends_what_takes_long(old: str) -> None:
    names = ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"]
    hurried = make_conninfo(old, options=" ".join(f"-c {name}=1s" for name in names))
    with _connected(hurried) as connection:
        assert [connection.execute(f"SHOW {name}").fetchone() for name in names] == [("0",)] * 4
    assert THIS.name in migrate(hurried)


def test_what_takes_long_says_how_far_it_is(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "LOOK_SECONDS", 0.01)
    told: list[str] = []
    with psycopg.connect(old) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT position FROM runfold.head")
        raised = in_thread(lambda: migrate(old, told=told.append))
        once(lambda: any("unique, waiting for old snapshots" in text for text in told))
    assert raised() is None


def test_a_file_without_steps_is_one_transaction(old: str) -> None:
    assert [(len(file.steps), file.steps[0].text) for file in BEFORE] == [(1, file.text) for file in BEFORE]
    assert [bool(step.builds) for step in THIS.steps] == [False, True, True, True, False]
    assert conninfo_to_dict(old)["dbname"]


def in_thread(work: Callable[[], Any]) -> Callable[[], Exception | None]:
    """Start it; what it gives says what it raised."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> Exception | None:
        thread.join(60)
        assert not thread.is_alive()
        return raised[0] if raised else None

    return wait


def once(found: Callable[[], Any]) -> Any:
    """What it finds, as soon as it finds something."""
    turn = threading.Event()
    for _ in range(6000):
        if answer := found():
            return answer
        turn.wait(0.01)
    raise AssertionError("it never came to that")
