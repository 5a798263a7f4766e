"""Numbered SQL files, applied in order, each once, by one process at a time.

A file that was applied is never changed: its checksum is kept, and a difference stops everything.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from importlib import resources
from typing import TypeVar

import psycopg

from runfold.errors import MigrationRefused
from runfold.sessions import connect_pinned, connect_unlimited, require_own_session
from runfold.store.datastore import KEEPALIVES, Connection, unavailable
from runfold.store.queries import named_queries
from runfold.store.reading.reader import Reader
from runfold.store.setup import logins as making
from runfold.store.setup import rights
from runfold.store.setup.logins import Login
from runfold.store.setup.migration import Migration, Told, apply

T = TypeVar("T")

_TRIES, _PAUSE_SECONDS = 21, 0.05
_LOOK_SECONDS = 0.2
_DONE_BY_ANOTHER = (
    psycopg.errors.InternalError_,  # "tuple concurrently updated"
    psycopg.errors.UniqueViolation,
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateObject,  # the type of its rows
)
_APPLIED = "SELECT number, name, checksum FROM runfold.migrations ORDER BY number"
UTF8 = "UTF8"
"""What PostgreSQL calls the encoding of a database that keeps every letter."""


def migrations() -> list[Migration]:
    """The files that this Runfold brings, in order."""
    folder = resources.files("runfold.store.setup") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name[:4].isdigit())
    return [Migration(int(name[:4]), name, (folder / name).read_text("utf-8")) for name in names]


def migrate(
    url: str, files: list[Migration] | None = None, told: Told = lambda _: None, *, mended: Told = lambda _: None
) -> list[str]:
    """Bring the database up to date and return the names of the files applied now. Safe when two start at once.

    A run that was broken off anywhere is given again, and goes on. `told` hears what takes long. Where a dump was restored
    without its roles, owners, grants and row-level security are set up again; `mended` hears what was missing. Raises
    MigrationRefused for a changed past file, a newer database, a new one that is not UTF-8, or a role that lacks the rights;
    TransactionPooling, LedgerUnavailable.
    """
    files = migrations() if files is None else files
    try:
        with _connected(url) as connection:
            require_own_session(connection, lambda: connect_pinned(url))
            for fact in _prepare(connection):
                mended(fact)
            with _alone(url, told):
                done = _applied(connection)
                _check(files, done)
                applied = [apply(url, connection, file, told) for file in files if file.number not in done]
                for fact in rights.say_again(connection) if files == migrations() else ():
                    mended(fact)
                return applied
    except psycopg.OperationalError as error:
        raise unavailable(error) from error


def is_done(url: str) -> bool:
    """Return whether the database is as `migrate` leaves it: a look, which takes no lock and makes nothing."""
    try:
        with connect_pinned(url, application_name="runfold migrate", **KEEPALIVES) as connection:
            wanted = {file.number: (file.name, file.checksum) for file in migrations()}
            return wanted == _applied(connection) and not rights.faults(connection)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return False
    except psycopg.OperationalError as error:
        raise unavailable(error) from error


def logins(
    url: str, *, create: bool = False, keep: Callable[[list[Login]], object] = lambda _: None
) -> tuple[list[Login], list[str]]:
    """The logins that are made now, and the statements for those that are still wanted. Raises MigrationRefused.

    All are made or none, and none where `keep`, which is given them with their passwords before, raises an error.
    """
    with _connected(url) as connection:

        def make() -> list[Login]:
            with connection.transaction():
                made = making.create(connection, url)
                keep(made)
                return made

        made = _at_once_with_others(make) if create else []
        return made, making.statements(connection)


def _connected(url: str) -> Connection:
    return connect_unlimited(url, application_name="runfold migrate", **KEEPALIVES)


@contextlib.contextmanager
def _alone(url: str, told: Told) -> Iterator[None]:
    """Wait until no other process migrates the database, and let none begin meanwhile.

    The lock is on a table of the owner's, so that nobody else can take it. It is asked for again and again, and not waited
    for: an index that is built concurrently would wait for whoever waits.
    """
    with _connected(url) as connection:
        connection.execute("SET ROLE runfold_owner")
        with connection.transaction():
            while not _has_lock(connection):
                told("waiting for another `runfold migrate`")
                time.sleep(_LOOK_SECONDS)
            yield


def _has_lock(connection: Connection) -> bool:
    try:
        with connection.transaction():
            connection.execute("LOCK TABLE runfold.migrations IN SHARE UPDATE EXCLUSIVE MODE NOWAIT")
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def check(reader: Reader) -> None:
    """Raise MigrationRefused unless the database is exactly as far as this Runfold."""
    files = migrations()
    if reader.rows("SELECT to_regclass('runfold.migrations')") == [(None,)]:
        raise MigrationRefused("the database has no Runfold schema yet; run `runfold migrate` as a role that may make one")
    done = {number: (name, checksum) for number, name, checksum in reader.rows(_APPLIED)}
    _check(files, done)
    if missing := [file.name for file in files if file.number not in done]:
        raise MigrationRefused(f"the database lacks {', '.join(missing)}; run `runfold migrate`", missing=missing)


def require_utf8(connection: Connection) -> None:
    """Raise MigrationRefused for a database that has no room for every letter that anybody may write."""
    ((encoding,),) = connection.execute("SHOW server_encoding").fetchall()
    if encoding != UTF8:
        name = connection.info.dbname
        fact = f"the database {name} keeps text as {encoding}, and not every letter can be kept so"
        step = "make it anew with `createdb --encoding=UTF8 --template=template0`, and a locale of UTF-8 or C"
        raise MigrationRefused(f"{fact}; {step}", encoding=encoding)


def make_roles(connection: Connection) -> None:
    """Make the roles that are missing, and the schema. Raises psycopg.errors.InsufficientPrivilege."""
    _at_once_with_others(lambda: connection.execute(_roles()))


def _roles() -> str:
    return (resources.files("runfold.store.setup") / "migrations" / "roles.sql").read_text("utf-8")


def _prepare(connection: Connection) -> list[str]:
    """Make what the numbered files need; what was given back to its owner for it."""
    if connection.execute("SELECT to_regclass('runfold.migrations')").fetchone() == (None,):
        require_utf8(connection)
    try:
        make_roles(connection)
        taken_over = rights.take_over(connection)
        connection.execute("SET ROLE runfold_owner")
    except psycopg.errors.InsufficientPrivilege as error:
        fact = f"this role may not prepare the database {connection.info.dbname} ({str(error).splitlines()[0]})"
        wanted = [*making.lacking(connection), *making.statements(connection)]
        steps = "\n".join(wanted)
        raise MigrationRefused(
            f"{fact}; let an administrator run there\n\n{steps}\n\nand then run `runfold migrate` again", statements=wanted
        ) from None
    table = named_queries("runfold.store.setup", "migrate.sql")["table of migrations"]
    _at_once_with_others(lambda: connection.execute(table))
    return [f"{name} belongs to runfold_owner again" for name in taken_over]


def _at_once_with_others(work: Callable[[], T]) -> T:
    """Roles belong to the whole server, and our lock is only there once the schema is: another may be at the same just now."""
    import tenacity  # noqa: PLC0415  every command loads this module, and few migrate

    trying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_DONE_BY_ANOTHER),
        stop=tenacity.stop_after_attempt(_TRIES),
        wait=tenacity.wait_fixed(_PAUSE_SECONDS),
        reraise=True,
    )
    return trying(work)


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
