"""What the embedded server does with PostgreSQL's own programs: make the data folder, launch, prepare the database.

Turns, shares and the watchdog stand in `embedded`; every failure here becomes an EmbeddedServerFailed.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg

from runfold.durable_files import force
from runfold.embedded import watchdog
from runfold.embedded.binaries import Binaries, clean_environment, run_as
from runfold.embedded.place import SOCKET, Place
from runfold.errors import EmbeddedServerFailed
from runfold.file_errors import why

ROLES = ("runfold_owner", "runfold_app", "runfold_projector", "runfold_reader", "runfold_sealer")
DATABASE = "runfold"
# Processes of a killed server end one by one.
_STALE = re.compile(r'lock file ".*" already exists|shared memory block .* still in use')
_STARTED_WELL = re.compile(r"LOG: +starting PostgreSQL")
_COMPLAINT = re.compile(r"(FATAL|PANIC|ERROR): +(?! |the database system is)")
_LOG_BYTES = 10 * 1024 * 1024


def make_data(place: Place, binaries: Binaries) -> None:
    """Under another name until it is whole: a start that is killed here, or finds no space, leaves no half a ledger."""
    if place.data.exists() and any(place.data.iterdir()):
        raise EmbeddedServerFailed(
            f"{place.data} is not empty and not a PostgreSQL data folder", "set RUNFOLD_HOME to another folder"
        )
    for left in place.folder.glob("initdb-*"):
        shutil.rmtree(left, ignore_errors=True)
    made = place.folder / f"initdb-{secrets.token_hex(4)}"
    made.mkdir(mode=0o700)
    try:
        place.give_to_server(made)
        done = run_as(place.user, [str(binaries.folder / "initdb"), "-D", str(made), *_initdb_options(binaries)])
        if done.returncode:
            raise failed(f"initdb of PostgreSQL {binaries.version} failed", done.stdout + done.stderr, place)
        made.rename(place.data)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    force(place.folder)


def _initdb_options(binaries: Binaries) -> list[str]:
    """Collation by code point, so that no upgrade of the system's C library can disorder an index."""
    options = ["--username=postgres", "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C"]
    options += ["--data-checksums", "--no-instructions"]
    return options + (["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if binaries.major >= 17 else [])


def data_version(place: Place) -> int:
    return int((place.data / "PG_VERSION").read_text("ascii"))


def prepare(connection: psycopg.Connection[tuple[str, ...]]) -> str:
    """Make the roles and the database that are missing; returns the server's version."""
    roles = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    for role in ROLES:
        if role not in roles:
            with contextlib.suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                connection.execute(f"CREATE ROLE {role} LOGIN")
    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
        with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            connection.execute("CREATE DATABASE runfold OWNER runfold_owner TEMPLATE template0")
    (version,) = connection.execute("SELECT current_setting('server_version')").fetchone() or ("",)
    return version.split()[0]


class Launch:
    """One start of `postgres`, which ends up as nobody's child: it outlives us and we leave no zombie behind."""

    def __init__(self, place: Place, binaries: Binaries) -> None:
        self._place, self._version = place, binaries.version
        place.make_socket_folder()
        # It may name a zombie too. postmaster.pid and the shared memory guard the data; this guards the socket alone.
        (place.socket_folder / f"{SOCKET}.lock").unlink(missing_ok=True)
        _turn_over_log(place.log_file)
        command = [
            str(binaries.folder / "postgres"),
            "-D",
            str(place.data),
            "-p",
            "5432",
            "-k",
            str(place.socket_folder),
            "-c",
            "listen_addresses=",
            "-c",
            "unix_socket_permissions=0700",
        ]
        log = place.open_own(place.log_file.name, os.O_WRONLY | os.O_APPEND)
        try:
            self._log_start = os.fstat(log).st_size
            self._pid = self._start(command, log)
        finally:
            os.close(log)

    def _start(self, command: list[str], log: int) -> int:
        """Start it as the user of its place, and return its process id."""
        user = self._place.user
        started = subprocess.run(  # noqa: S603
            ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *command],
            cwd="/",
            env=self._environment(),
            stderr=log,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
            check=True,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
        )
        return int(started.stdout)

    def _environment(self) -> dict[str, str]:
        """PostgreSQL will not start while the process id of a killed one lives, though another process or a zombie
        has it now. It passes over its grandparent's (pg_ctl's); whether the data are in use it checks all the same.
        """
        stale = watchdog.recorded_pid(self._place.data)
        return clean_environment() | ({"PG_GRANDPARENT_PID": str(stale)} if stale else {})

    def is_alive(self) -> bool:
        return watchdog.is_alive(self._pid)

    def raise_unless_retriable(self, may_retry: bool) -> None:
        with self._place.log_file.open("rb") as log:
            log.seek(self._log_start)
            said = log.read().decode(errors="replace")
        # What started well and complained of nothing was killed; perhaps the next one is not.
        well = not said or (_STARTED_WELL.search(said) and not _COMPLAINT.search(said))
        if not (may_retry and (well or _STALE.search(said))):
            raise failed(f"PostgreSQL {self._version} ended while it started", said, self._place)


def _turn_over_log(log_file: Path) -> None:
    if log_file.exists() and log_file.stat().st_size > _LOG_BYTES:
        log_file.replace(log_file.with_suffix(".log.1"))


def failed(fact: str, said: str, place: Place) -> EmbeddedServerFailed:
    if os.strerror(errno.ENOSPC) in said:
        return _no_space(place.folder)
    tail = "\n  ".join(said.strip().splitlines()[-12:])
    return EmbeddedServerFailed(f"{fact}, and printed:\n  {tail}\n", f"the server's log is {place.log_file}")


def _no_space(folder: Path) -> EmbeddedServerFailed:
    return EmbeddedServerFailed(
        f"no space left on device for {folder}", "make room (a new ledger needs 100 MB), or set RUNFOLD_HOME elsewhere"
    )


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Raise what the operating system or the server refuses as EmbeddedServerFailed."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(folder) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            who = f"the user with id {os.geteuid()}"
            fact = f"{error.filename or folder} cannot be used by {who} ({error.strerror})"
            raise EmbeddedServerFailed(fact, "make it writable, or set RUNFOLD_HOME to a folder of your own") from error
        raise EmbeddedServerFailed(f"{folder} cannot be used ({why(error)})", "set RUNFOLD_HOME to another folder") from error
    except (psycopg.Error, subprocess.SubprocessError) as error:
        raise EmbeddedServerFailed(f"{folder}: {str(error).strip()}", "look into server.log there") from error
