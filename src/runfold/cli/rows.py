"""`runfold rows`: what stands in any read model, a user's own too."""

from typing import Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.pages import Cursor, Limit, answer, conclude
from runfold.cli.projections import Fold, ready


def rows(
    call: Call,
    name: Annotated[str, typer.Argument(metavar="NAME|MODULE:CLASS", help="Which read model; your own as module:Class.")],
    where: Annotated[
        list[str] | None, typer.Option("--where", metavar="COLUMN=VALUE", help="Only rows with this value (may be repeated).")
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    fold: Fold = False,
) -> None:
    """Show the rows of a read model, in the order of their keys."""
    from runfold.projections.registry import chosen

    (projection,) = chosen([name]).values()
    equal = _values(projection, where or [])
    with call.ledger() as ledger:
        ready(call, ledger, name if fold else projection.name, fold=fold)
        page = ledger.now.rows(name, limit=limit, cursor=cursor, **equal)
    if call.json:
        answer(call, page)
        return
    from runfold.cli.terminal import one_line, print_whole, table

    names = list(projection.row.model_fields)
    shown_rows = [tuple(_cell(getattr(row, column), one_line) for column in names) for row in page.items]
    print_whole(call.out, table(tuple(names), shown_rows, wraps=names[-1]))
    conclude(call, page, "row")


def _cell(value: Any, one_line: Any) -> str:
    return "" if value is None else one_line(str(value), 60)


def _values(projection: Any, where: list[str]) -> dict[str, Any]:
    from runfold.errors import UsageError
    from runfold.projections.columns import columns_of

    types = {column.name: column.type for column in columns_of(projection.row)}
    found: dict[str, Any] = {}
    for text in where:
        column, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--where takes COLUMN=VALUE, not {text!r}")
        kind = types.get(column)
        if kind == "bigint" and value.lstrip("-").isdigit():
            found[column] = int(value)
        elif kind == "boolean" and value in {"true", "false"}:
            found[column] = value == "true"
        else:
            found[column] = value
    return found
