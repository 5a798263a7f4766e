"""`runfold import` and `export`: agent runs of other tools into the ledger, events and read models into files."""

from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.call import Call
from runfold.cli.folding import catch_up, ready
from runfold.cli.options import Fold
from runfold.importers.formats import names

if TYPE_CHECKING:
    from runfold.export.exporting import Exported
    from runfold.importers.tally import Tally

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
) -> None:
    """Import the agent runs of another tool. Importing the same files again adds only what is new in them.

    What cannot be read is reported with its file and line on stderr, and everything else is imported. Problems do not
    change the exit code unless --strict is given. Notes count by kind what is of no use here, and what was kept in another
    form. In JSON there is one line for each problem and for each kind of note, and the last line is the tally.
    """
    from runfold.importers.importing import import_paths
    from runfold.terminal.progress import progress_bar

    with call.ledger() as ledger, progress_bar(call.err, "Importing", "bytes") as told:
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
    table: Annotated[str, typer.Argument(metavar="events|TABLE", help="The log, or a read model by name or as module:Class.")],
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help="parquet, jsonl or csv.")] = "parquet",
    to: Annotated[
        str, typer.Option("--to", metavar="FOLDER", help="The folder to write to; each table gets a subfolder.")
    ] = "export",
    after: Annotated[
        str | None, typer.Option("--after", metavar="P", help="Events only: those after this position or cursor.")
    ] = None,
    up_to: Annotated[
        int | None, typer.Option("--up-to", min=0, metavar="P", help="Events only: those up to this position.")
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
    """
    from runfold.errors import UsageError
    from runfold.export import exporting
    from runfold.export.events import EVENTS
    from runfold.export.tables import plain_name, require_known
    from runfold.terminal.progress import progress_bar

    if fold and table == EVENTS:
        raise UsageError("--fold applies to read models, not to events; leave it out")
    with call.ledger() as ledger:
        if fold:
            catch_up(call, ledger, (table,))
        elif table != EVENTS:
            require_known(ledger, plain_name(table))
            ready(call, ledger, plain_name(table), fold=False)
        with progress_bar(call.err, "Exporting", "rows") as told:
            exported = exporting.export(
                ledger,
                table,
                format,
                to,
                after=after,
                up_to=up_to,
                rows_per_part=rows_per_part,
                all_tenants=all_tenants,
                told=told,
            )
    if call.json:
        call.answer(exported.as_json())
    else:
        _print_exported(call, exported)


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
