"""`runfold url` and `psql`: an analyst's tools reach the database as a role that only reads, and see their tenant's rows."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runfold import Ledger
from runfold.demo_story import Cast
from tests.cli.conftest import Command, Process
from tests.databases import TestDatabase
from tests.store.bouncer import bouncing


@pytest.fixture
def reader_url(database: TestDatabase, environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_READER_URL", make_conninfo(database.url, user="runfold_reader"))


def test_the_address_reads_the_rows_of_the_tenant_and_writes_nothing(runfold: Command, reader_url: None, story: Cast) -> None:
    address = runfold("url").out.strip()
    assert address.startswith("postgresql://runfold_reader@")
    with psycopg.connect(address, autocommit=True) as connection:
        assert connection.execute("SELECT current_user, count(*) FROM runfold.events").fetchone() == ("runfold_reader", 80)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM runfold.log")


def test_the_address_is_that_of_the_tenant(
    runfold: Command, reader_url: None, story: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_TENANT", "acme")
    said = runfold("url", "--json").json
    assert (said["role"], said["tenant"], said["stays_seconds"]) == ("reader", "acme", None)
    with psycopg.connect(said["url"]) as connection:
        assert connection.execute("SELECT count(*) FROM runfold.events").fetchone() == (0,)


def test_each_role_has_its_address(runfold: Command, database: TestDatabase) -> None:
    users = {role: conninfo_to_dict(runfold("url", "--role", role).out.strip())["user"] for role in ("app", "projector", "admin")}
    urls = {"app": database.url, "projector": database.projector_url, "admin": database.admin_url}
    assert users == {role: conninfo_to_dict(url)["user"] for role, url in urls.items()}
    refused = runfold("url")
    assert (refused.code, refused.out, "RUNFOLD_READER_URL is not set" in refused.err) == (2, "", True)


def test_psql_is_opened_as_the_reader(started: Process, reader_url: None, story: Cast) -> None:
    asked = ["-c", "SELECT current_user", "-c", "SELECT count(*) FROM runfold.events"]
    process = started(["psql", *asked, "--", "--no-psqlrc", "--tuples-only", "--no-align"])
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.split()) == (0, ["runfold_reader", "80"]), err
    process = started(["psql", "-c", "SELECT nothing", "--", "--no-psqlrc"])
    assert '"nothing" does not exist' in process.communicate(timeout=60)[1]
    assert process.returncode == 1


def test_where_there_is_no_psql_it_is_said_what_to_do(
    runfold: Command, reader_url: None, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_PG_BIN", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    answer = runfold("psql")
    assert (answer.code, "psql was not found; install" in answer.err, "`runfold url`" in answer.err) == (2, True, True)
    assert "leave out --json" in runfold("psql", "--json").err


@pytest.mark.parametrize(("ignored", "does"), [("", "refuses"), ("options", "drops")])
def test_a_pooler_that_takes_away_whose_rows_are_shown_is_named_with_what_to_give_instead(
    runfold: Command, story: Cast, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, ignored: str, does: str
) -> None:
    with bouncing(database, "session", ignored=ignored) as pooled:
        monkeypatch.setenv("RUNFOLD_DATABASE_URL", pooled.url)
        monkeypatch.setenv("RUNFOLD_READER_URL", pooled.url)
        host, port = (conninfo_to_dict(pooled.url)[part] for part in ("host", "port"))
        for role, name in (("app", "RUNFOLD_DATABASE_URL"), ("reader", "RUNFOLD_READER_URL")):
            for command in (["url"], ["psql", "-c", "SELECT 1"]):
                refused = runfold(*command, "--role", role)
                said = f"the pooler at {host}:{port} {does} the startup parameter `options`"
                assert (refused.code, refused.out, said in refused.err, name in refused.err) == (2, "", True, True), refused
        monkeypatch.setenv("RUNFOLD_READER_URL", database.url)
        assert runfold("url").out.startswith("postgresql://")
