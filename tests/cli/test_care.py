"""`runfold migrate`, `doctor` and `version`."""

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runfold.cli.operate.doctor import without_secrets
from runfold.embedded.server import EmbeddedServer
from tests.cli.conftest import Command

if TYPE_CHECKING:
    from tests.databases import TestDatabase


@pytest.fixture
def bare_url(database: "TestDatabase") -> str:
    """This test's database without Runfold's schema, as a superuser."""
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("DROP SCHEMA runfold CASCADE")
    return database.admin_url


def test_migrate_applies_what_is_missing_and_nothing_the_second_time(runfold: Command, bare_url: str) -> None:
    first = runfold("migrate", "--json").json
    assert first["applied"] == first["migrations"] != []
    assert runfold("migrate", "--json").json == {**first, "applied": []}
    assert "there was nothing to do" in runfold("migrate").out
    assert runfold("threads", "--fold").code == 0


def test_migrate_says_what_it_applied(runfold: Command, bare_url: str) -> None:
    lines = runfold("migrate").out.splitlines()
    assert lines[0] == "applied 0001_log.sql"
    assert lines[-1].startswith("the database is at ")


def test_migrate_takes_the_admin_url_from_the_flag_before_the_environment(
    runfold: Command, bare_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_ADMIN_URL", "postgresql://nobody@/nowhere?host=/nonexistent")
    assert runfold("migrate").code == 1
    assert runfold("migrate", "--admin-url", bare_url).code == 0


def test_a_database_without_the_schema_is_refused_with_the_next_step(runfold: Command, bare_url: str) -> None:
    answer = runfold("threads")
    assert answer.code == 1
    assert "run `runfold migrate`" in answer.err


def test_doctor_finds_a_sound_ledger_sound(runfold: Command) -> None:
    answer = runfold("doctor")
    assert answer.code == 0
    assert "WRONG" not in answer.out
    found = runfold("doctor", "--json").json
    assert found["ok"]
    abouts = {check["about"] for check in found["checks"]}
    assert abouts >= {"versions", "database", "server", "durability", "migrations", "role", "append-only", "log"}
    assert found["settings"]["RUNFOLD_QUEUE_SIZE"] == 10_000


def test_doctor_names_what_is_called_as_a_setting_and_is_none(
    runfold: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_TENNANT", "acme")
    (tmp_path / "more.env").write_text("RUNFOLD_DATABSE_URL=postgresql://ada:sesame@db/ledger\nRUNFOLD_COLOUR=9\nEDITOR=vi\n")
    answer = runfold("doctor", "--json", "--env-file", str(tmp_path / "more.env"))
    assert (answer.code, "sesame" in answer.out) == (0, False)
    said = {check["fact"].split()[0]: check["next_step"] for check in answer.json["checks"] if check["about"] == "settings"}
    assert {name: said[name].partition(",")[0] for name in said if "TEST" not in name and "BENCH" not in name} == {
        "RUNFOLD_DATABSE_URL": "write RUNFOLD_DATABASE_URL",
        "RUNFOLD_COLOUR": "take it out",
        "RUNFOLD_TENNANT": "write RUNFOLD_TENANT",
    }


def test_doctor_hides_secrets(runfold: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", "postgresql://ada:sesame@127.0.0.1:1/ledger?sslpassword=open")
    monkeypatch.setenv("RUNFOLD_CONNECT_TIMEOUT", "0.2")
    for form in ([], ["--json"]):
        answer = runfold("doctor", *form)
        assert answer.code == 1
        assert "sesame" not in answer.out + answer.err
        assert "ada:********@127.0.0.1:1/ledger?sslpassword=********" in answer.out


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:sesame@db:5432/ledger?sslmode=require", "postgresql://ada:********@db:5432/ledger?sslmode=require"),
        ("host=db user=ada password='se same' dbname=ledger", "postgresql://ada:********@db/ledger"),
        ("postgresql://runfold_app@/runfold?host=/run/pg&port=5432", "postgresql://runfold_app@/runfold?host=/run/pg&port=5432"),
        ("postgresql://db/ledger?password=sesame", "postgresql://:********@db/ledger"),
        ("not a url with sesame", "********"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_doctor_names_an_unreachable_database_and_the_next_step(runfold: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", "postgresql:///x?host=/nonexistent")
    monkeypatch.setenv("RUNFOLD_CONNECT_TIMEOUT", "0.2")
    found = runfold("doctor", "--json")
    assert found.code == 1
    (wrong,) = [check for check in found.json["checks"] if check["state"] == "wrong"]
    assert wrong["about"] == "database"
    assert "check that PostgreSQL runs" in wrong["next_step"]


def test_doctor_names_a_missing_schema(runfold: Command, bare_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", bare_url)
    found = runfold("doctor", "--json")
    assert found.code == 1
    assert "run `runfold migrate`" in str([check for check in found.json["checks"] if check["about"] == "migrations"])


@pytest.mark.parametrize("role", ["superuser", "owner"])
def test_doctor_warns_of_a_role_that_could_change_events(
    runfold: Command, database: "TestDatabase", role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database.admin_url if role == "superuser" else database.owner_url
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", url)
    found = runfold("doctor", "--json")
    assert found.code == 1
    (wrong,) = [check for check in found.json["checks"] if check["state"] == "wrong"]
    assert wrong["about"] == "append-only"
    assert "runfold_app" in wrong["next_step"]


def test_doctor_notes_a_role_that_may_only_read(
    runfold: Command, database: "TestDatabase", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", make_conninfo(database.url, user="runfold_reader"))
    found = runfold("doctor", "--json")
    assert found.code == 0
    assert "may read and not append" in found.out


@pytest.mark.fault("I8")
@pytest.mark.parametrize(
    ("role", "state", "fact"),
    [
        ("runfold_app", "ok", "row-level security keeps tenants apart in the log"),
        ("runfold_reader", "note", "runfold_reader sees the rows of all tenants"),
        ("runfold_owner", "note", "does not apply to runfold_owner: only the queries themselves"),
    ],
)
def test_doctor_says_whether_the_database_keeps_tenants_apart(
    runfold: Command, database: "TestDatabase", monkeypatch: pytest.MonkeyPatch, role: str, state: str, fact: str
) -> None:
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", make_conninfo(database.url, user=role))
    (found,) = [check for check in runfold("doctor", "--json").json["checks"] if check["about"] == "tenants"]
    assert (found["state"], fact in found["fact"]) == (state, True)


@pytest.mark.fault("I8")
def test_a_wall_between_tenants_that_somebody_took_down_is_reported(runfold: Command, database: "TestDatabase") -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE runfold.log DISABLE ROW LEVEL SECURITY")
        connection.execute("ALTER VIEW runfold.events RESET (security_invoker)")
    checked = runfold("check")
    assert checked.code == 5
    for name in ("runfold.log", "runfold.events"):
        assert f"guard: row-level security does not keep tenants apart in {name}" in checked.out
    found = runfold("doctor", "--json")
    assert found.code == 1
    (wrong,) = [check for check in found.json["checks"] if check["state"] == "wrong"]
    assert wrong["fact"] == "row-level security does not keep tenants apart in runfold.events, runfold.log"


@pytest.mark.fault("A10")
def test_a_server_that_may_lose_events_is_refused_unless_that_is_allowed(
    runfold: Command, database: "TestDatabase", monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        name = conninfo_to_dict(database.url)["dbname"]
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    refused = runfold("threads")
    assert refused.code == 1
    assert "synchronous_commit=off" in refused.err
    assert "--unsafe-durability" in refused.err
    assert runfold("doctor").code == 1
    assert runfold("threads", "--fold", "--unsafe-durability").code == 0
    assert runfold("--unsafe-durability", "threads", "--fold").code == 0
    assert runfold("doctor", "--unsafe-durability").code == 0


def test_the_embedded_database_is_found_and_described(
    runfold: Command, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.delenv("RUNFOLD_DATABASE_URL")
    monkeypatch.delenv("RUNFOLD_ADMIN_URL")
    home = Path("/tmp") / tmp_path_factory.mktemp("embedded").name
    home.mkdir(mode=0o711)
    try:
        assert runfold("migrate", "--home", str(home), "--json").json["applied"] != []
        found = runfold("--home", str(home), "doctor", "--json").json
        assert found["ok"]
        assert found["settings"]["RUNFOLD_HOME"] == str(home)
        assert "runs as process" in str(found["checks"])
        assert {"embedded folders"} < {check["about"] for check in found["checks"]}
    finally:
        EmbeddedServer.start(home).delete()
        for left in home.iterdir():
            left.unlink()
        home.rmdir()


def test_version_names_runfold_python_and_the_libraries(runfold: Command) -> None:
    found = runfold("version", "--json").json
    assert {"runfold", "python", "eventsourcing", "psycopg", "pydantic"} <= found.keys()
    assert "not installed" not in found.values()
    assert runfold("version").out.startswith("runfold ")
