"""`runfold migrate` on a server of one's own: logins for those who use it, and where their addresses are written."""

import contextlib
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from runfold.store.setup.logins import SETTINGS
from tests.cli.conftest import Command
from tests.databases import TestDatabase
from tests.rooms import full_disk


@pytest.fixture
def only_admin(empty: TestDatabase, environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an empty database, of which nothing but a superuser's address is known; its logins are dropped."""
    monkeypatch.setenv("RUNFOLD_ADMIN_URL", empty.admin_url)
    for name in ("DATABASE", "PROJECTOR", "READER"):
        monkeypatch.delenv(f"RUNFOLD_{name}_URL", raising=False)
    name = str(conninfo_to_dict(empty.admin_url)["dbname"])
    yield name
    with psycopg.connect(empty.admin_url, autocommit=True) as connection:
        for use in SETTINGS:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(f"{name}_{use}")))


def test_the_addresses_of_new_logins_go_into_a_file_of_ones_own(runfold: Command, only_admin: str, tmp_path: Path) -> None:
    file = tmp_path / "ledger.env"
    done = runfold("migrate", "--create-logins", "--logins-file", str(file))
    assert (done.code, "use them with `--env-file" in done.out, "postgresql://" in done.out) == (0, True, False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [line.partition("=")[0] for line in file.read_text().splitlines()] == [*SETTINGS.values()]
    again = runfold("migrate", "--create-logins", "--logins-file", str(tmp_path / "another.env"))
    assert (again.code, "are there already" in again.err, (tmp_path / "another.env").exists()) == (0, True, False)
    refused = runfold("migrate", "--create-logins", "--logins-file", str(file))
    assert (refused.code, "is there already; name a new file" in refused.err) == (2, True)
    assert "--logins-file needs --create-logins" in runfold("migrate", "--logins-file", str(tmp_path / "x")).err


@pytest.mark.parametrize("why", ["no folder", "a name that leads nowhere", "a full disk"])
def test_no_login_is_made_whose_password_has_no_place(runfold: Command, only_admin: str, tmp_path: Path, why: str) -> None:
    file = tmp_path / "no" / "ledger.env" if why == "no folder" else tmp_path / "ledger.env"
    if why == "a name that leads nowhere":
        file.symlink_to("nowhere")
    with full_disk() if why == "a full disk" else contextlib.nullcontext():
        refused = runfold("migrate", "--create-logins", "--logins-file", str(file))
    assert (refused.code in {1, 2}, str(file) in refused.err, "unexpected" in refused.err) == (True, True, False), refused.err
    assert not file.exists()
    made = runfold("migrate", "--create-logins", "--logins-file", str(tmp_path / "another.env"), "--json").json["logins"]
    assert [each["setting"] for each in made] == [*SETTINGS.values()]


def test_the_addresses_of_new_logins_are_shown_once(
    runfold: Command, only_admin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = runfold("migrate", "--create-logins", "--json").json["logins"]
    assert [each["setting"] for each in made] == [*SETTINGS.values()]
    assert runfold("migrate", "--create-logins", "--json").json["logins"] == []
    monkeypatch.delenv("RUNFOLD_ADMIN_URL")
    for each in made:
        monkeypatch.setenv(each["setting"], each["url"])
    assert runfold("demo", "--json").json["as_of"] == 80
    assert runfold("work", "--once", "--json").json["ok"]
    assert f"{only_admin}_reader" in runfold("url").out


@pytest.mark.parametrize("arguments", [("migrate",), ("backup", "ledger.dump"), ("restore", "ledger.dump")])
def test_a_server_that_never_answers_is_not_waited_for(
    runfold: Command, only_admin: str, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    if arguments[0] == "restore":
        Path("ledger.dump").write_bytes(b"PGDMP")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql://postgres@127.0.0.1:{silent.getsockname()[1]}/agents"
        monkeypatch.setenv("RUNFOLD_ADMIN_URL", address)
        monkeypatch.setenv("RUNFOLD_CONNECT_TIMEOUT", "1")
        done = runfold(*arguments)
    assert (done.code, "the database cannot be reached (connection timeout expired" in done.err) == (1, True), done.err
