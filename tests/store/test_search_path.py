"""Names in our SQL mean what PostgreSQL brings, or what is ours: never what a lesser role put in the way."""

import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import runfold
from runfold import Ledger, Settings
from runfold.cli.operate.doctor import examine
from runfold.errors import MigrationRefused
from runfold.maintenance.checking import LogCheck
from runfold.projector.checking.auditing import receipt_findings
from runfold.projector.connection import connect
from runfold.store.datastore import Datastore
from runfold.store.setup.migrate import migrate, migrations
from tests.databases import TestDatabase
from tests.store.trojan import caught, plant, prepare, used_functions

PINNED = ("pg_catalog, pg_temp",)
CONNECTING = r"psycopg\.(?:Connection\.)?connect\(|AsyncConnection|(?<!httpcore2\.)\bConnectionPool\("
"""What opens connections to the database. Those of httpcore2 lead to receivers of webhooks."""
OURS = ("runfold_owner", "runfold_app", "runfold_projector", "runfold_reader")


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        yield connection


def as_role(database: TestDatabase, role: str) -> psycopg.Connection:
    return psycopg.connect(make_conninfo(database.admin_url, user=role), autocommit=True)


@pytest.fixture
def mallory(admin: psycopg.Connection) -> Iterator[str]:
    """A role that is none of ours, and may log in."""
    name = f"runfold_test_mallory_{os.getpid()}"
    admin.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    owned = admin.execute("SELECT nspname FROM pg_namespace WHERE pg_get_userbyid(nspowner) = %s", [name]).fetchall()
    for (schema,) in owned:  # one by one: all at once are more than the server locks
        admin.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
    admin.execute(f"DROP OWNED BY {name} CASCADE")
    admin.execute(f"DROP ROLE {name}")


def everything(database: TestDatabase) -> None:
    """Whatever anybody of ours does with a database: migrating, recording, reading, folding, rebuilding, checking."""
    migrate(database.admin_url)
    with Ledger.open(settings=database.settings) as ledger:
        thread = ledger.create_thread(agent_id="support")
        run = thread.start_run(goal={"id": "refund"})
        run.add_message("user", "Where is my order?")
        run.request_approval("refund").grant(actor="human:ada")
        ledger.create_key(owner="human:ada", scopes=["admin"], label="a")
        ledger.fold()
        ledger.rebuild("usage", "attention", processes=1)
        ledger.roll_back("usage")
        ledger.make_schema("october", "run_summaries", processes=1)
        for reading in (ledger.now, ledger.at(ledger.position())):
            reading.runs()
            reading.usage()
            reading.approvals()
        list(ledger.subscribe(follow=False))
        ledger.projections()
        ledger.drop_schema("october")
    for url in (database.url, database.admin_url):
        settings = Settings(database_url=url, admin_url=database.admin_url, projector_url=database.projector_url)
        assert [line for line in examine(settings) if line.about == "log"]
        with closing(Datastore(url)) as datastore:
            reader = Ledger.open(settings=settings)
            assert [*LogCheck(reader.recorder.reader).findings(), *receipt_findings(datastore)] == []
            reader.close()


@pytest.mark.fault("K6")
@pytest.mark.parametrize("planted", ["before the first migration", "before the last migration"])
def test_what_is_planted_on_anybodys_search_path_is_never_run(database: TestDatabase, admin, mallory: str, planted: str) -> None:
    """The planter may make any schema, as runfold_projector could, and as another application of the database may."""
    name = conninfo_to_dict(database.url)["dbname"]
    admin.execute("DROP SCHEMA runfold CASCADE")
    if planted == "before the last migration":
        migrate(database.admin_url, migrations()[:-1])
    admin.execute(f"GRANT CREATE ON DATABASE {name} TO {mallory}")
    admin.execute(f"GRANT CREATE ON SCHEMA public TO {mallory}")
    prepare(admin)
    functions = used_functions(admin)
    assert len(functions) > 40
    with as_role(database, mallory) as planter, planter.transaction():
        for schema in ("public", admin.info.user, *OURS):
            if schema != "public":
                planter.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
            assert plant(planter, schema, functions) > 1000
            planter.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO PUBLIC").format(sql.Identifier(schema)))
    everything(database)
    assert caught(admin) == []
    with as_role(database, "runfold_app") as plain:  # whose path is not pinned
        plain.execute("SELECT unnest('{a}'::text[])")
        assert caught(admin) == [("runfold_app.unnest", "runfold_app")]
    assert admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [mallory]).fetchone() == (False,)


