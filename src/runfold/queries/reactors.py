"""How what happens by itself stands: who carries it out, what was done, and how late it is."""

from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from runfold.history.views import View
from runfold.store.queries import named_queries
from runfold.store.reader import Reader

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


def reactor_statuses(reader: Reader) -> list[ReactorStatus]:
    """Return every reactor that was ever carried out. Raises LedgerUnavailable."""
    with reader.datastore.reading() as connection, connection.cursor(row_factory=class_row(ReactorStatus)) as cursor:
        return cursor.execute(_QUERIES["statuses"]).fetchall()
