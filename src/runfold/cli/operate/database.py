"""`runfold check` and `migrate`: whether the log is undamaged, and the schema of the database up to date."""

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call
from runfold.errors import Damage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runfold.ledger import Ledger
    from runfold.maintenance.checking import Finding
    from runfold.store.reading.history import History
    from runfold.store.setup.logins import Login

DAMAGE = Damage.exit_code
MOST_SHOWN = 1000
"""Findings that are printed one by one; the rest is counted."""


def check(
    call: Call,
    projection: Annotated[
        list[str] | None,
        typer.Option("--projection", metavar="MODULE:CLASS", help="Also try this read model of your own (may be repeated)."),
    ] = None,
) -> None:
    """Read the whole log and look for damage; exit 5 if there is any.

    It checks that positions run from 1 to the head without a gap, that the versions of every stream follow each other, that
    times never go back, that events are in the stream and thread they belong to, that payloads are valid for their type and
    schema version, that event ids are unique, and that the guards of the database are in place. Digests of arguments, of what
    was granted and of how runs were asked for are made again from the log and compared. The receipts of the read
    models must show that each event was applied exactly once. It lists the histories of the ledger, and reports events that
    the mark file has seen and the database lacks. Projections of your own, those of installed packages and those that are
    named, are tried in fresh processes: a fold that comes to other rows there is reported (RUNFOLD_TRY_FOLDS=0 leaves it out).
    """
    import itertools
    import time

    from runfold.maintenance.checking import LogCheck
    from runfold.projector.checking.auditing import receipt_findings
    from runfold.terminal.progress import progress_bar

    began = time.monotonic()
    with call.ledger() as ledger:
        log_check = LogCheck(ledger.recorder.reader)
        with progress_bar(call.err, "Checking", "events") as told:
            log_check.progress = lambda done: told(done, log_check.head, "")
            found_in = (
                log_check.findings(),
                receipt_findings(ledger.recorder.store),
                _seal_alarms(ledger),
                _history(ledger.history),
                _impure(ledger, projection or [], log_check.head),
            )
            found, count = first_findings(itertools.chain(*found_in))
        lineage = [epoch.as_json() for epoch in ledger.lineage()]
    seconds = time.monotonic() - began
    facts: dict[str, Any] = {
        "ok": not count,
        "as_of": log_check.head,
        "events": log_check.events,
        "seconds": round(seconds, 3),
        "events_a_second": round(log_check.events / seconds),
        "lineage": lineage,
    }
    _answer(call, facts, found, count)
    if count:
        raise typer.Exit(DAMAGE)


def first_findings(findings: "Iterable[Finding]") -> "tuple[list[Finding], int]":
    """Go through all findings: those that are printed one by one, and how many there are."""
    first: list[Finding] = []
    count = 0
    for count, finding in enumerate(findings, 1):
        if count <= MOST_SHOWN:
            first.append(finding)
    return first, count


def _impure(ledger: "Ledger", named: list[str], up_to: int) -> "Iterator[Finding]":
    """Report projections, of packages or named, that come to other rows in other processes."""
    from runfold.maintenance.checking import Finding
    from runfold.projections.registry import chosen, known
    from runfold.projector.checking import trial

    if not ledger.settings.try_folds:
        return
    own = [each for each in {**known(), **(chosen(named) if named else {})}.values() if trial.is_own(each)]
    for fault in trial.findings(ledger.folding.projector(), own, up_to) if own else ():
        yield Finding("projection", f"{fault.name} {fault.fact}", fault.next_step)


def _seal_alarms(ledger: "Ledger") -> "Iterator[Finding]":
    """Report what sealers met that cannot be; whether what is sealed was changed since, `runfold verify` tells."""
    from runfold.evidence.sealing.status import seal_status
    from runfold.maintenance.checking import Finding

    found = seal_status(ledger.recorder.reader)
    if found.alarms:
        fact = f"{found.alarms} alarms while the log was sealed, the first: {found.first_alarm}"
        yield Finding("seal", fact, "run `runfold verify --full`, which names each")


def _history(history: "History") -> "Iterator[Finding]":
    """Report events that the mark file has seen and the database lacks."""
    from runfold.errors import UsageError
    from runfold.maintenance.checking import Finding

    try:
        parting = history.parted()
    except UsageError as error:
        fact, _, step = str(error).partition("; ")
        yield Finding("mark", fact, step)
        return
    if parting:
        step = "open the ledger as a role that was granted runfold_app: it starts a new history, and tells consumers"
        yield Finding("history", parting.fact, step, parting.common_position)


