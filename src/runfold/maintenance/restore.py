"""A backup, or a plain dump of the schema runfold, restored into a database that holds no ledger.

Roles come first, so that owners, grants and policies find whom they name. The dump comes in whole or not at all. Then a new
history begins, before anybody can append, and what came is compared with what the backup says of itself.
"""

import contextlib
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from runfold.errors import BackupRefused, UsageError
from runfold.file_errors import as_text
from runfold.maintenance.backup import Note, Sums, digest_of, one_row, read_note, sums_of
from runfold.maintenance.checking import Finding
from runfold.maintenance.pg_programs import Program, complaint, find_program, running
from runfold.sessions import connect_pinned, connect_unlimited, require_own_session
from runfold.store.datastore import Connection, unavailable
from runfold.store.marks import MarkFile, Seen
from runfold.store.queries import named_queries
from runfold.store.setup import rights
from runfold.store.setup.migrate import make_roles, migrate, migrations, require_utf8

_MIGRATION = re.compile(r"\b(\d{4}_\w+\.sql)\W+([0-9a-f]{64})\b")
_QUERIES = named_queries("runfold.maintenance", "restore.sql")


@dataclass
class Restored:
    """What a restore came to. `findings` is empty where all is as it should be."""

    file: Path
    sha256: str
    bytes: int
    epoch: UUID
    parent: UUID
    lost_position: int | None
    sums: Sums
    note: Note | None
    applied: list[str]
    findings: list[Finding] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Ready for `--json`."""
        return {
            "file": str(self.file),
            "sha256": self.sha256,
            "bytes": self.bytes,
            "epoch": str(self.epoch),
            "parent": str(self.parent),
            "from_position": self.sums.last_position,
            "lost_position": self.lost_position,
            **self.sums.model_dump(),
            "compared_with_note": self.note is not None,
            "migrations_applied": self.applied,
            "findings": [finding.as_json() for finding in self.findings],
        }


def restore(url: str, file: Path, pg_bin: Path | None, marks: MarkFile, *, drop_empty: bool = False) -> Restored:
    """Restore a file into the database at a URL, as a role that may make roles. Raises BackupRefused, LedgerUnavailable,
    MigrationRefused, TransactionPooling.

    With `drop_empty`, a ledger without events that is there is dropped for it.
    """
    if file.exists() and not file.is_file():
        raise BackupRefused(f"{file} is no file", "name a file that `runfold backup` wrote")
    note = read_note(file)
    sha256 = _checked(file, note)
    try:
        with connect_unlimited(url) as connection:
            require_own_session(connection, lambda: connect_pinned(url))
            (server,) = one_row(connection, "SELECT current_setting('server_version_num')::int / 10000")
            program = find_program("pg_restore", pg_bin, server)
            _require_ledger(program, url, file)
            _make_room(connection, drop_empty=drop_empty)
            _bring_in(connection, program, url, file)
            begun = _begin(connection, marks)
        applied = migrate(url)
        with connect_unlimited(url) as connection:
            connection.execute("SET ROLE runfold_owner")
            history = begun or _begin(connection, marks)
            assert history is not None, "what is migrated has one"  # noqa: S101
            epoch, parent, lost = history
            sums = sums_of(connection)
            restored = Restored(file, sha256, file.stat().st_size, epoch, parent, lost, sums, note, applied)
            _receipt(connection, restored)
            restored.findings += _findings(connection, restored)
            _mark(connection, marks, epoch)
    except psycopg.errors.InsufficientPrivilege as error:
        raise BackupRefused(
            f"this role may not restore ({str(error).splitlines()[0]})", "set RUNFOLD_ADMIN_URL to a superuser"
        ) from error
    except psycopg.Error as error:
        raise unavailable(error) from error
    return restored


def _checked(file: Path, note: Note | None) -> str:
    """Return its sha256. Raises BackupRefused for what is not what the note beside it says."""
    try:
        found = digest_of(file)
    except OSError as error:
        raise BackupRefused(f"{file} cannot be read ({error.strerror})", "name a file that `runfold backup` wrote") from None
    if note is not None and found != note.sha256:
        fact = f"{file} is not what {file.name}.json says: its sha256 is {found}, and not {note.sha256}"
        raise BackupRefused(fact, "take another copy of it, or the one before")
    return found


def _require_ledger(program: Program, url: str, file: Path) -> None:
    """Raise BackupRefused, before anything is changed, for a file without a ledger, or with one that this Runfold cannot use."""
    asked = ["--data-only", "--schema=runfold", "--table=migrations", "--file=-", str(file.absolute())]
    with running(program, asked, url, subprocess.PIPE) as process:
        found, said = process.communicate()
    if process.returncode:
        raise _not_restored(said)
    known = {each.name: each.checksum for each in migrations()}
    applied = _MIGRATION.findall(found)
    if not applied:
        raise BackupRefused(f"{file} holds no ledger", "name a file that `runfold backup` wrote")
    for name, checksum in applied:
        if name not in known:
            fact = f"{file} is a backup of a newer Runfold: it has {name}, which this one does not know"
            raise BackupRefused(fact, "nothing was restored: upgrade Runfold, and then restore it")
        if known[name] != checksum:
            fact = f"{file} has {name} as it was never released"
            raise BackupRefused(fact, "nothing was restored: restore it with the Runfold that made it")


def _make_room(connection: Connection, *, drop_empty: bool) -> None:
    """Roles, and no schema of ours. Raises BackupRefused where there is something in the way."""
    require_utf8(connection)
    state, database = one_row(connection, _QUERIES["state"])
    if state == "foreign":
        fact = f"the database {database} has a schema runfold that is not a ledger"
        raise BackupRefused(fact, "rename or drop it, or restore into another database")
    if state == "ledger":
        (position,) = one_row(connection, "SELECT max(notification_id) FROM runfold.log")
        if position:
            raise BackupRefused(
                f"the database {database} holds a ledger, with events up to position {position}",
                "restore into an empty one: make another with `createdb` and name it in RUNFOLD_DATABASE_URL and"
                " RUNFOLD_ADMIN_URL, or set RUNFOLD_HOME to another folder",
            )
        if not drop_empty:
            fact = f"the database {database} holds a ledger without events"
            raise BackupRefused(fact, "give --yes to drop it and restore in its place")
        for (name,) in connection.execute(_QUERIES["schemas"]).fetchall():
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
    make_roles(connection)
    connection.execute("DROP SCHEMA runfold")  # which the dump makes; it is empty


def _bring_in(connection: Connection, program: Program, url: str, file: Path) -> None:
    database = f"--dbname={_plain(connection.info.dbname)}"
    whole = str(file.absolute())  # a name that begins with a dash is no option
    with running(program, ["--single-transaction", "--exit-on-error", database, whole], url) as process:
        said = process.communicate()[1]
    if process.returncode:
        raise _not_restored(said)


def _not_restored(said: str) -> BackupRefused:
    newer = re.search(r"unsupported version", said)
    step = (
        "restore with a PostgreSQL as new as the one that it was made with"
        if newer
        else "nothing was restored: see that it is a file of `runfold backup` or of `pg_dump --format=custom`, and whole"
    )
    return BackupRefused(f"pg_restore failed: {complaint(said)}", step)


def _plain(name: str) -> str:
    """A database's name that is not taken for a connection string."""
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def _begin(connection: Connection, marks: MarkFile) -> tuple[UUID, UUID, int | None] | None:
    """Begin a new history: its id, its parent's, and how far that one is known to have gone. None for a dump of before there
    were histories."""
    if one_row(connection, "SELECT to_regprocedure('runfold.begin_epoch(text, bigint, bigint)')") == (None,):
        return None
    with connection.transaction():
        position, parent = one_row(connection, "SELECT position, epoch FROM runfold.head FOR UPDATE")
        seen = _seen(marks, parent)
        lost = seen.position if seen and seen.position > position else None
        found = connection.execute("SELECT runfold.begin_epoch('restored', %s, %s)", [position, lost]).fetchone()
    assert found is not None, "a function call returns a row"  # noqa: S101
    return found[0], parent, lost


