"""What all lists from read models share: how much of them, in which order, and how a page is answered."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.projections import as_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from runfold.queries.read_models import Page

Some = list[str] | None
"""Values of an option that may be given several times: any of them will do."""
Limit = Annotated[int, typer.Option("--limit", help="How many at most, 1 to 1000.")]
Cursor = Annotated[str | None, typer.Option("--cursor", metavar="CURSOR", help="The next page, as the page before named it.")]
Order = Annotated[str | None, typer.Option("--order", metavar="asc|desc", help="Which way round.")]


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
    """Print a page for a machine; `items` where there is more to say than its rows."""
    rows = [row.model_dump(mode="json") for row in page.items] if items is None else items
    call.answer({**as_json(page.standing), "items": rows, "next_cursor": page.next_cursor})


def conclude(call: Call, page: "Page[Any]", noun: str) -> None:
    """Under a page for a person: how many, as of when, and where it goes on."""
    from runfold.cli.terminal import counted

    said = f"{counted(len(page.items), noun)} as of position {page.standing.position}"
    call.out.print(said, style="dim", soft_wrap=True)
    if page.next_cursor:
        call.out.print(f"more: the same with --cursor {page.next_cursor}", style="dim", soft_wrap=True)


def on_day(moment: "datetime | None") -> str:
    """A time to the minute, in UTC."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
