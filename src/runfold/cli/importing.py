"""`runfold import`: real agent runs of other tools into the ledger."""

from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.call import Call
from runfold.importers.formats import names

if TYPE_CHECKING:
    from runfold.importers.tally import Tally

MOST_SHOWN = 20
"""Problems that a person is shown one by one; the rest is counted. In JSON all are there."""


def import_runs(
    call: Call,
    format: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of {', '.join(names())}.")],
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH…", help="Files, folders with all in them, .gz of either, or - for standard input."),
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if any record could not be brought in.")] = False,
) -> None:
    """Bring in the agent runs of another tool. Importing the same again adds nothing; what has grown since is added.

    A record that cannot be read is a problem: it is named with its file and line on stderr, and everything else goes
    in. Problems leave the exit code at 0 unless --strict is given. In JSON there is one line for each problem, and the
    last line is the tally.
    """
    from runfold.cli.progress import progress_bar
    from runfold.importers.importing import import_paths

    with call.ledger() as ledger, progress_bar(call.err, "Importing", "bytes") as told:
        tally = import_paths(ledger, format, paths, told)
        as_of = ledger.position()
    if call.json:
        for problem in tally.problems:
            call.answer({"problem": problem.as_json()})
        call.answer({**tally.as_json(), "as_of": as_of})
    else:
        _print(call, tally, as_of)
    if strict and tally.problems:
        raise typer.Exit(1)


def _print(call: Call, tally: "Tally", as_of: int) -> None:
    from runfold.cli.terminal import counted, shown

    for problem in tally.problems[:MOST_SHOWN]:
        call.err.print(shown(f"problem: {problem}", "yellow"), soft_wrap=True)
    if len(tally.problems) > MOST_SHOWN:
        call.err.print(f"… and {len(tally.problems) - MOST_SHOWN:,} more problems; --json names them all", style="yellow")
    for name, value in tally.as_json().items():
        call.out.print(f"{name.replace('_', ' '):<14}{value:>14,}")
    left = f"; {counted(tally.skipped, 'thread')} had been brought in before" if tally.skipped else ""
    call.out.print(f"as of position {as_of}{left}", style="dim", soft_wrap=True)