def _seen(marks: MarkFile, epoch: UUID) -> Seen | None:
    try:
        return marks.read(epoch)
    except UsageError:
        return None  # `runfold doctor` says what is wrong with it


def _receipt(connection: Connection, restored: Restored) -> None:
    sums = restored.sums
    connection.execute(
        _QUERIES["receipt"],
        [
            restored.epoch,
            as_text(restored.file.name),
            restored.sha256,
            restored.bytes,
            sums.first_position,
            sums.last_position,
            sums.events,
            sums.digest,
        ],
    )


def _findings(connection: Connection, restored: Restored) -> list[Finding]:
    """Return what is not as the migrations and the note say. The log itself is read by `LogCheck`."""
    found = [Finding("guard", fact, rights.NEXT_STEP) for _, fact in rights.faults(connection)]
    if restored.note is not None and restored.note.sums != restored.sums:
        before, now = restored.note.sums, restored.sums
        fact = (
            f"the backup held {before.events} events up to position {before.last_position} (digest {before.digest}), and the"
            f" database {now.events} up to {now.last_position} (digest {now.digest})"
        )
        found.append(Finding("restore", fact, "restore into another empty database, from another copy of the file"))
    return found


def _mark(connection: Connection, marks: MarkFile, epoch: UUID) -> None:
    query = "SELECT notification_id, event_id, recorded_at FROM runfold.log ORDER BY notification_id DESC LIMIT 1"
    for position, event_id, recorded_at in connection.execute(query).fetchall():
        with contextlib.suppress(UsageError):  # as above
            marks.note(epoch, Seen(position, event_id, recorded_at))
