"""`runfold evidence` and `runfold prove-absence`: bundles that somebody without Runfold, and without trust in it, can verify."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.audit.receipts import told_in
from runfold.cli.calling.call import Call
from runfold.cli.calling.former_words import formerly
from runfold.cli.calling.identity import Who, actor_for
from runfold.cli.calling.options import At
from runfold.cli.operate.database import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runfold.evidence.bundles.answers import AnswerAsked
    from runfold.evidence.bundles.bundle import Made
    from runfold.evidence.bundles.samples import SampleAsked
    from runfold.proofs.receipt import ToldEvent

_Output = Annotated[
    Path,
    typer.Option("--output", metavar="FOLDER", help="The folder that the bundle is made in, or a .zip; nothing is there yet."),
    formerly("--out"),
]
_LeftOut = Annotated[
    list[str] | None,
    typer.Option(
        "--leave-out",
        metavar="TYPE",
        help="Leave out the payloads of events of this type, as 'message.*' or '*'; the proofs stay whole (may be repeated).",
    ),
]
_Timestamp = Annotated[
    str | None,
    typer.Option(
        "--timestamp-url",
        metavar="URL",
        help="An authority (RFC 3161) to stamp the checkpoint with the time; else RUNFOLD_SEAL_TIMESTAMP_URL.",
    ),
]
_Witnesses = Annotated[
    list[str] | None,
    typer.Option("--witness", metavar="URL", help="A witness to sign the checkpoint, too (may be repeated)."),
]


def evidence(
    call: Call,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="THREAD|RUN|APPROVAL…", help="What it is about; the whole thread goes in.")
    ] = None,
    *,
    output: _Output = Path("evidence"),
    every: Annotated[
        bool,
        typer.Option("--all", help="All events of the tenant; with --sample, the leaf of every event beside its threads."),
    ] = False,
    answer: Annotated[
        str | None,
        typer.Option("--answer", metavar="READ_MODEL", help="Rows of this read model, and the events that they are made of."),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="VALUE",
            help="The row's key, its values in order; fewer for all rows that begin so (may be repeated).",
        ),
    ] = None,
    receipt: Annotated[
        Path | None,
        typer.Option("--receipt", metavar="FILE", help="The single events of a receipt that was kept: were they sealed as told?"),
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="A sample of runs, drawn by --seed from those that the options below find.")
    ] = False,
    seed: Annotated[
        str | None,
        typer.Option("--seed", metavar="TEXT", help="What is drawn by: any text, such as 2026-Q3. The same draws the same runs."),
    ] = None,
    at: At = None,
    leave_out: _LeftOut = None,
    witness: _Witnesses = None,
    timestamp_url: _Timestamp = None,
    who: Who = None,
    **asked: Any,
) -> None:
    """Make a bundle of evidence: all sealed events of threads, and what proves them to somebody who trusts nobody here.

    It holds the events, their leaves, the proofs that the leaves are under a signed checkpoint, the proof that no event of the
    thread is missing, a report to read, and a MANIFEST. `runfold-verify FOLDER --policy FILE` verifies it offline, with Python
    and `cryptography` alone. With --answer and --key it holds rows of a read model as of the checkpoint, too, and payloads of the
    events that they are made of; `runfold-verify --refold` folds these anew, and compares. With --sample it holds the threads of
    runs that are drawn as `runfold sample runs` draws them, as of the checkpoint or of --at before it, and all runs that they are
    drawn from; whether these are all that there are is proven where the log tells it (--all), or where --thread narrows them.
    The same events and the same checkpoint make the same bytes. Exit 5 if it does not prove what it should, as after the log
    was changed.
    """
    from runfold.errors import UsageError
    from runfold.evidence.bundles.answers import AnswerAsked
    from runfold.evidence.bundles.samples import SampleAsked
    from runfold.queries.runs.sample import require_sample

    ways = [bool(ids), every and not sample, answer is not None, sample, receipt is not None]
    if ways.count(True) != 1:
        known = "name threads, runs or approvals, or give --all for the whole log, --answer for rows, --sample, or --receipt"
        raise UsageError(f"{known}; one of them")
    if bool(key) != (answer is not None):
        raise UsageError(
            "--answer names a read model, and --key a row in it; give both, as in --answer run_summaries --key run_1"
        )
    if sample != (seed is not None) or (asked and not sample):
        raise UsageError("what narrows runs narrows a sample, which is drawn by a seed; give --sample and --seed, as in 2026-Q3")
    require_sample(at, is_there=sample)
    rows = None if answer is None else AnswerAsked(answer, tuple(key or ()))
    drawn = None if seed is None else SampleAsked(seed, asked, every, None if at is None else call.moment(at))
    told = () if receipt is None else told_in(receipt)
    _tell(call, _make(call, ids or [], output, leave_out, witness, timestamp_url, who, answer=rows, sample=drawn, told=told))


def prove_absence(
    call: Call,
    *,
    type: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="Only events of this type are looked for, as approval.granted.")
    ],
    of_call: Annotated[
        str | None, typer.Option("--call", metavar="CALL", help="Only approvals of this tool call, and what else names it.")
    ] = None,
    thread: Annotated[
        str | None, typer.Option("--thread", metavar="THREAD", help="Only this thread, which goes in whole.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All threads of the tenant; the leaves of all events go in.")] = False,
    output: _Output = Path("evidence"),
    leave_out: _LeftOut = None,
    witness: _Witnesses = None,
    timestamp_url: _Timestamp = None,
    who: Who = None,
) -> None:
    """Make a bundle from which anybody finds that there is no event of a type; exit 5 if there is, or if that is not provable.

    It holds the whole thread; with --all it is about all threads, and holds the leaf of every event, which tells its type and
    nothing that was said. `runfold-verify` looks for the event itself: it takes nobody's word for its absence. With --call
    only streams count in which an event names the call; those of which payloads are left out might, so keep them in.
    """
    from runfold.errors import UsageError

    if every == (thread is not None):
        raise UsageError("say where there is none: in one --thread, or in --all; one of the two")
    threads = [] if thread is None else [thread]
    _tell(call, _make(call, threads, output, leave_out, witness, timestamp_url, who, absence=(type, of_call)))


def _make(
    call: Call,
    ids: list[str],
    output: Path,
    leave_out: list[str] | None,
    witnesses: list[str] | None,
    timestamp_url: str | None,
    who: str | None,
    absence: tuple[str, str | None] | None = None,
    answer: "AnswerAsked | None" = None,
    sample: "SampleAsked | None" = None,
    told: "Sequence[ToldEvent]" = (),
) -> "Made":
    from runfold.evidence.bundles.bundle import BundleMaker
    from runfold.evidence.sealing.signing import known_publics
    from runfold.file_errors import at_home
    from runfold.terminal.progress import progress_bar

    with call.ledger() as ledger, progress_bar(call.err, "Writing", "events") as show:
        maker = BundleMaker(
            ledger,
            leave_out or (),
            lambda done, total: show(done, total, ""),
            witnesses or (),
            {"actor": actor_for(call, who)},
            timestamp_url or ledger.settings.seal_timestamp_url,
            known_publics(ledger.settings.seal_key_file),
        )
        return maker.make(at_home(output), ids, absence=absence, answer=answer, sample=sample, told=told)


def _tell(call: Call, made: "Made") -> None:
    from runfold.proofs.verify import as_json, as_lines
    from runfold.terminal.text import counted

    if call.json:
        told = {"unsealed_events": made.unsealed, "signature_verified": made.signature_verified}
        call.answer({"folder": str(made.folder), **told, **as_json(made.findings)})
    else:
        if not made.signature_verified:
            call.note("the checkpoint's signature was not verified: the keys are not on this machine; `runfold-verify` does it")
        if made.unsealed:
            call.note(
                f"{counted(made.unsealed, 'event')} of the ledger not sealed yet, and not in it; `runfold seal now` seals them"
            )
        for line in as_lines(made.findings):
            call.out.print(line, soft_wrap=True, highlight=False, markup=False)
        call.out.print(f"{counted(made.events, 'event')} in {made.folder}", style="dim", soft_wrap=True, highlight=False)
    if not made.findings.proven:
        raise typer.Exit(DAMAGE)
