"""A real PgBouncer in front of the test's PostgreSQL."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.databases import TestDatabase

Mode = Literal["transaction", "session", "statement"]
ROLES = ("runfold_app", "runfold_projector", "runfold_owner")


def program() -> str:
    """Where PgBouncer is. Skips where it is not installed, except in CI, where it must be."""
    found = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if found is None:
        reason = "pgbouncer is not installed (Debian: apt-get install pgbouncer)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextlib.contextmanager
def bouncing(database: TestDatabase, mode: Mode, pool_size: int = 20, ignored: str = "") -> Iterator[TestDatabase]:
    """The same database through a pooler, which ends with the block. What it ignores of how a connection begins, it drops."""
    server = conninfo_to_dict(database.admin_url)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runfold-bouncer-")))
        folder.chmod(0o755)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        users = [*ROLES, str(server["user"])]
        (folder / "users.txt").write_text("".join(f'"{user}" "{server.get("password", "")}"\n' for user in users))
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={server['host']} port={server.get('port', 5432)}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
            f"auth_file = {folder / 'users.txt'}\npool_mode = {mode}\ndefault_pool_size = {pool_size}\n"
            f"ignore_startup_parameters = {ignored}\n"
            "max_client_conn = 500\nlogfile =\npidfile =\n"
        )
        command = [program(), str(folder / "pgbouncer.ini")]
        if os.geteuid() == 0:  # it refuses to run as root
            socket_file = Path(str(server["host"])) / f".s.PGSQL.{server.get('port', 5432)}"
            command[1:1] = ["-u", socket_file.owner() if socket_file.exists() else "nobody"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        stack.callback(_end, process)
        made = TestDatabase(*(make_conninfo(url, host="127.0.0.1", port=port) for url in _urls(database)))
        _wait(made.url, process, folder / "log")
        yield made


def _urls(database: TestDatabase) -> tuple[str, str, str, str, str]:
    return database.url, database.owner_url, database.admin_url, database.projector_url, database.sealer_url


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        else:
            return


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(30)
