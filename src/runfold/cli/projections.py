"""`runfold work` and `runfold projections`: who folds, and how the read models are."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call

if TYPE_CHECKING:
    import threading

    from runfold.ledger import Ledger
    from runfold.projector.status import ProjectionStatus

_STYLES = {"up to date": "green", "catching up": "yellow", "being built": "yellow", "retrying": "red", "stopped": "bold red"}
_PATIENCE_SECONDS = 10.0


def work(
    call: Call,
    once: Annotated[bool, typer.Option("--once", help="Fold what is there now, then end.")] = False,
    projection: Annotated[
        list[str] | None,
        typer.Option(
            "--projection",
            metavar="NAME|MODULE:CLASS",
            help="Only these read models (may be repeated); your own as module:Class.",
        ),
    ] = None,
    until_input_ends: Annotated[
        bool, typer.Option("--until-input-ends", help="End when standard input does, as that of a server that was killed.")
    ] = False,
) -> None:
    """Fold the log into the read models, and keep them up until Ctrl-C.

    As many workers may run as you like, on as many machines: they share the read models, and when one dies the others
    take over what it had. With --once, exit 1 if a read model has stopped at an event that it cannot take in.
    """
    names = tuple(projection or ())
    with call.ledger() as ledger:
        if once:
            _fold_once(call, ledger, names)
        else:
            _work_on(call, ledger, names, until_input_ends=until_input_ends)


def _fold_once(call: Call, ledger: "Ledger", names: tuple[str, ...]) -> None:
    from runfold.projections.registry import chosen

    as_of = catch_up(call, ledger, names)
    wanted = chosen(names)
    found = [status for status in ledger.projections() if status.name in wanted]
    stopped = [status for status in found if status.state == "stopped"]
    if call.json:
        call.answer({"as_of": as_of, "ok": not stopped, "projections": [status.model_dump(mode="json") for status in found]})
    else:
        from runfold.cli.terminal import counted, shown

        done = len({status.name for status in found} - {status.name for status in stopped})
        call.out.print(f"{counted(done, 'read model')} folded, as of position {as_of}", soft_wrap=True)
        for status in stopped:
            call.err.print(shown(status.error or "", "red"), soft_wrap=True)
    if stopped:
        raise typer.Exit(1)


def _work_on(call: Call, ledger: "Ledger", names: tuple[str, ...], *, until_input_ends: bool) -> None:
    import signal
    import threading

    from runfold import logs
    from runfold.projections.registry import chosen
    from runfold.projector.worker import Worker

    logs.configure(ledger.settings.log_level)
    wanted = chosen(names)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    worker = Worker(ledger.database.datastore(ledger.settings.connect_timeout, projector=True), wanted)
    worker.when_stored = ledger.history.saw
    if until_input_ends:
        threading.Thread(target=_end_with_input, args=(stop,), daemon=True).start()
    else:
        call.note(f"Folding {', '.join(sorted(wanted))}; Ctrl-C ends it, and nothing is lost.")
    try:
        worker.run(stop)
    finally:
        worker.close()


def _end_with_input(stop: "threading.Event") -> None:
    """Stop once nobody can write to standard input any more; at once, if that takes longer than a page should."""
    import os
    import time

    while os.read(0, 1024):
        pass
    stop.set()
    time.sleep(_PATIENCE_SECONDS)
    os._exit(1)  # nothing is lost: a page is stored whole, or folded again


def projections(
    call: Call,
    action: Annotated[str | None, typer.Argument(metavar="[retry", help="Let a read model that has stopped go on.")] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME]", help="Which one.")] = None,
) -> None:
    """Show the read models: how far each is, how far behind, who folds it, and why one has stopped.

    `retry NAME` lets one that has stopped go on, once its projection was mended and its worker started again.
    """
    from runfold.errors import UsageError

    if (action, name is None) not in {(None, True), ("retry", False)}:
        raise UsageError("say `runfold projections`, or `runfold projections retry NAME`")
    with call.ledger() as ledger:
        if name is not None:
            _retry(call, ledger, name)
            return
        found = ledger.projections()
    if call.json:
        call.answer({"items": [{**status.model_dump(mode="json"), "behind_events": status.behind_events} for status in found]})
        return
    _print(call, found)


def _retry(call: Call, ledger: "Ledger", name: str) -> None:
    had_stopped = ledger.retry(name)
    if call.json:
        call.answer({"name": name, "had_stopped": had_stopped})
        return
    said = "will be tried again by its worker" if had_stopped else "had not stopped; nothing was changed"
    call.out.print(f"{name} {said}", soft_wrap=True)


def _print(call: Call, found: "list[ProjectionStatus]") -> None:
    from runfold.cli.terminal import counted, print_whole, shown, table

    rows = [
        (
            status.name,
            status.version,
            shown(status.state, _STYLES.get(status.state, "")),
            "" if status.position is None else status.position,
            status.behind_events,
            _seconds(status.behind_seconds),
            status.worker or "",
        )
        for status in found
    ]
    heads = ("name", "#version", "state", "#position", "#behind", "#for", "worker")
    print_whole(call.out, table(heads, rows, wraps="worker"))
    for status in found:
        if status.error:
            call.out.print(shown(f"{status.name}: {status.error}", "red"), soft_wrap=True)
    head = found[0].head if found else 0
    call.out.print(f"{counted(len(found), 'read model')}; the ledger is at position {head}", style="dim", soft_wrap=True)


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.1f} s"


def catch_up(call: Call, ledger: "Ledger", names: tuple[str, ...] = ()) -> int:
    """Fold what is there, with a progress bar; returns the position."""
    from runfold.cli.progress import progress_bar

    with progress_bar(call.err, "Folding", "events") as told:
        return ledger.fold(*names, progress=lambda done, total: told(done, total, ""))


Fold = Annotated[bool, typer.Option("--fold", help="Catch the read models up first, as `runfold work --once` does.")]


def ready(call: Call, ledger: "Ledger", *names: str, fold: bool) -> None:
    """Before read models are read: fold what is new if that was asked for, else say how far behind they are.

    Raises ReadModelBehind where one was never begun.
    """
    if fold:
        catch_up(call, ledger, names)
        return
    standing = ledger.now.read_models.standing(*names)
    if standing.behind_events:
        behind = f"{standing.behind_events:,} events ({_seconds(standing.behind_seconds)})"
        call.note(f"as of position {standing.position}, {behind} behind; --fold catches up first, `runfold work` keeps up")


def as_json(standing: Any) -> dict[str, Any]:
    """What every answer from read models says of itself."""
    return {
        "as_of": standing.position,
        "behind_events": standing.behind_events,
        "behind_seconds": standing.behind_seconds,
    }
