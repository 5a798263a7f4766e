"""`runfold projections` and `rows`: how far each read model is, and what it holds."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.lists import Every, answer, asking, page_of, print_page
from runfold.cli.calling.options import At, Cursor, Fold, Limit

if TYPE_CHECKING:
    from runfold.ledger import Ledger
    from runfold.projector.status import ProjectionStatus


def projections(
    call: Call,
    action: Annotated[
        str | None, typer.Argument(metavar="[retry|drop", help="Retry a read model that has stopped, or drop one of yours.")
    ] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME]", help="The read model.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before dropping.")] = False,
) -> None:
    """Show the read models: their positions, how far they are behind, their workers, and why one has stopped.

    `retry NAME` resumes one that has stopped, once its projection was fixed and its worker restarted. `drop NAME` drops the
    tables and the progress of a projection of yours that no worker folds any more; events are not touched.
    """
    from runfold.errors import UsageError

    if action not in {None, "retry", "drop"} or (action is None) != (name is None):
        raise UsageError("use `runfold projections`, `runfold projections retry NAME`, or `runfold projections drop NAME`")
    with call.ledger() as ledger:
        if name is not None:
            _retry(call, ledger, name) if action == "retry" else _drop(call, ledger, name, yes=yes)
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


def _drop(call: Call, ledger: "Ledger", name: str, *, yes: bool) -> None:
    from runfold.errors import UsageError

    if not yes and not call.is_confirmed(f"Drop the read model {name} and its rows?"):
        raise UsageError("nothing was dropped; give --yes to drop it without being asked")
    ledger.drop_projection(name)
    if call.json:
        call.answer({"dropped": name})
    else:
        call.out.print(f"{name} is dropped; its events are untouched", soft_wrap=True)


def _print(call: Call, found: "list[ProjectionStatus]") -> None:
    from runfold.terminal.console import print_whole
    from runfold.terminal.read_models import projection_table
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
    with asking(call, name, fold=fold, at=at) as reading:
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
    from runfold.queries.lists.column_values import read_condition

    found: dict[str, tuple[Any, ...]] = {}
    for text in where:
        name, value = read_condition(projection, text)
        found[name] = (*found.get(name, ()), value)
    return found
