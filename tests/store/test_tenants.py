"""The second wall between tenants, around the log: what the database itself shows to whom."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from runfold import LedgerUnavailable
from runfold.errors import UsageError
from runfold.store.codec import Row
from runfold.store.datastore import EVERY_TENANT, Datastore
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader
from runfold.store.recorder import Recorder
from tests.databases import TestDatabase

Connect = Callable[..., psycopg.Connection[Any]]
MINE, THEIRS = "acme", "globex"
WHOSE = "SELECT tenant_id, count(*) FROM {} GROUP BY tenant_id ORDER BY tenant_id"


@pytest.fixture
def two_tenants(recorder: Recorder, row: Callable[..., Row]) -> None:
    """Three events of one tenant, two of another, in turn."""
    rows = [row("run_a", 1), row("run_b", 1), row("run_a", 2), row("run_b", 2), row("run_a", 3)]
    recorder.writer.append([each._replace(tenant_id=MINE if each.stream == "run_a" else THEIRS) for each in rows])


@pytest.fixture
def connect(database: TestDatabase) -> Iterator[Connect]:
    """Connects as a role, which says whose rows it wants, or does not."""
    made: list[psycopg.Connection[Any]] = []

    def as_role(role: str, tenant: str | None = None) -> psycopg.Connection[Any]:
        options = {} if tenant is None else {"options": f"-c runfold.tenant={tenant}"}
        made.append(psycopg.connect(make_conninfo(database.url, user=role, **options), autocommit=True))
        return made[-1]

    yield as_role
    for connection in made:
        connection.close()


def shown(connection: psycopg.Connection[Any], relation: str = "runfold.log") -> dict[str, int]:
    return dict(connection.execute(sql.SQL(WHOSE).format(sql.SQL(relation))).fetchall())


@pytest.mark.fault("I8")
@pytest.mark.parametrize("relation", ["runfold.log", "runfold.events"])
def test_a_query_that_forgets_the_tenant_is_shown_that_tenants_events_alone(
    two_tenants: None, connect: Connect, relation: str
) -> None:
    assert shown(connect("runfold_app", MINE), relation) == {MINE: 3}
    assert shown(connect("runfold_app", THEIRS), relation) == {THEIRS: 2}
    assert shown(connect("runfold_app", "nobody"), relation) == {}
    assert shown(connect("runfold_app", EVERY_TENANT), relation) == {MINE: 3, THEIRS: 2}
    assert shown(connect("runfold_projector"), relation) == {MINE: 3, THEIRS: 2}


@pytest.mark.fault("I8")
def test_an_application_that_does_not_say_for_whom_it_reads_is_refused(two_tenants: None, connect: Connect) -> None:
    silent = connect("runfold_app")
    for relation in ("runfold.log", "runfold.events"):
        with pytest.raises(errors.UndefinedObject, match=r'unrecognized configuration parameter "runfold\.tenant"'):
            shown(silent, relation)
    with silent.transaction():
        silent.execute("SET LOCAL runfold.tenant = 'acme'")
        assert shown(silent) == {MINE: 3}
    assert shown(silent) == {}  # what is left of a setting that ended with its transaction is the empty word


@pytest.mark.fault("I8")
def test_people_who_read_see_everything_unless_an_administrator_says_whose(
    two_tenants: None, connect: Connect, database: TestDatabase
) -> None:
    assert shown(connect("runfold_reader"), "runfold.events") == {MINE: 3, THEIRS: 2}
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        name = sql.Identifier(admin.info.dbname)
        admin.execute(sql.SQL("ALTER ROLE runfold_reader IN DATABASE {} SET runfold.tenant = 'globex'").format(name))
    assert shown(connect("runfold_reader"), "runfold.events") == {THEIRS: 2}
    assert shown(connect("runfold_reader"), "runfold.log") == {THEIRS: 2}


@pytest.mark.fault("I8")
def test_who_is_of_several_roles_passes_by_no_wall(two_tenants: None, admin_url: str, connect: Connect) -> None:
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE runfold_test_both LOGIN IN ROLE runfold_app, runfold_projector")
    try:
        connection = connect("runfold_test_both", MINE)
        assert shown(connection) == {MINE: 3}
        connection.close()
    finally:
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute("DROP ROLE runfold_test_both")


def test_who_has_no_role_of_runfolds_is_shown_nothing_whatever_was_granted(
    two_tenants: None, admin_url: str, database: TestDatabase, connect: Connect
) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE runfold_test_guest LOGIN")
        admin.execute("GRANT USAGE ON SCHEMA runfold TO runfold_test_guest")
        admin.execute("GRANT SELECT ON runfold.log TO runfold_test_guest")
    try:
        connection = connect("runfold_test_guest", EVERY_TENANT)
        assert shown(connection) == {}
        connection.close()
    finally:
        with psycopg.connect(database.admin_url, autocommit=True) as admin:
            admin.execute("DROP OWNED BY runfold_test_guest")
            admin.execute("DROP ROLE runfold_test_guest")


APPEND = (
    "SELECT first_position FROM runfold.append(%(streams)s, %(versions)s, %(types)s, %(ones)s, %(states)s, %(nulls)s::text[],"
    " %(tenants)s, %(threads)s, ARRAY(SELECT gen_random_uuid() FROM unnest(%(types)s::text[])), %(contexts)s, %(contexts)s,"
    " '{}', '{}')"
)


def append(connection: psycopg.Connection[Any], *tenants: str) -> int:
    n = len(tenants)
    facts = {
        "streams": [f"run_of_{tenant}" for tenant in tenants],
        "versions": [1] * n,
        "types": ["run.waiting"] * n,
        "states": [b'{"reason":"input"}'] * n,
        "nulls": [None] * n,
        "tenants": list(tenants),
        "threads": ["thread_a"] * n,
        "contexts": ["{}"] * n,
        "ones": [1] * n,
    }
    cursor = connection.execute(APPEND.replace("%(ones)s", "%(ones)s::int2[]"), facts)
    (position,) = cursor.fetchone() or (0,)
    return int(position)


@pytest.mark.fault("I8")
def test_who_appends_for_one_tenant_appends_nothing_of_anothers(two_tenants: None, recorder: Recorder, connect: Connect) -> None:
    for tenant, events in ((MINE, [THEIRS]), (MINE, [MINE, THEIRS]), ("", [MINE])):
        with pytest.raises(errors.InsufficientPrivilege, match="these events are not all of tenant"):
            append(connect("runfold_app", tenant), *events)
    with pytest.raises(errors.UndefinedObject, match=r"runfold\.tenant"):
        append(connect("runfold_app"), MINE)
    assert recorder.reader.head().position == 5
    assert append(connect("runfold_app", MINE), MINE) == 6
    assert append(connect("runfold_app", EVERY_TENANT), THEIRS, "third") == 7


@pytest.mark.fault("I9")
def test_sql_of_ones_own_could_change_the_setting_so_this_wall_is_the_second(two_tenants: None, connect: Connect) -> None:
    app = connect("runfold_app", MINE)
    app.execute("SET runfold.tenant = 'globex'")
    assert shown(app) == {THEIRS: 2}


@pytest.mark.fault("I8")
def test_a_reader_for_one_tenant_reads_nothing_else_whatever_it_asks(two_tenants: None, recorder: Recorder) -> None:
    mine, theirs = TenantReader.of(recorder.reader, MINE), TenantReader.of(recorder.reader, THEIRS)
    assert [recorded[0] for recorded in mine.rows("SELECT notification_id FROM runfold.log ORDER BY 1")] == [1, 3, 5]
    assert [recorded.position for recorded in theirs.page()] == [2, 4]
    assert list(theirs.stream("run_a")) == []
    assert theirs.ends(["run_a", "run_b"]) == {"run_b": (2, 4)}
    assert list(theirs.at_positions([1, 2, 3])) == [2]
    assert [recorded.position for recorded in recorder.reader.page()] == [1, 2, 3, 4, 5]
    for name in ("", EVERY_TENANT):
        with pytest.raises(UsageError, match="is no tenant; give the name of one"):
            TenantReader.of(recorder.reader, name)


def test_a_moment_is_the_same_position_for_every_tenant(two_tenants: None, recorder: Recorder) -> None:
    head = recorder.reader.head()
    assert head.recorded_at is not None
    for tenant in (MINE, THEIRS, "nobody"):
        assert TenantReader.of(recorder.reader, tenant).position_at(head.recorded_at) == 5
        assert TenantReader.of(recorder.reader, tenant).rows("SELECT runfold.recorded_at(1), runfold.recorded_at(6)") == [
            (head.recorded_at, None)
        ]


@pytest.mark.fault("I8")
def test_a_connection_that_many_tenants_use_in_turn_never_shows_one_of_them_anothers_events(
    two_tenants: None, database: TestDatabase
) -> None:
    store = Datastore(database.url, connect_timeout=60, max_connections=3)
    expected = {MINE: {(MINE, 3)}, THEIRS: {(THEIRS, 2)}, EVERY_TENANT: {(MINE, 3), (THEIRS, 2)}}
    together = threading.Barrier(8)

    def hammer(seed: int) -> int:
        dice = random.Random(seed)  # noqa: S311
        together.wait()
        for _ in range(150):
            tenant = dice.choice(list(expected))
            way = dice.choice(["plain", "rolled back", "failed", "cut off"] if dice.random() < 0.3 else ["plain"])
            _misuse(store, tenant, way)
            with store.reading(tenant) as connection:
                found = {(row["tenant_id"], row["count"]) for row in connection.execute(WHOSE.format("runfold.log"))}
            assert found == expected[tenant]
        return seed

    try:
        with ThreadPoolExecutor(8) as threads:
            assert sorted(threads.map(hammer, range(8))) == list(range(8))
    finally:
        store.close()


def _misuse(store: Datastore, tenant: str, way: str) -> None:
    """Leave a connection as it comes back from a caller in trouble."""
    if way == "plain":
        return
    try:
        with store.reading(tenant) as connection:
            connection.execute("BEGIN")
            if way == "failed":
                connection.execute("SELECT 1 / 0")
            elif way == "cut off":
                connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            connection.rollback()
    except LedgerUnavailable:
        assert way != "rolled back"


def test_a_change_of_tenants_costs_no_more_round_trips_than_no_change(
    two_tenants: None, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Datastore(database.url, max_connections=1)  # a second one might be made ready, and be counted, in between
    TenantReader(store, MINE).head()
    sent: list[object] = []
    execute = psycopg.Connection.execute

    def counted(self: psycopg.Connection[Any], query: Any, *rest: Any, **more: Any) -> Any:
        sent.append(query)
        return execute(self, query, *rest, **more)

    monkeypatch.setattr(psycopg.Connection, "execute", counted)
    for tenant in (MINE, THEIRS, THEIRS, MINE, MINE):
        sent.clear()
        with store.reading(tenant):
            assert len(sent) == 1
    store.close()


def test_what_lacks_the_wall_is_known(database: TestDatabase, recorder: Recorder) -> None:
    asked = "SELECT schema || '.' || name FROM runfold.unwalled ORDER BY 1"
    assert Reader(recorder.store).rows(asked) == []
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("DROP POLICY tenant_of_app ON runfold.log")
        admin.execute("ALTER VIEW runfold.events RESET (security_invoker)")
    assert recorder.reader.rows(asked) == [("runfold.events",), ("runfold.log",)]
