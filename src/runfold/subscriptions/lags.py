"""How far subscriptions are behind, for those who look after a server."""

from typing import NamedTuple

from runfold.store.queries import named_queries
from runfold.store.reading.reader import Reader

_QUERIES = named_queries("runfold.subscriptions", "subscriptions.sql")


class Lag(NamedTuple):
    """How the subscriptions of a name stand, whosever they are: the worst of each."""

    name: str
    positions: int
    """Behind the head."""
    seconds: float
    """Since the first event behind them was recorded."""
    leased: int
    waiting: int
    parked: int


def lags(reader: Reader) -> list[Lag]:
    """Return it by name. Raises LedgerUnavailable."""
    return [Lag(*row) for row in reader.rows(_QUERIES["lags"])]
