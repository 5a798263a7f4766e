"""Rebuilds: what was folded again, and which rows differ from those in use."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from runfold.terminal.console import print_whole
from runfold.terminal.tables import table
from runfold.terminal.text import counted, shown

if TYPE_CHECKING:
    from runfold.projector.rebuilding.rebuilt import Rebuilt

_MOST_EVENTS = 5


def print_rebuilt(out: Console, found: "list[Rebuilt]", seconds: float, *, with_rows: bool) -> None:
    """Print what was rebuilt; with the rows that differ and the events behind them where that is asked for."""
    print_whole(out, rebuilt_table(found))
    for each in found:
        if each.not_compared:
            out.print(shown(f"{each.name}: not compared; {each.not_compared}", "yellow"), soft_wrap=True)
        if each.compared and each.compared.different:
            out.print(shown(_differing(each.name, each.compared.different), "yellow"), soft_wrap=True)
            for example in each.compared.examples if with_rows else ():
                _print_row(out, example)
    out.print(f"{counted(len(found), 'read model')} in {seconds:.1f} s", style="dim", soft_wrap=True)


def rebuilt_table(rebuilt: "Iterable[Rebuilt]") -> Table:
    """Draw read models that were rebuilt."""
    rows = (
        (
            each.name,
            "in use" if each.switched else "dropped",
            each.position,
            "" if each.compared is None else each.compared.rows,
            "" if each.compared is None else each.compared.different,
        )
        for each in rebuilt
    )
    return table(("name", "new table", "#filled to", "#compared", "#different"), rows, wraps="name")


def _differing(name: str, number: int) -> str:
    return f"{name}: {counted(number, 'row')} {'differs' if number == 1 else 'differ'}"


def _print_row(out: Console, example: Any) -> None:
    key = " ".join(str(part) for part in example.key[1:])
    if example.lacking:
        where = "new table" if example.lacking == "new" else "table in use"
        out.print(shown(f"  {key}: not in the {where}"), soft_wrap=True)
    for column, (old, new) in example.columns.items():
        out.print(shown(f"  {key}: {column} was {old!r}, and is {new!r}"), soft_wrap=True)
    events = ", ".join(f"{position} {kind}" for position, kind in example.events[:_MOST_EVENTS])
    more = " …" if len(example.events) > _MOST_EVENTS else ""
    out.print(shown(f"    from the events at {events}{more}", "dim"), soft_wrap=True)
