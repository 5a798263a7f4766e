"""`runfold search`: words of messages, tool calls, decisions and problems."""

from typing import Annotated, Any

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.lists import answer, asking, page_of, print_page
from runfold.cli.calling.options import At, Fold, HappenedAt


def search(
    call: Call,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WORD...",
            help="What to search for; after -- where a word begins with -.",
        ),
    ],
    *,
    at: At = None,
    happened_at: HappenedAt = None,
    fold: Fold = False,
    **asked: Any,
) -> None:
    """Search the words of messages, tool calls, decisions and problems; what was first spoken of last comes first.

    All words must be there, in any order. '"tea set"' stands for words that follow each other, OR between two asks for either,
    - before one for items without it, and * after one for all that begin so. Paths and ids are found whole and by their parts.
    """
    with asking(call, "search", fold=fold, at=at, happened_at=happened_at) as reading:
        page = page_of(lambda **given: reading.search(" ".join(words), **given), asked)
    if call.json:
        answer(call, page)
        return
    from runfold.terminal.hits import hit_table

    print_page(call, hit_table(page.items), page, "hit")
