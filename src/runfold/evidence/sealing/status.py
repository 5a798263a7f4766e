"""How the sealing of the log stands: how far it is, since when the oldest event waits, and whether anything was amiss."""

from datetime import datetime
from typing import NamedTuple

from runfold.store.queries import named_queries
from runfold.store.reading.reader import Reader

_QUERIES = named_queries("runfold.evidence.sealing", "status.sql")


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


class WitnessStatus(NamedTuple):
    """A witness that the sealer asks."""

    witness: str
    """Its address."""
    signed_at: datetime | None
    """When it signed last; None where it never did."""
    failing_seconds: float
    """For how long it has not signed what it was asked to; 0 where it did."""
    error: str | None


class PlaceStatus(NamedTuple):
    """A place to which a sealer publishes checkpoints."""

    place: str
    """A folder, a repository or an address."""
    published_at: datetime | None
    """When it had all that there was last; None where it never did."""
    failing_seconds: float
    """For how long it could not be given a checkpoint; 0 where it has the last one."""
    error: str | None


def place_statuses(reader: Reader) -> list[PlaceStatus]:
    """Return how each place does. Raises LedgerUnavailable."""
    return [PlaceStatus(*row) for row in reader.rows(_QUERIES["places"])]


def witness_statuses(reader: Reader) -> list[WitnessStatus]:
    """Return how each witness does. Raises LedgerUnavailable."""
    return [WitnessStatus(*row) for row in reader.rows(_QUERIES["witnesses"])]


def seal_status(reader: Reader) -> SealStatus:
    """Return how sealing stands. Raises LedgerUnavailable."""
    (row,) = reader.rows(_QUERIES["status"])
    return SealStatus(*row)
