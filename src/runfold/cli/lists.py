"""What all lists from read models share: their options, and how a page is answered."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.folding import as_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import RenderableType

    from runfold.queries.page import Page

Some = list[str] | None
"""Values of an option that may be given several times: any of them will do."""
Order = Annotated[str | None, typer.Option("--order", metavar="asc|desc", help="Ascending or descending.")]


def moment(option: str, text: str | None) -> "datetime | None":
    """A time, or nothing. Raises UsageError."""
    from datetime import datetime

    from runfold.errors import UsageError
    from runfold.queries.reading import parse_moment

    if text is None:
        return None
    found = parse_moment(text)
    if not isinstance(found, datetime):
        raise UsageError(f"{option} takes a time such as 2026-01-31T09:30:00Z, not {text!r}", option=option)
    return found


def answer(call: Call, page: "Page[Any]", items: "Sequence[Any] | None" = None) -> None:
    """Print a page as JSON; `items` where it holds more than its rows."""
    rows = [row.model_dump(mode="json") for row in page.items] if items is None else items
    call.answer({**as_json(page.standing), "items": rows, "next_cursor": page.next_cursor})


def print_page(call: Call, drawn: "RenderableType", page: "Page[Any]", noun: str) -> None:
    """Print a page for a person, then how many there are, as of when, and the cursor of the next page."""
    from runfold.terminal.console import print_whole
    from runfold.terminal.text import counted

    print_whole(call.out, drawn)
    said = f"{counted(len(page.items), noun)} as of position {page.standing.position}"
    call.out.print(said, style="dim", soft_wrap=True)
    if page.next_cursor:
        call.out.print(f"more: the same with --cursor {page.next_cursor}", style="dim", soft_wrap=True)