@pytest.mark.fault("K6")
def test_what_our_roles_plant_wherever_they_may_is_never_run_by_another(database: TestDatabase, admin) -> None:
    """As in a database from before PostgreSQL 15, where everybody may make functions in public."""
    with Ledger.open(settings=database.settings) as ledger:
        ledger.create_thread(agent_id="support")
        ledger.fold()
        ledger.make_schema("november", "threads", processes=1)
    for role in OURS:
        admin.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
    prepare(admin)
    functions = used_functions(admin)
    planted: set[str] = set()
    may = "SELECT nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'CREATE') AND nspname !~ '^pg_' ORDER BY 1"
    for role in ("runfold_reader", "runfold_app", "runfold_projector"):
        with as_role(database, role) as attacker:
            for (schema,) in attacker.execute(may).fetchall():
                if schema not in planted and not re.search("_[0-9]+$", schema.replace("usage_1", "")):  # one of many alike
                    plant(attacker, schema, functions)
                    planted.add(schema)
    assert planted == {"public", "runfold_read", "november", "runfold_usage_1"}
    everything(database)
    assert caught(admin) == []


@pytest.mark.fault("K6")
@pytest.mark.parametrize("role", ["runfold_app", "runfold_projector", "runfold_reader"])
def test_no_role_of_ours_can_put_anything_on_anothers_search_path(database: TestDatabase, admin, role: str) -> None:
    victims = [*(each for each in OURS if each != role), admin.info.user, "public", "pg_catalog", "runfold"]
    with as_role(database, role) as attacker:
        for schema in victims:
            place = sql.Identifier(schema)
            for statement in (
                sql.SQL("CREATE SCHEMA {}").format(place),
                sql.SQL("SELECT runfold.create_schema({})").format(sql.Literal(schema)),
                sql.SQL("CREATE FUNCTION {}.unnest(text[]) RETURNS text LANGUAGE sql AS 'SELECT 1::text'").format(place),
                sql.SQL("CREATE VIEW {}.pg_class AS SELECT 1").format(place),
                sql.SQL("CREATE OPERATOR {}.= (FUNCTION = texteq, LEFTARG = text, RIGHTARG = text)").format(place),
                sql.SQL("ALTER SCHEMA runfold_read RENAME TO {}").format(place),
            ):
                with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName)):
                    attacker.execute(statement)
    rights = "SELECT has_database_privilege(%s, current_database(), 'CREATE'), has_schema_privilege(%s, 'runfold', 'CREATE')"
    assert admin.execute(rights, [role, role]).fetchone() == (False, False)


@pytest.mark.fault("K6")
def test_a_migration_takes_the_right_to_make_any_schema_away(database: TestDatabase, admin) -> None:
    admin.execute(f"GRANT CREATE ON DATABASE {conninfo_to_dict(database.url)['dbname']} TO runfold_projector")
    (line,) = [line for line in examine(database.settings) if line.about == "schemas"]
    assert (line.state, "runfold migrate" in (line.next_step or "")) == ("wrong", True)
    migrate(database.admin_url)
    assert admin.execute("SELECT has_database_privilege('runfold_projector', current_database(), 'CREATE')").fetchone() == (
        False,
    )
    (line,) = [line for line in examine(database.settings) if line.about == "schemas"]
    assert line.state == "ok"


