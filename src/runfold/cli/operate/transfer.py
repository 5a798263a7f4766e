"""`runfold import` and `export`: agent runs of other tools into the ledger, events and read models into files."""

from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.folding import catch_up, ready
from runfold.cli.calling.former_words import formerly
from runfold.cli.calling.options import Fold
from runfold.importers.formats import names

if TYPE_CHECKING:
    from datetime import datetime

    from runfold.export.exporting import Exported
    from runfold.importers.tally import Tally
    from runfold.ledger import Ledger

AG_UI = "ag-ui"
"""The format of one run."""
MOST_SHOWN = 20
"""Problems that are printed one by one; the rest is counted. In JSON all are there."""


def import_runs(
    call: Call,
    format: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of {', '.join(names())}.")],
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH…", help="Files, folders, .gz of either, or - for standard input."),
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if any record could not be imported.")] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="NAME",
            help="The import's name, by which `runfold usage --by source` tells what it brought; FORMAT:PLACE if not given.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, max=64, help="How many processes read and store; one a processor if not given."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until Ctrl-C: import what is new in the files and folders at each look.")
    ] = False,
    every: Annotated[
        str | None,
        typer.Option("--every", metavar="DURATION", help="With --follow: how often to look: 1s (the default), 500ms, 1m."),
    ] = None,
) -> None:
    """Import the agent runs of another tool. Importing the same files again adds only what is new in them.

    What cannot be read is reported with its file and line on stderr, and everything else is imported. Problems do not
    change the exit code unless --strict is given. Notes count by kind what is of no use here, and what was kept in another
    form. In JSON there is one line for each problem and for each kind of note, and the last line is the tally.

    With --follow new files, and new lines of files, go in at the next look; a line that is still written waits until it is
    whole, and a database that is away is tried again. Each thread that something was added to is a line. Ctrl-C and TERM end it.
    """
    from runfold.errors import UsageError

    if every is not None and not follow:
        raise UsageError("--every says how often --follow looks; give --follow too, or leave it out")
    if follow:
        from runfold.cli.calling.following import follow_paths

        follow_paths(call, format, paths, every, strict=strict, workers=workers, source=source)
        return
    from runfold.importers.importing import import_paths
    from runfold.terminal.progress import progress_bar

    left = "What was imported stays; the same command goes on with the rest."
    with call.ledger() as ledger, call.saying_if_interrupted(left), progress_bar(call.err, "Importing", "bytes") as told:
        tally = import_paths(ledger, format, paths, told, processes=workers, source=source)
        as_of = ledger.position()
    if call.json:
        for problem in tally.problems:
            call.answer({"problem": problem.as_json()})
        for note in tally.notes:
            call.answer({"note": note.as_json()})
        call.answer({**tally.as_json(), "as_of": as_of})
    else:
        _print_tally(call, tally, as_of)
    if strict and tally.problems:
        raise typer.Exit(1)


def _print_tally(call: Call, tally: "Tally", as_of: int) -> None:
    from runfold.terminal.text import counted, shown

    for problem in tally.problems[:MOST_SHOWN]:
        call.err.print(shown(f"problem: {problem}", "yellow"), soft_wrap=True)
    if len(tally.problems) > MOST_SHOWN:
        call.err.print(f"… and {len(tally.problems) - MOST_SHOWN:,} more problems; --json names them all", style="yellow")
    for note in tally.notes:
        call.err.print(shown(f"note: {note}", "dim"), soft_wrap=True)
    for name, value in tally.as_json().items():
        call.out.print(f"{name.replace('_', ' '):<14}{value:>14,}")
    left = f"; {counted(tally.skipped, 'thread')} had been imported before" if tally.skipped else ""
    call.out.print(f"as of position {as_of}{left}", style="dim", soft_wrap=True)


