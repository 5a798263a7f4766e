"""What a source of the feed gives at a time, and the port that the log and an event stream of a server fill in."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from runfold.domain.recorded import Recorded
from runfold.store.cursor import Cursor


class Looked(NamedTuple):
    """Holds events that are wanted, up to which place was looked for them, and what else there is to tell."""

    place: Cursor
    events: Sequence[Recorded] = ()
    is_caught_up: bool = False
    """All that was recorded when it began has been given."""
    is_over: bool = False
    """Nothing more is to come."""


class Source(Protocol):
    """Looks on through the log, from where it began."""

    @property
    def begun(self) -> Cursor:
        """Return the place after which it began."""

    def look(self) -> Looked:
        """Look on, waiting for as long as it takes. Raises LedgerError where it cannot go on."""

    def stop(self) -> None:
        """Let `look` return soon, in whichever thread it waits."""

    def close(self) -> None:
        """Give back what is held."""
