"""What a search found, drawn with the place marked."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from runfold.terminal.tables import table
from runfold.terminal.text import REPLACED, to_the_minute

if TYPE_CHECKING:
    from runfold.queries.search.excerpts import Excerpt
    from runfold.queries.search.list import Hit

_LINES = str.maketrans("\n\t", "  ")
"""An excerpt on one line, as long as it is."""


def hit_table(hits: "Iterable[Hit]") -> Table:
    """Draw hits, each with its excerpt."""
    heads = ("#position", "what", "words", "run", "first said (UTC)")
    rows = (
        (
            hit.position,
            f"{hit.kind.replace('_', ' ')}: {hit.place.replace('_', ' ')}",
            _marked(hit.excerpt),
            hit.run_id,
            to_the_minute(hit.happened_at),
        )
        for hit in hits
    )
    return table(heads, rows, wraps="words")


def _marked(excerpt: "Excerpt") -> Text:
    found = Text(excerpt.text.translate(_LINES).translate(REPLACED))
    for start, end in excerpt.marks:
        found.stylize("bold yellow", start, end)
    return Text.assemble("…" if excerpt.start else "", found, "…" if excerpt.left else "")
