"""`runfold work`, `projections` and `rows`: the worker, how far each read model is, and what it holds."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from runfold.cli.call import Call
from runfold.cli.folding import catch_up
from runfold.cli.lists import Every, answer, asking, page_of, print_page
from runfold.cli.options import At, Cursor, Fold, Limit

if TYPE_CHECKING:
    import threading

    from runfold.ledger import Ledger
    from runfold.projector.status import ProjectionStatus

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
) -> None:
    """Fold the log into the read models, and keep them up to date until Ctrl-C.

    Any number of workers may run, on any number of machines: they share the read models, and when one dies the others take
    over its read models. With --once, exit 1 if a read model has stopped at an event that it cannot fold.
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
        from runfold.terminal.text import counted, shown

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
    from runfold.projector.connection import end_without_memory
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
        call.note(f"Folding {', '.join(sorted(wanted))}; press Ctrl-C to stop; nothing is lost.")
    end_without_memory()
    try:
        worker.run(stop)
    finally:
        worker.close()


def _end_with_input(stop: "threading.Event") -> None:
    """Stop once standard input closes, and exit at once if that takes longer than a page should."""
    import os
    import time

    while os.read(0, 1024):
        pass
    stop.set()
    time.sleep(_PATIENCE_SECONDS)
    os._exit(1)  # nothing is lost: a page is stored whole or folded again


def projections(
    call: Call,
    action: Annotated[str | None, typer.Argument(metavar="[retry", help="Retry a read model that has stopped.")] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME]", help="The read model to retry.")] = None,
) -> None:
    """Show the read models: their positions, how far they are behind, their workers, and why one has stopped.

    `retry NAME` resumes one that has stopped, once its projection was fixed and its worker restarted.
    """
    from runfold.errors import UsageError

    if (action, name is None) not in {(None, True), ("retry", False)}:
        raise UsageError("use `runfold projections`, or `runfold projections retry NAME`")
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
    said = "will be retried by its worker" if had_stopped else "had not stopped; nothing was changed"
    call.out.print(f"{name} {said}", soft_wrap=True)


def _print(call: Call, found: "list[ProjectionStatus]") -> None:
    from runfold.terminal.console import print_whole
    from runfold.terminal.tables import projection_table
    from runfold.terminal.text import counted, shown

    print_whole(call.out, projection_table(found))
    for status in found:
        if status.error:
            call.out.print(shown(f"{status.name}: {status.error}", "red"), soft_wrap=True)
    head = found[0].head if found else 0
    call.out.print(f"{counted(len(found), 'read model')}; the ledger is at position {head}", style="dim", soft_wrap=True)


def rows(
    call: Call,
    name: Annotated[str, typer.Argument(metavar="NAME|MODULE:CLASS", help="The read model; your own as module:Class.")],
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="COLUMN=VALUE",
            help="Only rows with this value in this column, or item in this array; COLUMN=- finds those without one. "
            "May be repeated: different columns must all match, of several values of one any will do.",
        ),
    ] = None,
    order: Annotated[
        Literal["asc", "desc"] | None, typer.Option("--order", metavar="asc|desc", help="Which way round; asc if not given.")
    ] = None,
    limit: Limit = None,
    cursor: Cursor = None,
    every: Every = None,
    at: At = None,
    fold: Fold = False,
) -> None:
    """List the rows of a read model by key."""
    from runfold.projections.registry import chosen

    (projection,) = chosen([name]).values()
    conditions = _conditions(projection, where or [])
    with asking(call, name if fold else projection.name, fold=fold, at=at) as reading:
        ask = partial(reading.rows, name, conditions)
        page = page_of(ask, {"order": order, "limit": limit, "cursor": cursor, "all": every})
    if call.json:
        answer(call, page)
        return
    from runfold.terminal.tables import row_table

    print_page(call, row_table(list(projection.row.model_fields), page.items), page, "row")


def list_of(question: str) -> Callable[..., None]:
    """The function of a list's command that shows all columns."""

    def show(call: Call, *, at: At = None, fold: Fold = False, **asked: Any) -> None:
        with asking(call, fold=fold, at=at) as reading:
            page = page_of(getattr(reading, question), asked)
        if call.json:
            answer(call, page)
            return
        from runfold.terminal.tables import row_table

        columns = [*type(page.items[0]).model_fields] if page.items else [question]
        print_page(call, row_table(columns, page.items), page, "item")

    show.__doc__ = f"List {question.replace('_', ' ')}, with all columns."
    return show


def _conditions(projection: Any, where: list[str]) -> dict[str, tuple[Any, ...]]:
    """The values of each column that is named, of which any will do. Raises UsageError."""
    from runfold.queries.column_values import read_condition

    found: dict[str, tuple[Any, ...]] = {}
    for text in where:
        name, value = read_condition(projection, text)
        found[name] = (*found.get(name, ()), value)
    return found
