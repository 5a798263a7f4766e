"""When something that could not be delivered is tried again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

PAUSES: tuple[float, ...] = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds after each attempt that failed until the next: ten attempts in a little over three days."""
ATTEMPTS = len(PAUSES) + 1
JITTER = 0.2
"""How much a pause is longer or shorter, at most: what failed together is not tried again together."""
LONGEST_RETRY_AFTER = 86_400.0
"""The longest time that a receiver may ask to be left alone for, in seconds."""


def pause_after(attempts: int, retry_after: float | None, chance: Callable[[], float]) -> float | None:
    """Return the seconds until the next attempt, after so many; None where it is given up.

    `chance` returns a number from 0 to 1. What the receiver asked for (`Retry-After`) is waited for at least.
    """
    if attempts >= ATTEMPTS:
        return None
    pause = PAUSES[max(attempts, 1) - 1] * (1 + JITTER * (2 * chance() - 1))
    return pause if retry_after is None else max(pause, min(retry_after, LONGEST_RETRY_AFTER))


def retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` asks for: a number of them, or a date; None for anything else."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:10]), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return max(0.0, (moment - now) / timedelta(seconds=1))
    except OverflowError:
        return LONGEST_RETRY_AFTER
