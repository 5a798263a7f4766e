"""Numbered SQL files, applied in order, each once, in one transaction each, under an advisory lock.

A file that was applied is never changed: its checksum is kept, and a difference stops everything.
"""

import hashlib
import time
from dataclasses import dataclass
from importlib import resources

import psycopg
from psycopg import sql

from runfold.errors import MigrationRefused
from runfold.store.datastore import Connection, unavailable
from runfold.store.reader import Reader
from runfold.store.sessions import PIN_SEARCH_PATH, require_own_session

LOCK = 0x72756E666F6C64  # "runfold"
_TRIES = 20
_APPLIED = "SELECT number, name, checksum FROM runfold.migrations ORDER BY number"


@dataclass(frozen=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """The files that this Runfold brings, in order."""
    folder = resources.files("runfold.store") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name[:4].isdigit())
    return [Migration(int(name[:4]), name, (folder / name).read_text()) for name in names]


def migrate(url: str, files: list[Migration] | None = None) -> list[str]:
    """Bring the database up to date and return the names of the files applied now. Safe when two start at once.

    Raises MigrationRefused for a changed past file, a newer database, or a role that lacks the rights; TransactionPooling,
    LedgerUnavailable.
    """
    files = migrations() if files is None else files
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            require_own_session(connection, lambda: psycopg.connect(url, autocommit=True))
            connection.execute(PIN_SEARCH_PATH)
            connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))  # until the connection closes
            _prepare(connection)
            done = _applied(connection)
            _check(files, done)
            return [_apply(connection, file) for file in files if file.number not in done]
    except psycopg.OperationalError as error:
        raise unavailable(error) from error


def check(reader: Reader) -> None:
    """Raise MigrationRefused unless the database is exactly as far as this Runfold."""
    files = migrations()
    if reader.rows("SELECT to_regclass('runfold.migrations')") == [(None,)]:
        raise MigrationRefused("the database has no Runfold schema yet; run `runfold migrate` as a role that may make one")
    done = {number: (name, checksum) for number, name, checksum in reader.rows(_APPLIED)}
    _check(files, done)
    if missing := [file.name for file in files if file.number not in done]:
        raise MigrationRefused(f"the database lacks {', '.join(missing)}; run `runfold migrate`", missing=missing)


def _prepare(connection: Connection) -> None:
    roles = (resources.files("runfold.store") / "migrations" / "roles.sql").read_text()
    try:
        _make_roles(connection, roles)
        connection.execute("SET ROLE runfold_owner")
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationRefused(
            f"this role may not prepare the database ({str(error).splitlines()[0]}); let an administrator run\n{roles}\n"
            f'GRANT runfold_owner TO "{connection.info.user}";\nand then run `runfold migrate` again'
        ) from None
    connection.execute(
        "CREATE TABLE IF NOT EXISTS runfold.migrations ("
        " number int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    connection.execute("GRANT USAGE ON SCHEMA runfold TO runfold_app, runfold_projector, runfold_reader")
    connection.execute("GRANT SELECT ON runfold.migrations TO runfold_app, runfold_projector, runfold_reader")


def _make_roles(connection: Connection, roles: str) -> None:
    """Roles belong to the whole server, and our lock to one database: another's migration may be at them just now."""
    for _ in range(_TRIES):
        try:
            connection.execute(roles)
        except (psycopg.errors.InternalError_, psycopg.errors.UniqueViolation):  # "tuple concurrently updated"
            time.sleep(0.05)
        else:
            return
    connection.execute(roles)


def _applied(connection: Connection) -> dict[int, tuple[str, str]]:
    return {number: (name, checksum) for number, name, checksum in connection.execute(_APPLIED)}


def _check(files: list[Migration], done: dict[int, tuple[str, str]]) -> None:
    known = {file.number: file for file in files}
    for number, (name, checksum) in done.items():
        file = known.get(number)
        if file is None:
            raise MigrationRefused(f"the database has {name}, which this Runfold does not know; upgrade Runfold", name=name)
        if file.checksum != checksum:
            raise MigrationRefused(
                f"{file.name} was changed after it was applied; restore the file as it was released", name=file.name
            )


def _apply(connection: Connection, file: Migration) -> str:
    with connection.transaction():
        connection.execute(sql.SQL(file.text))
        connection.execute(
            "INSERT INTO runfold.migrations (number, name, checksum) VALUES (%s, %s, %s)",
            (file.number, file.name, file.checksum),
        )
    return file.name