@pytest.mark.shares
@pytest.mark.parametrize(
    "name",
    [
        "",
        "public",
        "pg_x",
        "pg_temp",
        "information_schema",
        "runfold",
        "runfold_owner",
        "runfold_x",
        "runfold_usage_0",
        "runfold_read_",
        "Big",
        "a-b",
        "a b",
        "1a",
        'x"; DROP TABLE runfold.log; --',
        "$user",
        "x" * 64,
        "ä",
        "mine",
    ],
)
def test_only_schemas_of_read_models_can_be_made_and_dropped(database: TestDatabase, admin, name: str) -> None:
    admin.execute("CREATE SCHEMA IF NOT EXISTS mine")
    admin.execute("CREATE TABLE IF NOT EXISTS mine.kept (x int)")
    with as_role(database, "runfold_projector") as projector:
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.DuplicateSchema)):
            projector.execute("SELECT runfold.create_schema(%s)", [name])
        projector.execute("SELECT runfold.drop_schema(%s)", [name])
        projector.execute("SELECT runfold.create_schema(NULL) WHERE false")
    assert admin.execute("SELECT count(*) FROM mine.kept").fetchone() == (0,)
    assert admin.execute("SELECT count(*) FROM runfold.log").fetchone() == (0,)


def test_schemas_of_read_models_are_made_once_and_dropped(database: TestDatabase, admin) -> None:
    present = "SELECT count(*) FROM pg_namespace WHERE nspname = ANY('{october,runfold_usage_12,runfold_read}')"
    with as_role(database, "runfold_projector") as projector:
        for _ in range(2):
            for name in ("october", "runfold_usage_12", "runfold_read"):
                projector.execute("SELECT runfold.create_schema(%s)", [name])
        projector.execute("CREATE TABLE october.x (y int)")
        assert admin.execute(present).fetchone() == (3,)
        for name in ("october", "runfold_usage_12", "runfold_read"):
            projector.execute("SELECT runfold.drop_schema(%s)", [name])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            projector.execute("DROP SCHEMA runfold_read")
    assert admin.execute(present).fetchone() == (1,)  # what people query is dropped by nobody


