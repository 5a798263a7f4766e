"""A PostgreSQL of our own, for a laptop and for tests: started when it is needed, shared, stopped when nobody uses it.

Every process holds a shared lock while it uses the server, and the operating system gives that up for a process that
is killed. Starting and stopping happen in turns, under a second lock. A small detached process, the watchdog, stops the
server about a minute after the last share and the last session of anybody are gone, so that a row of commands does not
start and stop it each time, and a `psql` or a notebook keeps it. What is on disk, and where, stands in `place`.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg

from runfold.embedded import watchdog
from runfold.embedded.binaries import Binaries, find_binaries, reachable_binaries
from runfold.embedded.place import SOCKET, Place, find_place
from runfold.embedded.postgres import (
    DATABASE,
    Launch,
    data_version,
    explained,
    make_data,
    prepare,
)
from runfold.errors import EmbeddedServerFailed
from runfold.sessions import connect_pinned

_ANSWER_SECONDS = 120.0  # a server that recovers from a crash answers late
_SOCKET_SECONDS = 3.0
_PASSING = re.compile("the database system is|too many clients|connection slots")
_REAP_SECONDS = 30.0  # processes of a killed server end one by one


def linger_seconds() -> float:
    """How long the server stays after its last user is gone."""
    return float(os.environ.get("RUNFOLD_EMBEDDED_LINGER", "60"))


class EmbeddedServer:
    """A PostgreSQL of our own under RUNFOLD_HOME, shared by all processes of this user that use the same home."""

    def __init__(self, place: Place, pg_bin: Path | None) -> None:
        self._place, self._pg_bin = place, pg_bin
        self._share: int | None = None
        self.version = ""

    @classmethod
    def start(cls, home: Path, pg_bin: Path | None = None) -> "EmbeddedServer":
        """Start the server, or join the one that runs. Raises EmbeddedServerFailed; closing gives the share back."""
        if sys.platform == "win32":
            raise EmbeddedServerFailed("Windows has no embedded PostgreSQL", "use WSL, or set RUNFOLD_DATABASE_URL")
        with explained(home):
            server = cls(find_place(home), pg_bin)
        try:
            server.ensure_running()
        except BaseException:
            server.close()
            raise
        return server

    @property
    def data_folder(self) -> Path:
        return self._place.data

    @property
    def log_file(self) -> Path:
        return self._place.log_file

    @property
    def admin_url(self) -> str:
        return self.url("postgres")

    def url(self, role: str = "runfold_app", database: str = DATABASE) -> str:
        socket = quote(str(self._place.socket_folder), safe="")
        return f"postgresql://{quote(role)}@/{quote(database)}?host={socket}&port=5432"

    def ensure_running(self) -> None:
        """Start the server again if it is gone. Call it after a connection error; a server that runs stays as it is."""
        with explained(self._place.folder), _turn(self._place):
            self._take_share()
            if not (self._place.data / "PG_VERSION").exists():
                make_data(self._place, self._binaries(None))
            _ensure_watchdog(self._place, self.url("postgres", "postgres"))
            self.version = self._bring_up()

    def keep_for_program(self) -> None:
        """Let the program that this process becomes (`exec`) have our share."""
        if self._share is not None:
            os.set_inheritable(self._share, True)

    def close(self) -> None:
        """Give up our share. The watchdog stops the server about a minute after the last one."""
        if self._share is not None:
            with contextlib.suppress(OSError):
                os.utime(self._share)
            # Not LOCK_UN: that would take the share from a forked child as well.
            os.close(self._share)
            self._share = None

    def stop_now(self) -> None:
        """Stop server and watchdog at once, whoever uses them."""
        self.close()
        with explained(self._place.folder), _turn(self._place):
            watchdog.stop_server(self._place.data)
            _end_watchdog(self._place)
            if self._place.socket_folder != self._place.data:
                shutil.rmtree(self._place.socket_folder, ignore_errors=True)

    def delete(self) -> None:
        """Stop, and remove the ledger from disk, wherever it lies."""
        self.stop_now()
        shutil.rmtree(self._place.folder)
        (self._place.home / "postgres.location").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _take_share(self) -> None:
        path = self._place.folder / watchdog.SHARE
        if self._share is None or not watchdog.is_current(self._share, path):
            self.close()
            self._share = self._place.open_own(watchdog.SHARE)
            fcntl.flock(self._share, fcntl.LOCK_SH)
        os.utime(self._share)

    def _binaries(self, major: int | None) -> Binaries:
        return reachable_binaries(find_binaries(self._pg_bin, major), self._place.user)

    def _bring_up(self) -> str:
        """Launch the server if it does not run, and wait: ready means that it answers. Returns its version."""
        launch: Launch | None = None
        began, refusal = time.monotonic(), ""
        while (waited := time.monotonic() - began) < _ANSWER_SECONDS:
            try:
                with connect_pinned(self.url("postgres", "postgres"), connect_timeout=5) as connection:
                    return prepare(connection)
            except psycopg.OperationalError as error:
                if error.sqlstate and not error.sqlstate.startswith("57P"):  # neither unreachable nor shutting down
                    raise
                refusal = str(error).strip()
            if "FATAL" not in refusal:
                launch = self._launch_if_gone(launch, waited)
            elif not _PASSING.search(refusal):
                break
            time.sleep(0.02)
        raise EmbeddedServerFailed(
            f"the server refused the connection ({refusal})",
            f"retry if it is still recovering; its log is {self.log_file}",
        )

    def _launch_if_gone(self, launch: Launch | None, waited: float) -> Launch | None:
        place = self._place
        if watchdog.postmaster_pid(place.data) is not None:
            # Of one that we launched, the socket is still to come.
            if launch is None and waited > _SOCKET_SECONDS and not (place.socket_folder / SOCKET).exists():
                watchdog.stop_server(place.data)  # somebody cleaned /tmp: nobody can reach it any more
            return launch
        if launch is not None:
            if launch.is_alive():
                return launch
            launch.raise_unless_retriable(may_retry=waited < _REAP_SECONDS)
            time.sleep(0.1)
        return Launch(place, self._binaries(data_version(place)))


@contextlib.contextmanager
def _turn(place: Place) -> Iterator[None]:
    """One process at a time starts or stops the server."""
    until = time.monotonic() + _ANSWER_SECONDS
    while True:
        file = place.open_own(watchdog.TURN)
        try:
            while not watchdog.try_lock(file):
                if time.monotonic() > until:
                    raise EmbeddedServerFailed(
                        f"another process has been starting or stopping the server for {_ANSWER_SECONDS:.0f} s",
                        f"look into {place.log_file}, and for processes that hold {place.folder / watchdog.TURN}",
                    )
                time.sleep(0.005)
            if watchdog.is_current(file, place.folder / watchdog.TURN):
                yield
                return
        finally:
            os.close(file)


def _ensure_watchdog(place: Place, url: str) -> None:
    """The watchdog is born with its lock held, so that there is no moment at which two believe there is none."""
    lock = place.open_own(watchdog.WATCHDOG)
    log = place.open_own("watchdog.log", os.O_WRONLY | os.O_APPEND)
    try:
        if not watchdog.try_lock(lock):
            return
        os.ftruncate(lock, 0)
        linger = f"{linger_seconds():g}"
        subprocess.run(  # noqa: S603
            [sys.executable, "-I", "-S", str(Path(watchdog.__file__)), str(place.folder), str(lock), linger, url],
            cwd="/",
            pass_fds=(lock,),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=True,
        )
    finally:
        os.close(lock)
        os.close(log)


def _end_watchdog(place: Place) -> None:
    lock = place.open_own(watchdog.WATCHDOG)
    try:
        while not watchdog.try_lock(lock):
            if pid := os.pread(lock, 20, 0).strip():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGTERM)
            time.sleep(0.01)
    finally:
        os.close(lock)
