"""A backup: everything that the log is, as of one moment, in a file of pg_dump's, and beside it what the file holds.

One snapshot is what pg_dump writes down and what the note beside it counts, so the log in it has no hole, however much is
appended meanwhile. Read models are not in it: they are folded anew from the log.
"""

import contextlib
import fcntl
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from runfold.durable_files import force
from runfold.errors import BackupRefused
from runfold.file_errors import as_text, what_helps, why
from runfold.maintenance.pg_programs import complaint, find_program, running
from runfold.sessions import connect_pinned, connect_unlimited, require_own_session
from runfold.store.datastore import Connection, unavailable
from runfold.store.queries import named_queries

_OF_WEBHOOKS = {"webhook_feeds", "deliveries", "delivery_attempts", "webhook_secrets"}
_OF_SUBSCRIPTIONS = {
    "subscriptions",
    "subscription_leases",
    "subscription_waiting",
    "subscription_parked",
    "subscription_answers",
}
_SEALED = {
    "sealed_position",
    "sealed_logs",
    "sealed_events",
    "sealed_tiles",
    "sealed_threads",
    "sealed_map",
    "sealed_checkpoints",
    "seal_alarms",
    "seal_witnesses",
}
TRAVELS = frozenset({"log", "head", "epochs", "restores", "migrations", "locks"} | _OF_WEBHOOKS | _OF_SUBSCRIPTIONS | _SEALED)
"""Tables of the schema runfold whose rows are in a backup."""
STAYS = frozenset(
    {
        "read_models",
        "checkpoints",
        "receipts",
        "troubles",
        "workers",
        "fillings",
        "filling_lanes",
        "past_schemas",
        "moments",
        "reactors",
        "session_locks",
        "browser_sessions",
        "seal_places",
    }
)
"""Those that tell of read models, which are folded anew, and of who is at work."""
ALONG = (
    "every event, with its position, version, time and payload, and so all threads, runs, approvals and votes",
    "the keys of the service, as events: those that were good when the backup was made are good again, revoked since or not",
    "subscriptions with a name, as far as they were; their consumers are told that the ledger was put back",
    "the sealed log and its checkpoints, so that the restored ledger goes on under the same root",
    "the lineage of histories: cursors of before are good up to the last position of the backup, and refused beyond",
)
NOT_ALONG = (
    "read models and schemas of the past: they are folded anew, by `runfold work` or `runfold serve`",
    "logins, passwords and who was granted which role: grant runfold_app and runfold_projector to your logins",
    "settings (RUNFOLD_…) and the plain text of keys, which Runfold never had",
    "what consumers outside have seen: their cursors are with them, and they are told where they had seen more",
    "the keys that checkpoints are signed with (RUNFOLD_SEAL_KEYS): keep them apart from it, and put them back yourself",
    "the mark file and the embedded database's folder: do not put them back with it",
)
_QUERIES = named_queries("runfold.maintenance", "backup.sql")


class Sums(BaseModel):
    """What a log holds: how many events, from where to where, and a digest over their ids and payloads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: int
    first_position: int | None
    last_position: int
    digest: int


class Note(BaseModel):
    """What stands beside a backup, in FILE.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backup_version: Literal[1] = 1
    file: str
    sha256: str
    bytes: int
    made_at: AwareDatetime
    epoch: UUID
    server_version: int
    sums: Sums


Told = Callable[[int], object]
"""How many bytes are written."""


def note_of(file: Path) -> Path:
    """Return the path of the note that says what a backup holds."""
    return file.with_name(f"{file.name}.json")


def read_note(file: Path) -> Note | None:
    """Return what stands beside a backup; None for nothing, as beside a dump made by hand. Raises BackupRefused."""
    path = note_of(file)
    try:
        return Note.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise BackupRefused(
            f"{path} cannot be read ({why(error).splitlines()[0]})", "restore the one that was made with the backup"
        ) from None


def sums_of(connection: Connection) -> Sums:
    """Return what the log holds, as this connection sees it."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        events, first, last, digest = cursor.execute(_QUERIES["sums"]).fetchone() or (0, None, 0, 0)
    return Sums(events=events, first_position=first, last_position=last, digest=int(digest))


def digest_of(file: Path) -> str:
    """The sha256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def back_up(url: str, file: Path, pg_bin: Path | None, *, replace: bool = False, told: Told = lambda _: None) -> Note:
    """Write a backup of the log at a URL, whose role must see all of it.

    Raises BackupRefused, LedgerUnavailable, TransactionPooling.
    """
    _require_room(file, replace=replace)
    passing, passing_note = (path.with_name(f".{path.name}.new") for path in (file, note_of(file)))
    try:
        with _alone(file, passing, passing_note) as lock:
            _require_room(file, replace=replace)  # another may have been made since
            os.close(os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))  # it holds everything that anybody said
            with connect_unlimited(url) as connection:
                require_own_session(connection, lambda: connect_pinned(url))
                note = _dump(connection, url, file, passing, pg_bin, told, lock)
            passing_note.write_text(note.model_dump_json(indent=1) + "\n", encoding="utf-8")
            force(passing_note)
            note_of(file).unlink(missing_ok=True)  # beside another backup it would be the note of a damaged one
            passing.replace(file)
            passing_note.replace(note_of(file))
            force(file.parent)
    except psycopg.Error as error:
        raise unavailable(error) from error
    except OSError as error:
        raise BackupRefused(f"{file} cannot be written ({error.strerror})", what_helps(error)) from error
    return note


