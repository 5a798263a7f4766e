"""How the sealing of the log stands: how far it is, since when the oldest event waits, and whether anything was amiss."""

from datetime import datetime
from typing import NamedTuple

from runfold.store.queries import named_queries
from runfold.store.reader import Reader

_QUERIES = named_queries("runfold.evidence", "status.sql")


class SealStatus(NamedTuple):
    """The sealed log at a glance."""

    position: int
    """Up to where all events are sealed; 0 where nobody has sealed any."""
    sealed_at: datetime
    """When a sealer looked last."""
    trees: int
    unsealed_events: int
    unsealed_seconds: float
    """Age of the oldest event that is not sealed yet."""
    alarms: int
    """Events that were lost before they were sealed, or came in behind what was."""
    first_alarm: str | None


def seal_status(reader: Reader) -> SealStatus:
    """Return how sealing stands. Raises LedgerUnavailable."""
    (row,) = reader.rows(_QUERIES["status"])
    return SealStatus(*row)
