"""`runfold sample runs`: a sample for an audit, which anybody can draw again."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.folding import as_json
from runfold.cli.calling.lists import asking
from runfold.cli.calling.options import At, Fold, HappenedAt

if TYPE_CHECKING:
    from runfold.export.run_samples import SampleManifest
    from runfold.queries.runs.sample import RunSample

HELP = "Draw samples for an audit, which anybody can draw again."


def sample_runs(
    call: Call,
    *,
    seed: Annotated[
        str,
        typer.Option("--seed", metavar="TEXT", help="What is drawn by: any text, such as 2026-Q3. The same draws the same runs."),
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", metavar="FOLDER", help="Write the events of each drawn run, and a manifest, into this folder."),
    ] = None,
    at: At = None,
    happened_at: HappenedAt = None,
    fold: Fold = False,
    **asked: Any,
) -> None:
    """Draw a sample of runs: those whose SHA-256 of the seed followed by their ids is the lowest.

    The population are the runs that the other options find, as of a position. The same seed, options and position (--at)
    draw the same runs, whoever draws. With --output the sample becomes a folder: a file of events for each run, in JSON
    lines, and a manifest.json with seed, filters, position, population and checksums; the same sample gives the same bytes.
    """
    from runfold.errors import UsageError

    if happened_at is not None and output is not None:
        raise UsageError("--output keeps what was recorded by a position; leave out --happened-at, or --output")
    with asking(call, "run_summaries", fold=fold, at=at, happened_at=happened_at) as reading:
        sample = reading.sample_runs(seed, **asked)
        made = None if output is None else _export(call, sample, output)
    if call.json:
        said = {**as_json(sample.standing), **sample.model_dump(mode="json", exclude={"standing"})}
        call.answer({**said, **({} if made is None else {"folder": output, "files": [each.file for each in made.runs]})})
        return
    _print(call, sample)
    if made is not None:
        from runfold.terminal.text import counted, shown

        events = sum(each.events for each in made.runs)
        call.out.print(shown(f"{counted(events, 'event')} of {counted(made.drawn, 'run')} in {output}"), soft_wrap=True)


def _export(call: Call, sample: "RunSample", folder: str) -> "SampleManifest":
    from runfold.export.run_samples import export_sample
    from runfold.terminal.progress import progress_bar

    with call.ledger() as ledger, progress_bar(call.err, "Exporting", "runs") as told:
        return export_sample(ledger, sample, folder, told)


def _print(call: Call, sample: "RunSample") -> None:
    from runfold.terminal.console import print_whole
    from runfold.terminal.tables import table
    from runfold.terminal.text import counted, left_out, shown

    rows = ((str(number), run.run_id, run.thread_id, run.digest) for number, run in enumerate(sample.runs, 1))
    print_whole(call.out, table(("#drawn", "id", "thread", "sha256 of seed and id"), rows))
    if len(sample.runs) < sample.n:
        said = f"the population is smaller than the {sample.n:,} asked for, so all of it is drawn"
        call.out.print(said, style="yellow", soft_wrap=True)
    drawn = f"{len(sample.runs):,} of {counted(sample.population, 'run')}, by the seed {sample.seed!r}"
    call.out.print(shown(f"{drawn}, as of position {sample.standing.position}", "dim"), soft_wrap=True)
    if remark := left_out(sample.standing.superseded_threads):
        call.out.print(remark, style="dim", soft_wrap=True)
    call.note(f"The same again: --at {sample.standing.position} with the same seed and options.")
