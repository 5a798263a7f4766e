"""`runfold work`: the worker, and the processes in which it folds."""

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.folding import catch_up, left_alone, reactor_kinds

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runfold.ledger import Ledger
    from runfold.projections.projection import AnyProjection

_PATIENCE_SECONDS = 10.0


def work(
    call: Call,
    once: Annotated[bool, typer.Option("--once", help="Fold the events that are there now, then exit.")] = False,
    projection: Annotated[
        list[str] | None,
        typer.Option(
            "--projection",
            metavar="NAME|MODULE:CLASS",
            help="Only this read model (may be repeated); your own as module:Class.",
        ),
    ] = None,
    until_input_ends: Annotated[
        bool,
        typer.Option("--until-input-ends", help="Exit when standard input closes, as it does when the parent process is killed."),
    ] = False,
    in_process: Annotated[
        bool,
        typer.Option("--in-process", help="Fold in this very process: then nothing ends a fold that does not return."),
    ] = False,
    sweep: Annotated[
        bool,
        typer.Option("--sweep/--no-sweep", help="Let approvals expire, and what else RUNFOLD_SWEEP says; not with --once."),
    ] = True,
    deliver: Annotated[
        bool, typer.Option("--deliver/--no-deliver", help="Send to webhooks, and to callback_url of runs; not with --once.")
    ] = True,
    seal: Annotated[
        bool, typer.Option("--seal/--no-seal", help="Seal the log, so that whoever changes it is caught; not with --once.")
    ] = True,
    watched: Annotated[int | None, typer.Option("--watched", hidden=True)] = None,
    react: Annotated[list[str] | None, typer.Option("--react", hidden=True)] = None,
) -> None:
    """Fold the log into the read models, and keep them up to date until Ctrl-C.

    Any number of workers may run, on any number of machines: they share the read models, and when one dies the others take
    over its read models. It folds in a process of its own: one whose fold takes longer than RUNFOLD_FOLD_TIMEOUT over an event
    is ended and tried again, apart from the others. With --once, exit 1 if a read model has stopped at an event that it
    cannot fold. What is due by itself, such as the expiry of an approval, is done by one more process, and
    the log is sealed by another, which lets all others go first (see `runfold sweep` and `runfold seal`).
    """
    from runfold.projections.registry import chosen

    names = tuple(projection or ())
    with call.ledger() as ledger:
        if react:
            _react_here(ledger, react)
        elif watched is not None or in_process:
            kinds = reactor_kinds(sweep=sweep, deliver=deliver, seal=seal) if watched is None and not once else []
            with _reacting(ledger, kinds):
                _fold_here(call, ledger, chosen(names), watched, once=once, until_input_ends=until_input_ends)
        elif once:
            _fold_once(call, ledger, names)
        else:
            _work_on(
                call, ledger, names, reactor_kinds(sweep=sweep, deliver=deliver, seal=seal), until_input_ends=until_input_ends
            )


def _fold_once(call: Call, ledger: "Ledger", names: tuple[str, ...]) -> None:
    from runfold.projections.registry import chosen

    as_of = catch_up(call, ledger, names)
    wanted = chosen(names)
    found = [status for status in ledger.projections() if status.name in wanted]
    stopped, left = [status for status in found if status.state == "stopped"], left_alone(ledger, names)
    if call.json:
        call.answer({"as_of": as_of, "ok": not stopped, "projections": [status.model_dump(mode="json") for status in found]})
    else:
        from runfold.terminal.text import counted, shown

        done = len({status.name for status in found} - {status.name for status in stopped} - left.keys())
        call.out.print(f"{counted(done, 'read model')} folded, as of position {as_of}", soft_wrap=True)
        for status in stopped:
            call.err.print(shown(status.error or "", "red"), soft_wrap=True)
        for fact in left.values():
            call.note(fact)
    if stopped:
        raise typer.Exit(1)


def _react_here(ledger: "Ledger", kinds: "Sequence[str]") -> None:
    """Carry out what happens by itself in this process, until standard input closes."""
    import signal
    import threading

    from runfold import logs
    from runfold.child import give_way
    from runfold.cli.calling.folding import GIVE_WAY, reactor_loop

    logs.configure(ledger.settings.log_level)
    if GIVE_WAY.issuperset(kinds):
        give_way()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_end_with_input, args=(stop,), daemon=True).start()
    reactor_loop(ledger, kinds).run(stop)


@contextlib.contextmanager
def _reacting(ledger: "Ledger", kinds: "Sequence[str]") -> "Iterator[None]":
    """Carry out what happens by itself in a thread of this process, for as long as the block goes on."""
    import threading

    if not kinds:
        yield
        return
    from runfold.cli.calling.folding import reactor_loop

    stop = threading.Event()
    thread = threading.Thread(target=reactor_loop(ledger, kinds).run, args=(stop,), name="runfold-reacting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_PATIENCE_SECONDS)


def _work_on(call: Call, ledger: "Ledger", names: tuple[str, ...], kinds: "Sequence[str]", *, until_input_ends: bool) -> None:
    """Look after processes that fold, until told to stop."""
    import signal
    import threading

    from runfold import logs
    from runfold.cli.calling.folding import reacting, run_until_stopped, supervisor

    logs.configure(ledger.settings.log_level)
    options = ["--json"] if call.json else []
    looking_after, wanted = supervisor(ledger, names, gives_up=True, options=options, beside=reacting(kinds))
    signal.signal(signal.SIGTERM, lambda *_: looking_after.stop())
    if until_input_ends:
        threading.Thread(target=_with_input, args=(looking_after.stop,), daemon=True).start()
    else:
        call.note(f"Folding {', '.join(sorted(wanted))}; press Ctrl-C to stop; nothing is lost.")
    run_until_stopped(ledger, looking_after)


def _fold_here(
    call: Call,
    ledger: "Ledger",
    wanted: "Mapping[str, AnyProjection]",
    watched: int | None,
    *,
    once: bool,
    until_input_ends: bool,
) -> None:
    """Fold in this process, which another may watch over."""
    import signal
    import threading

    from runfold import logs
    from runfold.projector.connection import end_without_memory
    from runfold.projector.folding.marks import Marks
    from runfold.projector.worker import Worker

    logs.configure(ledger.settings.log_level)
    seconds = 2 * ledger.settings.fold_timeout + _PATIENCE_SECONDS
    marks = Marks() if watched is None else Marks.watched(watched, wanted, seconds)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    datastore = ledger.database.datastore(ledger.settings.connect_timeout, projector=True)
    worker = Worker(datastore, wanted, marks=marks, tries_out=ledger.settings.try_folds)
    worker.when_stored = ledger.history.saw
    if until_input_ends or watched is not None:
        threading.Thread(target=_end_with_input, args=(stop,), daemon=True).start()
    elif not once:
        call.note(f"Folding {', '.join(sorted(wanted))}; press Ctrl-C to stop; nothing is lost.")
    end_without_memory()
    try:
        if once:
            worker.catch_up(marks.tell)
        else:
            worker.run(stop)
    finally:
        worker.close()


def _with_input(stop: "Callable[[], None]") -> None:
    """Stop once standard input closes."""
    import os

    while os.read(0, 1024):
        pass
    stop()


def _end_with_input(stop: "threading.Event") -> None:
    """Stop once standard input closes, and exit at once if that takes longer than a page should."""
    import os
    import time

    _with_input(stop.set)
    time.sleep(_PATIENCE_SECONDS)
    os._exit(1)  # nothing is lost: a page is stored whole or folded again