@contextlib.contextmanager
def _alone(file: Path, passing: Path, passing_note: Path) -> Iterator[int]:
    """Let no other process write a backup of that name, and remove what is left half written; the lock. Raises BackupRefused.

    The note is locked, which gets its name last: until then both passing files are ours.
    """
    lock = _locked(file, passing_note)
    try:
        yield lock
    finally:
        if _is_at(passing_note, lock):
            passing.unlink(missing_ok=True)
            passing_note.unlink()
        os.close(lock)


def _locked(file: Path, passing_note: Path) -> int:
    while True:
        with contextlib.ExitStack() as closing:
            opened = os.open(passing_note, os.O_WRONLY | os.O_CREAT, 0o666)
            closing.callback(os.close, opened)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                fact = f"another backup is being written to {file}"
                raise BackupRefused(fact, "wait until it is there, or choose another name") from None
            if _is_at(passing_note, opened):  # else the other has just given it its name
                closing.pop_all()
                return opened


def _is_at(path: Path, opened: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(opened))
    except FileNotFoundError:
        return False


def _require_room(file: Path, *, replace: bool) -> None:
    """Raises BackupRefused where a backup, or the note beside it, would take the place of something else."""
    if not file.name:
        raise BackupRefused(f"{file} is a folder", "name a file in it")
    for path in (file, note_of(file)):
        if path.exists() and not path.is_file():
            raise BackupRefused(f"{path} is there, and no file that a backup could replace", "choose another name")
        if path.exists() and not replace:
            raise BackupRefused(f"{path} already exists", "choose another name, or give --yes to replace it")


def _require_sees_all(connection: Connection) -> tuple[bool, int]:
    """Return whether the role sees every row by itself, and the server's version. Raises BackupRefused."""
    sees_all, is_owner, role, server = one_row(connection, _QUERIES["may dump"])
    if not sees_all and not is_owner:
        raise BackupRefused(
            f"{role} does not see every row (row-level security), so its backup would be incomplete",
            "set RUNFOLD_ADMIN_URL to a superuser, or to a role that was granted runfold_owner",
        )
    if one_row(connection, "SELECT to_regclass('runfold.head')") == (None,):
        raise BackupRefused("the database has no Runfold schema", "check that RUNFOLD_DATABASE_URL names the right one")
    return sees_all, server


def _dump(connection: Connection, url: str, file: Path, passing: Path, pg_bin: Path | None, told: Told, lock: int) -> Note:
    sees_all, server = _require_sees_all(connection)
    program = find_program("pg_dump", pg_bin, server)
    # The snapshot is held for as long as the dump takes, and no longer.
    if not sees_all:
        connection.execute("SET ROLE runfold_owner")
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    (snapshot,) = one_row(connection, "SELECT pg_export_snapshot()")
    arguments = [
        "--format=custom",
        "--schema=runfold",
        "--encoding=UTF8",
        f"--file={passing}",
        f"--snapshot={snapshot}",
        "--lock-wait-timeout=30s",
        *([] if sees_all else ["--role=runfold_owner"]),
        *(f"--exclude-table-data=runfold.{name}" for name in sorted(STAYS)),
    ]
    with running(program, arguments, url, keeps=(lock,)) as process:
        (epoch,) = one_row(connection, "SELECT epoch FROM runfold.head")
        sums = sums_of(connection)
        _wait(process, passing, told)
    connection.execute("COMMIT")
    force(passing)
    return Note(
        file=as_text(file.name),
        sha256=digest_of(passing),
        bytes=passing.stat().st_size,
        made_at=datetime.now(UTC),
        epoch=epoch,
        server_version=server,
        sums=sums,
    )


def _wait(process: "subprocess.Popen[str]", passing: Path, told: Told) -> None:
    said = ""
    while True:
        try:
            _, said = process.communicate(timeout=0.2)
            break
        except subprocess.TimeoutExpired:
            with contextlib.suppress(FileNotFoundError):
                told(passing.stat().st_size)
    if process.returncode:
        if "row-level security" in said:
            step = "set RUNFOLD_ADMIN_URL to a superuser, or to a role that was granted runfold_owner"
        else:
            step = "fix this, then repeat the command"
        raise BackupRefused(f"pg_dump failed: {complaint(said)}", step)
    told(passing.stat().st_size)


def one_row(connection: Connection, query: str) -> tuple[Any, ...]:
    """The one row of a query."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query).fetchone()
    assert row is not None, "it is one row"  # noqa: S101
    return row
