"""`runfold backup` and `runfold restore`: the log in a file, and back."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.errors import Damage

if TYPE_CHECKING:
    from runfold.maintenance.restore import Restored


def backup(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; FILE.json beside it says what it holds.")],
    yes: Annotated[bool, typer.Option("--yes", help="Replace a file that is there.")] = False,
) -> None:
    """Write the whole log into a file, as of one moment, while everything goes on.

    It is a file of pg_dump's (custom format) with the schema runfold; FILE.json holds its sha256, and how many events are in
    it, up to which position, with a digest over them. Read models are not in it: they are folded anew. It needs a role that
    sees every row: a superuser, or one that was granted runfold_owner, in RUNFOLD_ADMIN_URL. The embedded database has one.
    """
    from runfold.cli.terminal import counted
    from runfold.maintenance.backup import back_up
    from runfold.store.database import Database

    began = time.monotonic()
    settings = call.settings()
    with call.busy(f"Writing {file}"):
        database = Database.of(settings)
        try:
            database.prepare()
            note = back_up(database.admin_url, file, settings.pg_bin, replace=yes)
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
    yes: Annotated[bool, typer.Option("--yes", help="Drop a ledger without events that is in the database.")] = False,
) -> None:
    """Restore a backup into a database that holds no ledger, and begin a new history there; exit 5 if what came is damaged.

    It makes the roles first, restores all or nothing, checks owners, grants, row-level security and guards, compares what came
    with what FILE.json says, and reads the whole log for damage. Cursors of before are good up to the last position of the
    backup; who has seen more is told. It needs a superuser in RUNFOLD_ADMIN_URL; the embedded database has one.
    """
    from runfold.cli.progress import progress_bar
    from runfold.maintenance.checking import LogCheck
    from runfold.maintenance.restore import restore as restore_file
    from runfold.store.database import Database
    from runfold.store.datastore import Datastore
    from runfold.store.marks import MarkFile
    from runfold.store.reader import Reader

    began = time.monotonic()
    settings = call.settings()
    with call.busy(f"Restoring {file}"):
        database = Database.of(settings)
    try:
        with call.busy(f"Restoring {file}"):
            restored = restore_file(database.admin_url, file, settings.pg_bin, MarkFile(settings.marks), drop_empty=yes)
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
    from runfold.cli.terminal import counted, shown
    from runfold.maintenance.backup import ALONG, NOT_ALONG

    if call.json:
        told: dict[str, Any] = {"travelled": list(ALONG), "did_not_travel": list(NOT_ALONG)}
        call.answer({"ok": not restored.findings, **restored.as_json(), **told, "seconds": round(seconds, 3)})
        return
    for finding in restored.findings:
        call.out.print(shown(f"{finding.kind}: {finding.fact}", "red"), soft_wrap=True)
        call.out.print(shown(f"    {finding.next_step}", "dim"), soft_wrap=True)
    sums = restored.sums
    verdict = counted(len(restored.findings), "damage") if restored.findings else "no damage"
    compared = "as the backup says" if restored.note else f"there is no {restored.file.name}.json to compare it with"
    call.out.print(
        f"restored {counted(sums.events, 'event')} up to position {sums.last_position} from {restored.file}, {verdict}"
        f" ({seconds:.1f} s)",
        style="bold red" if restored.findings else "bold green",
        soft_wrap=True,
    )
    call.out.print(f"sha256 {restored.sha256}, digest {sums.digest}: {compared}", style="dim", soft_wrap=True)
    lost = f"; it was seen up to position {restored.lost_position}" if restored.lost_position is not None else ""
    call.out.print(
        f"history {restored.epoch} begins after position {sums.last_position} of {restored.parent}{lost}", soft_wrap=True
    )
    for title, texts in (("It holds:", ALONG), ("It does not hold:", NOT_ALONG)):
        call.out.print(f"\n{title}", style="bold")
        for text in texts:
            call.out.print(f"  - {text}", soft_wrap=True)