@pytest.mark.fault("K6")
def test_read_models_that_were_made_before_are_still_replaced_and_dropped(database: TestDatabase, admin) -> None:
    with Ledger.open(settings=database.settings) as ledger:
        ledger.create_thread(agent_id="support")
        ledger.fold("usage", "threads")
        ledger.make_schema("october", "threads", processes=1)
        schemas = [name for (name,) in admin.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^runfold_|october'")]
        for name in schemas:
            admin.execute(f"ALTER SCHEMA {name} OWNER TO runfold_projector")
        for _ in range(2):
            ledger.rebuild("usage", processes=1)
        ledger.drop_schema("october")
        assert len(ledger.now.rows("threads").items) == 1
    left = {name for (name,) in admin.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^runfold_|october'")}
    assert left == {"runfold_read", "runfold_threads_1", "runfold_usage_2", "runfold_usage_3"}


@pytest.mark.fault("K6")
def test_a_schema_of_our_name_that_somebody_else_made_is_not_migrated_into(database: TestDatabase, admin) -> None:
    admin.execute("DROP SCHEMA runfold CASCADE")
    admin.execute("CREATE SCHEMA runfold AUTHORIZATION runfold_projector")
    with pytest.raises(MigrationRefused, match="the schema runfold is not runfold_owner's"):
        migrate(database.admin_url)


# What a projector does to its own tables and views


@pytest.mark.fault("K6")
def test_what_a_projector_puts_into_its_views_writes_nothing_as_who_reads_them(database: TestDatabase, admin) -> None:
    with Ledger.open(settings=database.settings) as ledger:
        ledger.create_thread(agent_id="support").start_run()
        ledger.fold()
        ledger.now.runs()
        position = ledger.position()
        with as_role(database, "runfold_projector") as projector:
            projector.execute(
                "CREATE FUNCTION runfold_read.evil() RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
                " BEGIN PERFORM runfold.append('{thread_x}', '{1}', '{thread.created}', '{1}', ARRAY['{}'::bytea], '{NULL}',"
                " '{default}', '{thread_x}', ARRAY[gen_random_uuid()], '{\"{}\"}', '{\"{}\"}', '{}', '{}');"
                " EXCEPTION WHEN read_only_sql_transaction THEN NULL; END;"
                " PERFORM set_config('search_path', 'runfold_read', false), set_config('runfold.tenant', 'acme', false);"
                " RETURN 'default'; END $$"
            )
            view, table = "runfold_read.run_summaries", "runfold_run_summaries_1.run_summaries"
            ((columns,),) = projector.execute(
                "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = %s::regclass"
                " AND attnum > 1",
                [view],
            ).fetchall()
            evil = f'SELECT runfold_read.evil() COLLATE "C" AS tenant_id, {columns} FROM {table}'
            projector.execute(f"CREATE OR REPLACE VIEW {view} AS {evil}")
        ledger.now.runs()
        assert ledger.position() == position
        with ledger.recorder.store.reading() as connection:
            assert connection.execute("SHOW search_path").fetchone() == {"search_path": PINNED[0]}
            assert connection.execute("SHOW runfold.tenant").fetchone() == {"runfold.tenant": "*"}


# Guards


def test_every_connection_has_its_path_pinned_whatever_its_url_and_its_role_say(database: TestDatabase, admin) -> None:
    name = conninfo_to_dict(database.url)["dbname"]
    for role in OURS:
        admin.execute(f"ALTER ROLE {role} IN DATABASE {name} SET search_path = public, evil")
    for url in (database.url, database.projector_url, database.owner_url, database.admin_url):
        store = Datastore(make_conninfo(url, options="-c search_path=evil"))
        with closing(store), store.connect() as own, store.reading("acme") as pooled:
            for connection in (own, pooled):
                row = connection.execute("SHOW search_path").fetchone()
                assert row in (PINNED, {"search_path": PINNED[0]})
    with closing(connect(Datastore(database.projector_url))) as projector:
        assert projector.execute("SHOW search_path").fetchone() == {"search_path": PINNED[0]}


def test_whoever_connects_pins_the_path() -> None:
    connecting = {}
    for path in Path(runfold.__file__).parent.rglob("*.py"):
        text = path.read_text()
        if found := len(re.findall(CONNECTING, text)):
            connecting[path.name] = found
            assert "BEGIN_SESSION" in text, f"{path} connects, and looks into whatever schemas the role's path names"
    assert connecting


def test_every_function_of_ours_has_its_path_pinned(admin) -> None:
    loose = admin.execute(
        "SELECT p.proname FROM pg_proc AS p WHERE p.pronamespace = 'runfold'::regnamespace AND p.prosqlbody IS NULL"
        " AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)"
    ).fetchall()
    assert loose == []
    for_all = admin.execute(
        "SELECT p.proname FROM pg_proc AS p WHERE p.pronamespace = 'runfold'::regnamespace AND p.prosecdef"
        " AND has_function_privilege('public', p.oid, 'EXECUTE')"
    ).fetchall()
    assert for_all == []


def test_every_view_of_ours_uses_nothing_but_ours_and_postgresqls(admin) -> None:
    strange = admin.execute(
        "SELECT c.relname, p.proname FROM pg_class AS c JOIN pg_rewrite AS r ON r.ev_class = c.oid JOIN pg_depend AS d"
        " ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_proc'::regclass"
        " JOIN pg_proc AS p ON p.oid = d.refobjid WHERE c.relnamespace = 'runfold'::regnamespace"
        " AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'runfold'::regnamespace)"
    ).fetchall()
    assert strange == []