def export(
    call: Call,
    table: Annotated[
        str | None,
        typer.Argument(metavar="events|TABLE|run", help="The log, a read model by name or as module:Class, or one run."),
    ] = None,
    run_id: Annotated[
        str | None, typer.Argument(metavar="RUN", help="After `run`: its id; needs --format ag-ui, and goes to stdout.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All: the log and every read model, each into a subfolder.")] = False,
    format: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="How the rows are written: parquet, jsonl or csv; a run as ag-ui.")
    ] = "parquet",
    output: Annotated[
        str,
        typer.Option("--output", metavar="FOLDER", help="The folder to write to; each table gets a subfolder."),
        formerly("--to"),
    ] = "export",
    after: Annotated[
        str | None, typer.Option("--after", metavar="P", help="Events only: those after this position or cursor.")
    ] = None,
    up_to: Annotated[
        int | None, typer.Option("--up-to", min=0, metavar="P", help="Events only: those up to this position.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="P|TIME|DAY",
            help="As of a position, or a time by the database's clock: exactly what was recorded by then.",
        ),
        formerly("--as-of"),
    ] = None,
    rows_per_part: Annotated[int, typer.Option("--rows-per-part", min=1, help="How many rows a file holds.")] = 100_000,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="The rows of all tenants, not only those of RUNFOLD_TENANT.")
    ] = False,
    fold: Fold = False,
) -> None:
    """Write events or a read model into files: FOLDER/TABLE/part-FIRST-LAST.parquet, with a manifest.json.

    For events, repeating the command continues after the last part, whether it was killed or the log has grown; FIRST and
    LAST are positions. A read model is written whole, as of its position, and replaces an earlier export atomically; FIRST and
    LAST are row numbers by key. Existing parts are checked against their checksums first. jsonl and csv are compressed with
    gzip; Parquet needs DuckDB (`pip install runfold[analytics]`).

    With --all it is the log and every read model, and with --at all of that is as of one moment: read models are folded as
    they stood then (as `runfold moments prepare` does), whatever is recorded meanwhile. In JSON there is one line for each table.

    `export run RUN --format ag-ui` writes one run to standard output, as AG-UI's events, one a line: whatever it came from, with
    what was said before it along its path as its input. `runfold import ag-ui` reads it, `runfold agui-check` checks it.
    """
    from runfold.errors import UsageError
    from runfold.export import exporting
    from runfold.export.events import EVENTS
    from runfold.terminal.progress import progress_bar

    if table == "run" or run_id is not None or format == AG_UI:
        others = {"--all": every, "--after": after, "--up-to": up_to, "--all-tenants": all_tenants, "--fold": fold}
        _export_run(call, table, run_id, format, at, [name for name, value in others.items() if value])
        return
    if every and (table, after, up_to) != (None, None, None):
        raise UsageError("--all is the log and every read model; leave out the table, --after and --up-to")
    if table is None and not every:
        raise UsageError("what to export is missing; name events or a read model, or give --all")
    if fold and (table == EVENTS or at is not None):
        raise UsageError("--fold applies to read models as they stand, not to events or --at; leave it out")
    moment = None if at is None else call.moment(at)
    shared: Shared = {"as_of": moment, "rows_per_part": rows_per_part, "all_tenants": all_tenants}
    with call.ledger() as ledger:
        if at is None:
            _ready(call, ledger, table, fold=fold)
        left = "What is whole stays; the same command goes on, with events after the last part."
        with call.saying_if_interrupted(left), progress_bar(call.err, "Exporting", "rows") as told:
            if table is None:
                exported = list(exporting.export_all(ledger, format, output, told=told, **shared))
            else:
                exported = [exporting.export(ledger, table, format, output, after=after, up_to=up_to, told=told, **shared)]
    for each in exported:
        if call.json:
            call.answer(each.as_json())
        else:
            _print_exported(call, each)


def _export_run(call: Call, table: str | None, run_id: str | None, format: str, at: str | None, others: list[str]) -> None:
    import sys

    import orjson

    from runfold.errors import UsageError

    if run_id is not None and table != "run":
        raise UsageError(f"`export {table}` takes no second argument, such as {run_id!r}; name the folder with --output")
    if table != "run" or run_id is None or format != AG_UI:
        raise UsageError("a run is exported as `runfold export run RUN --format ag-ui`")
    if others:
        raise UsageError(f"a run is exported whole, to standard output; leave out {', '.join(others)}")
    with call.ledger() as ledger:
        for event in ledger.run(run_id).ag_ui(None if at is None else call.moment(at)):
            sys.stdout.write(orjson.dumps(event).decode() + "\n")


class Shared(TypedDict):
    """What is asked of every table alike."""

    as_of: "int | datetime | None"
    rows_per_part: int
    all_tenants: bool


def _ready(call: Call, ledger: "Ledger", table: str | None, *, fold: bool) -> None:
    """See to it that what is exported as it stands has been folded."""
    from runfold.export.events import EVENTS
    from runfold.export.tables import require_known
    from runfold.projections.registry import known

    if fold:
        catch_up(call, ledger, () if table is None else (table,))
    elif table is None:
        ready(call, ledger, *known(), fold=False)
    elif table != EVENTS:
        if ":" not in table and table not in known():
            require_known(ledger, table)
        ready(call, ledger, table, fold=False)


def _print_exported(call: Call, exported: "Exported") -> None:
    from rich.filesize import decimal

    from runfold.terminal.text import counted, shown

    said = exported.manifest
    parts = f"{counted(len(said.parts), 'part')} ({exported.new_parts:,} new)"
    call.out.print(
        shown(f"{said.table}: {counted(said.rows, 'row')} in {parts}, {decimal(said.bytes)}, in {exported.folder}"),
        soft_wrap=True,
    )
    call.out.print(f"as of position {said.as_of}", style="dim", soft_wrap=True)
