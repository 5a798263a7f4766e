"""How what happens by itself stands: who carries it out, what was done, and how late it is."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from runfold.history.views import View
from runfold.store.queries import named_queries
from runfold.store.reading.reader import Reader

_QUERIES = named_queries("runfold.queries", "reactors.sql")

ReactorState = Literal["running", "not running", "failing"]


class ReactorStatus(View):
    """One reactor at a glance."""

    name: str
    state: ReactorState
    worker: str | None = None
    """Who carries it out."""
    position: int | None = None
    """The last position that it has taken in, if it follows the log."""
    done: dict[str, int]
    """How often it did what, in all."""
    looked_at: datetime | None = None
    """When it last looked for something to do, to within seconds."""
    did_at: datetime | None = None
    """When it last did something."""
    due_since: datetime | None = None
    """Since when the oldest of what it has still to do has been due."""
    behind_seconds: float = 0.0
    """For how long that is; of one that follows the log, for how long the next event has been in it."""
    error: str | None = None
    """Why it cannot go on."""
    failing_since: datetime | None = None
    failing_seconds: float = 0.0


def reactor_statuses(reader: Reader) -> list[ReactorStatus]:
    """Return every reactor that was ever carried out. Raises LedgerUnavailable."""
    with reader.datastore.reading() as connection, connection.cursor(row_factory=class_row(ReactorStatus)) as cursor:
        return cursor.execute(_QUERIES["statuses"]).fetchall()


def late_reactors(found: Iterable[ReactorStatus], most_seconds: float) -> list[str]:
    """Return one reason for each reactor that has been failing, or has had something to do, for longer than it may.

    What is sent on elsewhere (`relay.…`) says nothing of whether this ledger can be used.
    """
    return [f"{each.name} is {_said(each)}; `runfold reactors` says why" for each in found if _late(each) > most_seconds]


def _late(status: ReactorStatus) -> float:
    if status.state == "not running" or status.name.startswith("relay."):  # the first is nobody's, here or anywhere
        return 0.0
    return max(status.behind_seconds, status.failing_seconds)


def _said(status: ReactorStatus) -> str:
    if status.failing_seconds >= status.behind_seconds:
        return f"failing for {status.failing_seconds:,.0f} s"
    return f"{status.behind_seconds:,.0f} s behind"