def _answer(call: Call, facts: dict[str, Any], found: "list[Finding]", count: int) -> None:
    if call.json:
        call.answer({**facts, "damages": count, "findings": [finding.as_json() for finding in found]})
        return
    from runfold.terminal.checks import print_findings, verdict
    from runfold.terminal.text import counted

    print_findings(call.out, found, more=count - len(found))
    for epoch in (epoch for epoch in facts["lineage"] if epoch["from_position"] or epoch["lost_position"]):
        lost = f"; the one before reached at least position {epoch['lost_position']}" if epoch["lost_position"] else ""
        began = f"history {epoch['epoch']} began {epoch['began_at']} ({epoch['reason']})"
        call.out.print(f"{began} after position {epoch['from_position']}{lost}", soft_wrap=True)
    call.out.print(
        f"{verdict(count)} in {counted(facts['events'], 'event')}, as of position {facts['as_of']}"
        f" ({facts['seconds']:.1f} s, {facts['events_a_second']:,} events/s)",
        style="bold red" if count else "bold green",
        soft_wrap=True,
    )


def migrate(
    call: Call,
    admin_url: Annotated[
        str | None,
        typer.Option(
            "--admin-url", metavar="URL", help="URL of the database with a role that may migrate it (RUNFOLD_ADMIN_URL)."
        ),
    ] = None,
    create_logins: Annotated[
        bool,
        typer.Option("--create-logins", help="Make a login for each role that has none, with a password that is shown once."),
    ] = False,
    logins_file: Annotated[
        Path | None,
        typer.Option(
            "--logins-file",
            metavar="FILE",
            help="Write the addresses of new logins into this new file, for `--env-file`, instead of showing them.",
        ),
    ] = None,
) -> None:
    """Apply the migrations that the database lacks, each once, in order, one process at a time.

    Writers are not blocked: indexes of a large log are built concurrently. An interrupted migration continues when it is run
    again; running it again, or twice at once, changes nothing. It uses RUNFOLD_ADMIN_URL, or else the database's own URL; the
    embedded database is migrated whenever it is opened. Where a dump was restored without its roles, it sets up owners, grants
    and row-level security again, as a superuser.

    A role that may not create roles is told what an administrator has to run. Where nobody can log in yet to append, fold or
    read, the statements that make logins are shown, or carried out with --create-logins.
    """
    from runfold.errors import UsageError
    from runfold.store.database import Database
    from runfold.store.setup import migrate as migrating

    if logins_file is not None and not create_logins:
        raise UsageError("--logins-file needs --create-logins")
    settings = call.settings(**({"admin_url": admin_url} if admin_url else {}))
    mended: list[str] = []
    with _new_file(logins_file) as keep, call.busy("Migrating") as told:
        database = Database.of(settings)
        try:
            applied = migrating.migrate(database.administering(settings.connect_timeout), told=told, mended=mended.append)
            made, wanted = migrating.logins(database.admin_url, create=create_logins, keep=keep)
        finally:
            database.close()
    known = [migration.name for migration in migrating.migrations()]
    if call.json:
        logins = [each._asdict() | ({"url": None} if logins_file else {}) for each in made]
        more = {"mended": mended} if mended else {}
        call.answer({"applied": applied, "migrations": known, **more, "logins": logins, "logins_wanted": wanted})
        return
    _print_migrated(call, applied, mended, known[-1])
    if create_logins and not made:
        call.note(
            "The database's logins are there already, with the passwords that they have; ALTER ROLE … PASSWORD sets another."
        )
    _print_logins(call, made, wanted, logins_file)


def _print_migrated(call: Call, applied: list[str], mended: list[str], last: str) -> None:
    for name in applied:
        call.out.print(f"applied {name}")
    for fact in mended:
        call.out.print(f"repaired: {fact}", soft_wrap=True)
    call.out.print(f"the database is at {last}" + ("" if applied or mended else "; there was nothing to do"), soft_wrap=True)


@contextlib.contextmanager
def _new_file(file: Path | None) -> "Iterator[Callable[[list[Login]], None]]":
    """Give what writes settings into a new file that its owner alone may read; it stays where something was written.

    It is made at once: a password that it has no place for would be lost. Raises UsageError.
    """
    if file is None:
        yield lambda _: None
        return
    from runfold.errors import UsageError

    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{file} is there already; name a new file") from None

    def keep(made: "list[Login]") -> None:
        try:
            with open(opened, "w", encoding="utf-8", closefd=False) as written:
                written.writelines(f"{each.setting}='{each.url}'\n" for each in made)
            os.fsync(opened)
        except OSError as error:
            os.ftruncate(opened, 0)
            raise OSError(error.errno, error.strerror, str(file)) from None

    try:
        yield keep
    finally:
        if not os.fstat(opened).st_size:
            file.unlink(missing_ok=True)
        os.close(opened)


def _print_logins(call: Call, made: "list[Login]", wanted: list[str], file: Path | None) -> None:
    if made and file is not None:
        names = ", ".join(each.name for each in made)
        call.out.print(f"made the logins {names}; use them with `--env-file {file}`", soft_wrap=True)
    elif made:
        call.out.print("\nmade logins, whose passwords are not shown again:\n", soft_wrap=True)
        for each in made:
            call.out.print(f"export {each.setting}='{each.url}'", soft_wrap=True, markup=False, highlight=False)
    elif wanted:
        call.out.print("\nnobody can log in yet to use it; give the command with --create-logins, or run:\n", soft_wrap=True)
        for statement in wanted:
            call.out.print(statement, soft_wrap=True, markup=False, highlight=False)
