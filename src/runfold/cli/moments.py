"""`runfold moments`: the whole ledger as of a moment, prepared for questions about the past, and dropped when unused."""

from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.call import Call

if TYPE_CHECKING:
    from runfold.queries.moments import MomentView

HELP = """Prepare, list and drop moments: read models of the whole ledger as of a position or a time.

Questions over HTTP with `as_of` that are about more than some threads or runs are answered from a moment of the same tenant
(RUNFOLD_TENANT). One that nobody has used for a while is dropped; for a schema of your own that stays, see `runfold rebuild`."""

_STYLES = {"ready": "green", "running": "cyan", "waiting": "yellow", "failed": "red"}


def prepare(
    call: Call,
    moment: Annotated[str, typer.Argument(metavar="P|TIME", help="A position, or a time of the store.")],
    *,
    expires_in: Annotated[
        str | None,
        typer.Option("--expires-in", metavar="TIME", help="Kept for so long after its last use: 90s, 15m, 1h (the default), 7d."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes that fold side by side.")] = 2,
) -> None:
    """Fold all read models as of a moment, and keep them for as long as they are used. The same again is the same.

    One that was killed half-way is begun again by the next call, or by a server that runs.
    """
    from runfold.cli.progress import progress_bar

    with call.ledger() as ledger, progress_bar(call.err, "Folding the past", "events") as told:
        made = ledger.prepare(
            moment, expires_in=expires_in, processes=workers, progress=lambda done, total: told(done, total, "")
        )
    if call.json:
        call.answer(made.model_dump(mode="json"))
        return
    from runfold.cli.pages import on_day

    call.out.print(f"{made.id} is {made.state}, as of position {made.position}", soft_wrap=True)
    call.note(f"Ask with as_of={made.position}. It is dropped at {on_day(made.expires_at)} (UTC), unless it is used before.")


def list_moments(call: Call) -> None:
    """List the moments of this tenant by position: how far each is, and until when it is kept."""
    with call.ledger() as ledger:
        position, found = ledger.position(), ledger.moments()
    if call.json:
        call.answer({"as_of": position, "items": [view.model_dump(mode="json") for view in found]})
        return
    from runfold.cli.pages import on_day
    from runfold.cli.terminal import counted, print_whole, shown, table

    rows = [
        (
            view.id,
            shown(view.state, _STYLES[view.state]),
            view.position,
            _done(view),
            view.asked_by,
            on_day(view.used_at),
            on_day(view.expires_at),
        )
        for view in found
    ]
    print_whole(call.out, table(("id", "state", "#as of", "#folded", "asked by", "used (UTC)", "kept until"), rows))
    call.out.print(counted(len(found), "moment"), style="dim", soft_wrap=True)


def drop(
    call: Call, moment_id: Annotated[str, typer.Argument(metavar="MOMENT", help="As `runfold moments list` shows it.")]
) -> None:
    """Drop a moment. The log and the read models in use are not touched; another tenant that asked for the same keeps it."""
    with call.ledger() as ledger:
        ledger.drop_moment(moment_id)
    if call.json:
        call.answer({"dropped": moment_id})
    else:
        call.out.print(f"{moment_id} is dropped", soft_wrap=True)


def _done(view: "MomentView") -> str:
    return f"{view.done * 100 // view.total}%" if view.total else ""
