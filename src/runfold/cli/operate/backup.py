"""`runfold backup` and `restore`: the log into a file, and back."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call
from runfold.errors import Damage

if TYPE_CHECKING:
    from runfold.maintenance.restore import Restored


def backup(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; FILE.json beside it describes it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Replace an existing file.")] = False,
) -> None:
    """Write the whole log into a file, as of one moment, while the ledger stays in use.

    The file is in pg_dump's custom format and holds the schema runfold; FILE.json holds its sha256, the number of events, the
    last position, and a digest over the events. Read models are left out: they are folded again. It needs a role that sees
    every row in RUNFOLD_ADMIN_URL: a superuser, or one that was granted runfold_owner. The embedded database has one.
    """
    from runfold.maintenance.backup import back_up
    from runfold.store.database import Database
    from runfold.terminal.text import counted

    began = time.monotonic()
    settings = call.settings()
    with call.saying_if_interrupted("No backup was written."), call.busy(f"Writing {file}"):
        database = Database.of(settings)
        try:
            database.prepare()
            note = back_up(database.administering(settings.connect_timeout), file, settings.pg_bin, replace=yes)
        finally:
            database.close()
    seconds = time.monotonic() - began
    if call.json:
        call.answer({**note.model_dump(mode="json"), "file": str(file), "seconds": round(seconds, 3)})
        return
    call.out.print(
        f"{counted(note.sums.events, 'event')} up to position {note.sums.last_position} in {file} ({note.bytes:,} bytes,"
        f" {seconds:.1f} s)",
        soft_wrap=True,
    )
    call.out.print(f"sha256 {note.sha256}, digest {note.sums.digest}, history {note.epoch}", style="dim", soft_wrap=True)


def restore(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `runfold backup`, or of pg_dump in custom format.")],
    yes: Annotated[bool, typer.Option("--yes", help="Drop a ledger without events that is already in the database.")] = False,
) -> None:
    """Restore a backup into a database that holds no ledger, and start a new history there; exit 5 if it is damaged.

    It creates the roles, restores all or nothing, checks owners, grants, row-level security and guards, compares the log with
    FILE.json, and reads the whole log for damage. Older cursors stay valid up to the last position of the backup; a reader
    that has seen more is refused. It needs a superuser in RUNFOLD_ADMIN_URL; the embedded database has one.
    """
    from runfold.maintenance.checking import LogCheck
    from runfold.maintenance.restore import restore as restore_file
    from runfold.store.database import Database
    from runfold.store.datastore import Datastore
    from runfold.store.marks import MarkFile
    from runfold.store.reading.reader import Reader
    from runfold.terminal.progress import progress_bar

    began = time.monotonic()
    settings = call.settings()
    with call.busy(f"Restoring {file}"):
        database = Database.of(settings)
    try:
        with call.busy(f"Restoring {file}"):
            url = database.administering(settings.connect_timeout)
            restored = restore_file(url, file, settings.pg_bin, MarkFile(settings.marks), drop_empty=yes)
        datastore = Datastore(database.admin_url, settings.connect_timeout)
        try:
            log_check = LogCheck(Reader(datastore))
            with progress_bar(call.err, "Checking", "events") as told:
                log_check.progress = lambda done: told(done, log_check.head, "")
                known = {finding.fact for finding in restored.findings}
                restored.findings += [finding for finding in log_check.findings() if finding.fact not in known]
        finally:
            datastore.close()
    finally:
        database.close()
    _answer(call, restored, time.monotonic() - began)
    if restored.findings:
        raise typer.Exit(Damage.exit_code)


def _answer(call: Call, restored: "Restored", seconds: float) -> None:
    from runfold.maintenance.backup import ALONG, NOT_ALONG
    from runfold.terminal.checks import print_findings, verdict
    from runfold.terminal.text import counted

    if call.json:
        told: dict[str, Any] = {"travelled": list(ALONG), "did_not_travel": list(NOT_ALONG)}
        call.answer({"ok": not restored.findings, **restored.as_json(), **told, "seconds": round(seconds, 3)})
        return
    print_findings(call.out, restored.findings)
    sums = restored.sums
    compared = "as recorded in the backup" if restored.note else f"there is no {restored.file.name}.json to compare it with"
    damage = verdict(len(restored.findings))
    call.out.print(
        f"restored {counted(sums.events, 'event')} up to position {sums.last_position} from {restored.file}, {damage}"
        f" ({seconds:.1f} s)",
        style="bold red" if restored.findings else "bold green",
        soft_wrap=True,
    )
    call.out.print(f"sha256 {restored.sha256}, digest {sums.digest}: {compared}", style="dim", soft_wrap=True)
    lost = f"; it had been seen up to position {restored.lost_position}" if restored.lost_position is not None else ""
    call.out.print(
        f"history {restored.epoch} begins after position {sums.last_position} of {restored.parent}{lost}", soft_wrap=True
    )
    for title, texts in (("It holds:", ALONG), ("It does not hold:", NOT_ALONG)):
        call.out.print(f"\n{title}", style="bold")
        for text in texts:
            call.out.print(f"  - {text}", soft_wrap=True)
