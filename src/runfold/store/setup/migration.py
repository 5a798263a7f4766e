"""One numbered SQL file, and how it is carried out: in one transaction, or step by step.

A file of steps has lines `-- step: what it does`. Each step is a short transaction, or builds one index while others go on
writing (CREATE INDEX CONCURRENTLY). A file that was broken off is begun anew, so a step does nothing where its work is done.
The last step and the note that the file was applied are one transaction.

Whoever waits for a lock on the log makes all who come after wait too. So a short transaction asks for locks for a moment,
gives up, and asks again.
"""

import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
from psycopg import errors, sql

from runfold.errors import LedgerUnavailable, MigrationRefused
from runfold.failpoint import reach
from runfold.sessions import connect_pinned
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

LOCK_SECONDS = 0.5
PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 900.0
"""How long locks are asked for, again and again, before it is given up."""
LOOK_SECONDS = 0.5

Told = Callable[[str], None]
"""Hears what is being done; an empty text once it is done."""

_STEP = re.compile(r"^-- step: *(.+)\n", re.MULTILINE)
_BUILDS = re.compile(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS (\w+)\s+ON (runfold\.\w+)")
_IS_VALID = "SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = to_regclass(%s)"
_QUERIES = named_queries("runfold.store.setup", "migration.sql")


@dataclass(frozen=True)
class Step:
    """What a part of a file does, in words and in SQL."""

    name: str
    text: str

    @property
    def builds(self) -> tuple[str, str] | None:
        """The index that it builds beside writers, and the table."""
        found = _BUILDS.search(self.text)
        return (f"runfold.{found[1]}", found[2]) if found else None


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

    @property
    def steps(self) -> list[Step]:
        """Return its parts, in order: one, where it is not of steps."""
        _, *parts = _STEP.split(self.text)
        return [Step(name, text) for name, text in zip(parts[::2], parts[1::2], strict=True)] or [Step("apply", self.text)]


def apply(url: str, connection: Connection, file: Migration, told: Told) -> str:
    """Carry a file out, or what is left of it, and give its name. `connection` is the owner's, in autocommit.

    Raises MigrationRefused for a log that an index cannot be built on, LedgerUnavailable where locks are not to be had.
    """
    *before, last = file.steps
    if last.builds:
        before.append(last)
    for step in before:
        told(f"{file.name}: {step.name}")
        if step.builds:
            _build(url, connection, step, *step.builds, told=_prefixed(told, f"{file.name}: {step.name}, "))
        else:
            _briefly(url, connection, [step.text], told, file.name)
        reach("migration step done")
    noted = sql.SQL("INSERT INTO runfold.migrations (number, name, checksum) VALUES ({}, {}, {})").format(
        file.number, file.name, file.checksum
    )
    told(f"{file.name}: {last.name}")
    _briefly(url, connection, [noted] if last.builds else [last.text, noted], told, file.name)
    told("")
    return file.name


def _prefixed(told: Told, before: str) -> Told:
    return lambda text: told(before + text)


def _briefly(url: str, connection: Connection, statements: list[str | sql.Composed], told: Told, name: str) -> None:
    """Run them in one transaction that never stands in others' way for long."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{round(LOCK_SECONDS * 1000)}ms'")
                for statement in statements:
                    connection.execute(sql.SQL(statement) if isinstance(statement, str) else statement)
                reach("migration step in its transaction")
                return
        except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
            fact = f"{name} waits for a lock that others hold: {_holders(url) or 'they are gone by now'}"
            if time.monotonic() > until:
                raise LedgerUnavailable(fact, "end those sessions, or run `runfold migrate` again later") from error
            told(fact)
            time.sleep(PAUSE_SECONDS)


def _holders(url: str) -> str:
    with connect_pinned(url) as connection:  # as who migrates, and not as the owner: who sees less
        return ", ".join(
            f"session {pid} ({application or 'no name'}, since {since:%H:%M:%S})"
            for pid, application, since in connection.execute(_QUERIES["holders"])
        )


def _build(url: str, connection: Connection, step: Step, index: str, table: str, told: Told) -> None:
    """Build an index while others go on writing; one that was left half-built goes first."""
    with connection.transaction():  # a server goes on building for a client that was killed: that is waited for
        connection.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE")
        found = connection.execute(_IS_VALID, [index]).fetchone()
    if found == (False,):
        connection.execute(f"DROP INDEX CONCURRENTLY {index}")
    try:
        with _watched(url, connection.info.backend_pid, told):
            connection.execute(step.text)
    except errors.UniqueViolation as error:
        fact = f"{index} cannot be built, for the log is damaged ({str(error).splitlines()[0]})"
        raise MigrationRefused(f"{fact}; run `runfold check` of the version before") from error


@contextlib.contextmanager
def _watched(url: str, pid: int, told: Told) -> Iterator[None]:
    """Tell how far a session is with its index, as long as the block takes."""
    done = threading.Event()

    def watch() -> None:
        if done.wait(LOOK_SECONDS):
            return
        with contextlib.suppress(psycopg.Error), connect_pinned(url) as connection:  # it only tells
            while not done.wait(LOOK_SECONDS):
                if row := connection.execute(_QUERIES["how far"], [pid]).fetchone():
                    phase, at, of = row
                    told(f"{phase}, {at:,} of {of:,}" if of else phase)

    watching = threading.Thread(target=watch, name="runfold-migration-progress", daemon=True)
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()
