"""`runfold export`: events and read models as files, for those who analyse."""

from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.call import Call
from runfold.cli.projections import Fold

if TYPE_CHECKING:
    from runfold.export.exporting import Exported


def export(
    call: Call,
    table: Annotated[
        str, typer.Argument(metavar="events|TABLE", help="The log, or a read model by its name or as module:Class.")
    ],
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help="parquet, jsonl or csv.")] = "parquet",
    to: Annotated[str, typer.Option("--to", metavar="FOLDER", help="Where to; each table has a folder in it.")] = "export",
    after: Annotated[
        str | None, typer.Option("--after", metavar="P", help="Of events, only those after this position or cursor.")
    ] = None,
    up_to: Annotated[
        int | None, typer.Option("--up-to", min=0, metavar="P", help="Of events, only those up to this position.")
    ] = None,
    rows_per_part: Annotated[int, typer.Option("--rows-per-part", min=1, help="How many rows a file holds.")] = 100_000,
    all_tenants: Annotated[bool, typer.Option("--all-tenants", help="Everybody's rows, not only RUNFOLD_TENANT's.")] = False,
    fold: Fold = False,
) -> None:
    """Write events, or a read model, into files: FOLDER/TABLE/part-FIRST-LAST.parquet, with a manifest.json.

    Of events, the same command again goes on after the last part, whether it was killed or the log has grown; FIRST and
    LAST are positions. A read model is written whole, as of the position at which it stands, and replaces what was there
    at once; FIRST and LAST are rows in the order of keys. Parts that are there are compared with their checksums first.
    jsonl and csv are compressed by gzip; Parquet takes DuckDB, of the extra `analytics`.
    """
    from runfold.cli.progress import progress_bar
    from runfold.cli.projections import catch_up, ready
    from runfold.errors import UsageError
    from runfold.export import exporting
    from runfold.export.events import EVENTS
    from runfold.export.tables import plain_name, require_known

    if fold and table == EVENTS:
        raise UsageError("events are not folded: leave out --fold")
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
        _print(call, exported)


def _print(call: Call, exported: "Exported") -> None:
    from rich.filesize import decimal

    from runfold.cli.terminal import counted, shown

    said = exported.manifest
    parts = f"{counted(len(said.parts), 'part')} ({exported.new_parts:,} new)"
    call.out.print(
        shown(f"{said.table}: {counted(said.rows, 'row')} in {parts}, {decimal(said.bytes)}, in {exported.folder}"),
        soft_wrap=True,
    )
    call.out.print(f"as of position {said.as_of}", style="dim", soft_wrap=True)
