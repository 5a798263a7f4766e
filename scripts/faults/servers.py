"""What rows run against: a PostgreSQL of their own, which may be killed, or the one that the caller names."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import psycopg

from runfold import Settings
from runfold.embedded.server import EmbeddedServer
from runfold.embedded.watchdog import postmaster_pid
from runfold.store.setup.migrate import migrate

Connection = psycopg.Connection[tuple[object, ...]]


def connect(url: str, patience: float = 60.0) -> Connection:
    """A connection in autocommit. Tries again for a while where the server is down or recovering."""
    until = time.monotonic() + patience
    while True:
        try:
            return psycopg.connect(url, autocommit=True, connect_timeout=5)
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def kill(pids: Iterable[int]) -> None:
    """SIGKILL processes that may have ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Server:
    """A migrated database: `url` as the application, `admin_url` as who may do anything there, if we may."""

    home: Path | None = None

    def __init__(self, url: str, admin_url: str | None) -> None:
        self.url, self.admin_url = url, admin_url

    def admin(self) -> Connection:
        """A connection as administrator, in autocommit."""
        assert self.admin_url is not None, "the row needs an administrator and said so"
        return connect(self.admin_url)

    def head(self, patience: float = 60.0) -> int:
        """The last position; waits for a server that is just recovering."""
        with connect(self.url, patience) as connection:
            row = connection.execute("SELECT position FROM runfold.head").fetchone()
        assert row is not None, "the head is one row"
        return int(str(row[0]))

    def wait_for_progress(self, beyond: int, patience: float = 60.0) -> float | None:
        """The seconds until something is recorded after a position; None when nothing is."""
        began = time.monotonic()
        while (waited := time.monotonic() - began) < patience:
            with contextlib.suppress(psycopg.Error):
                if self.head(0) > beyond:
                    return waited
            time.sleep(0.02)
        return None

    def close(self) -> None:
        """Leave it as it is."""


class OwnServer(Server):
    """An embedded server in a folder of its own, ours to kill."""

    def __init__(self, home: Path, *, delete_home: bool) -> None:
        self.home: Path = home
        self._delete_home = delete_home
        self.embedded = EmbeddedServer.start(home)
        super().__init__(self.embedded.url(), self.embedded.url("postgres"))
        migrate(self.embedded.url("postgres"))

    @classmethod
    def start(cls) -> Self:
        """Start one in a temporary folder."""
        home = Path(tempfile.mkdtemp(prefix="runfold-faults-"))
        home.chmod(0o711)  # where we are root, the server runs as another user
        try:
            return cls(home, delete_home=True)
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.embedded.data_folder

    def configure(self, **settings: str) -> None:
        """Set server settings, and restart so that they hold."""
        with self.admin() as connection:
            for name, value in settings.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.embedded.stop_now()
        self.embedded.ensure_running()

    def processes(self) -> list[int]:
        """The postmaster and its children; empty when it is down."""
        postmaster = postmaster_pid(self.data)
        if postmaster is None:
            return []
        shown = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = [line.split() for line in shown.splitlines()]
        return [postmaster, *(int(pid) for pid, parent in pairs if int(parent) == postmaster)]

    def kill(self) -> None:
        """SIGKILL every process of the server, the postmaster first."""
        kill(self.processes())

    def backends(self) -> list[int]:
        """The server processes that serve Runfold's connections."""
        with self.admin() as connection:
            rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'runfold'").fetchall()
        return [int(str(pid)) for (pid,) in rows]

    def move_data(self, to: Path) -> None:
        """Let the data lie elsewhere, and start the server on them."""
        self.embedded.stop_now()
        subprocess.run(["cp", "-a", self.data, to], check=True)
        subprocess.run(["sync", "--file-system", to], check=True)
        shutil.rmtree(self.data)
        self.data.symlink_to(to)
        self.embedded.ensure_running()

    def close(self) -> None:
        """Stop it, and remove everything."""
        self.embedded.delete()
        if self._delete_home:
            shutil.rmtree(self.home, ignore_errors=True)


def server_for(settings: Settings) -> Server:
    """The database that RUNFOLD_DATABASE_URL names, else a server of our own."""
    if settings.database_url is None:
        server = OwnServer.start()
        server.configure(max_connections="300")
        return server
    admin = settings.admin_url.get_secret_value() if settings.admin_url else None
    return Server(settings.database_url.get_secret_value(), admin)
