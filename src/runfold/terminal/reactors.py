"""What happens by itself, drawn: who carries it out, and what was done."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from runfold.terminal import styles
from runfold.terminal.tables import table
from runfold.terminal.text import seconds, to_the_minute

if TYPE_CHECKING:
    from runfold.queries.reactors import ReactorStatus


def reactor_table(reactors: "Iterable[ReactorStatus]") -> Table:
    """Draw reactors and how each stands."""
    rows = (
        (
            status.name,
            Text(status.state, styles.REACTOR.get(status.state, "")),
            ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in sorted(status.done.items())) or "nothing yet",
            to_the_minute(status.did_at),
            seconds(status.behind_seconds),
            status.worker or "",
        )
        for status in reactors
    )
    return table(("name", "state", "did", "last (UTC)", "#late", "worker"), rows, wraps="worker")
