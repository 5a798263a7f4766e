"""The watchdog leaves a server alone as long as anybody is connected to it, and stops it once they have left."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runfold.embedded.place import find_place
from runfold.embedded.server import EmbeddedServer
from runfold.embedded.sessions_of_others import count
from runfold.embedded.watchdog import PATIENT_LOOKS, Sessions, postmaster_pid
from tests.waiting import until


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder that the server's user can pass through."""
    made = Path(tempfile.mkdtemp(prefix="rf-", dir="/tmp"))
    made.chmod(0o711)
    yield made / "home"
    if (made / "home").exists():
        EmbeddedServer(find_place(made / "home"), None).delete()
    shutil.rmtree(made)


@pytest.fixture(autouse=True)
def _lingers_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_EMBEDDED_LINGER", "0.2")


def looks(server: EmbeddedServer) -> int:
    """How often the watchdog has noted that sessions came or went."""
    return server.log_file.with_name("watchdog.log").read_text().count("sessions of others")


def test_a_session_of_anybody_keeps_the_server_until_it_ends(home: Path) -> None:
    server = EmbeddedServer.start(home)
    before = looks(server)
    with psycopg.connect(server.url("runfold_reader"), autocommit=True) as notebook:
        pid = postmaster_pid(server.data_folder)
        server.close()
        until(lambda: looks(server) == before + 1)
        assert notebook.execute("SELECT 1").fetchone() == (1,)
        assert postmaster_pid(server.data_folder) == pid
    until(lambda: postmaster_pid(server.data_folder) is None)
    assert looks(server) == before + 2


def test_the_server_tells_of_all_sessions_but_the_one_that_asks(home: Path) -> None:
    with EmbeddedServer.start(home) as server:
        until(lambda: count(server.admin_url) == 0)  # a session that was closed may take a moment to end
        with psycopg.connect(server.url("runfold_app"), autocommit=True), psycopg.connect(server.url("runfold_reader")):
            until(lambda: count(server.admin_url) == 2)


def test_a_server_that_does_not_tell_is_stopped_after_a_while(home: Path) -> None:
    with EmbeddedServer.start(home) as server:
        sessions = Sessions(find_place(home).folder, server.url("nobody_known"))
        assert [sessions.have_ended() for _ in range(PATIENT_LOOKS + 1)] == [*[False] * PATIENT_LOOKS, True]
