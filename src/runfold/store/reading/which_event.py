"""Which event it is, where a question about many fails over what one of them holds: an answer that counts or casts names none."""

from collections.abc import Callable
from typing import TypeVar

import psycopg

from runfold.errors import LedgerUnavailable, UnreadableEvent, UnreadableTime, event_at
from runfold.store.reading.reader import Reader

T = TypeVar("T")
_PLACE = "SELECT topic, originator_version, originator_id FROM runfold.log WHERE notification_id = %b"


def ask_about_events(reader: Reader, ask: Callable[[int], T], after: int, up_to: int) -> T:
    """Ask about the events after a position up to another. `ask` is given where they end, and may be called again with less.

    Raises UnreadableTime, UnreadableEvent, each for the first event over which it fails, and LedgerUnavailable.
    """
    try:
        return ask(up_to)
    except (UnreadableTime, LedgerUnavailable) as error:
        if not _is_of_an_event(error):
            raise
        ask(after)  # where that fails, too, it is the question that is wrong, and no event
        raise _of_event(reader, error, _first_that_fails(ask, after, up_to)) from error


def _is_of_an_event(error: UnreadableTime | LedgerUnavailable) -> bool:
    """Return whether it is said of what a row holds, by the driver or by the server."""
    return isinstance(error, UnreadableTime) or isinstance(error.__cause__, psycopg.DataError)


def _first_that_fails(ask: Callable[[int], object], after: int, up_to: int) -> int:
    """Return the position up to which it fails, and not up to the one before."""
    while up_to - after > 1:
        middle = (after + up_to) // 2
        try:
            ask(middle)
        except (UnreadableTime, LedgerUnavailable) as error:
            if not _is_of_an_event(error):
                raise
            up_to = middle
        else:
            after = middle
    return up_to


def _of_event(reader: Reader, error: UnreadableTime | LedgerUnavailable, position: int) -> UnreadableTime | UnreadableEvent:
    ((event_type, version, stream),) = reader.rows(_PLACE, [position])
    if isinstance(error, UnreadableTime):
        return UnreadableTime(event_at(position, version, stream), error.reason)
    return UnreadableEvent(event_type, position, error.fact)
