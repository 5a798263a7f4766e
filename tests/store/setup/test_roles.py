"""Who may do what to the log. The database itself refuses; nothing of ours stands in between."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import make_conninfo

from runfold import Ledger

CHANGES = ["UPDATE runfold.log SET topic = 'x'", "DELETE FROM runfold.log", "TRUNCATE runfold.log"]
INSERT = (
    "INSERT INTO runfold.log (notification_id, originator_id, originator_version, topic, schema_version, state, tenant_id,"
    " thread_id, event_id, recorded_at, context, metadata) VALUES (99, 'run_x', 1, 'run.started', 1, '{}', 'default',"
    " 'thread_x', gen_random_uuid(), now(), '{}', '{}')"
)
STRUCTURE = ["ALTER TABLE runfold.log DISABLE TRIGGER ALL", "DROP TABLE runfold.log", "DROP FUNCTION runfold.append_events"]


@pytest.fixture(scope="module")
def one_event(shared_ledger: Ledger) -> None:
    shared_ledger.create_thread(agent_id="support", title="kept")


@pytest.fixture
def connect(shared_database, one_event) -> Iterator:
    """Connects to the test's database as a role."""
    made = []

    def as_role(role: str) -> psycopg.Connection:
        url = shared_database.admin_url if role == "superuser" else make_conninfo(shared_database.admin_url, user=role)
        made.append(psycopg.connect(url, autocommit=True))
        return made[-1]

    yield as_role
    for connection in made:
        connection.close()
    with psycopg.connect(shared_database.admin_url) as admin:
        assert admin.execute("SELECT topic, notification_id FROM runfold.log").fetchall() == [("thread.created", 1)]


@pytest.mark.fault("I1")
@pytest.mark.parametrize("role", ["runfold_app", "runfold_projector", "runfold_reader"])
@pytest.mark.parametrize("statement", [INSERT, *CHANGES, *STRUCTURE, "UPDATE runfold.head SET position = 7"])
def test_no_role_but_the_owner_may_touch_the_log_or_its_head(connect, role, statement) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        connect(role).execute(statement)


@pytest.mark.fault("I1", "H4")
def test_the_application_cannot_choose_a_position(connect) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        connect("runfold_app").execute(INSERT.replace("VALUES (99", "OVERRIDING SYSTEM VALUE VALUES (-5"))


@pytest.mark.fault("I2")
@pytest.mark.parametrize("role", ["runfold_owner", "superuser"])
@pytest.mark.parametrize("statement", CHANGES)
def test_owner_and_superuser_are_refused_to_change_events(connect, role, statement) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="events are never changed or removed"):
        connect(role).execute(statement)


@pytest.mark.fault("I2")
@pytest.mark.parametrize("statement", CHANGES)
def test_a_superuser_who_turns_triggers_off_for_replication_is_refused_all_the_same(connect, statement) -> None:
    admin = connect("superuser")
    admin.execute("SET session_replication_role = replica")
    with pytest.raises(errors.InsufficientPrivilege, match="events are never changed or removed"):
        admin.execute(statement)


@pytest.mark.parametrize("role", ["runfold_reader", "runfold_projector"])
def test_readers_may_read_and_may_not_append(connect, role) -> None:
    connection = connect(role)
    assert connection.execute("SELECT type, data ->> 'title' FROM runfold.events").fetchall() == [("thread.created", "kept")]
    assert connection.execute("SELECT position FROM runfold.head").fetchone() == (1,)
    for call in (
        "append_events('{}', '')",
        "append_events_in_groups('{}','{}','{}',NULL,'{}','{}','{}','{}','{}','{}','{}','{}','')",
        "append('{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}')",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(f"SELECT runfold.{call}")


def test_the_appending_function_looks_up_nothing_in_the_callers_schemas(connect, shared_database) -> None:
    with psycopg.connect(shared_database.admin_url, autocommit=True) as admin:
        admin.execute("GRANT CREATE, USAGE ON SCHEMA public TO runfold_app")
        admin.execute(f"GRANT TEMPORARY ON DATABASE {admin.info.dbname} TO runfold_app")
    app = connect("runfold_app")
    for trap in (
        "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '1999-01-01'::timestamptz $$",
        "CREATE FUNCTION public.cardinality(text[]) RETURNS int LANGUAGE sql AS $$ SELECT 100 $$",
        "CREATE TEMPORARY TABLE head (position bigint, recorded_at timestamptz)",
        "CREATE TEMPORARY TABLE log (LIKE runfold.log)",
        "SET search_path = pg_temp, public, runfold, pg_catalog",
        "SET runfold.tenant = '*'",
    ):
        app.execute(trap)
    answer = app.execute(
        "SELECT first_position, recorded_at > '2020-01-01', conflicts FROM runfold.append('{run_x}', '{2}', '{run.started}',"
        " '{1}', '{\"{}\"}', '{NULL}', '{default}', '{thread_x}', ARRAY[gen_random_uuid()], '{\"{}\"}', '{\"{}\"}', '{}', '{}')"
    ).fetchone()
    assert answer == (None, None, ["run_x"])  # version 2 of an empty stream: judged by the real log
    assert app.execute("SELECT count(*) FROM pg_temp.log").fetchone() == (0,)
