"""Times and counts as sources write them: what is odd is a problem of its own, and the rest of the record stands."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

Fault = Callable[[str], None]
"""Called with what is wrong with one value of a record."""

MOST = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((1e8, 1e11, 1.0), (1e11, 1e14, 1e3), (1e14, 1e17, 1e6), (1e17, 1e20, 1e9))
"""Sizes of a number that is a time of 1973 to 5138, in seconds, milli-, micro- and nanoseconds."""


def moment(value: Any, name: str, fault: Fault) -> datetime | None:
    """A time, as text with its zone or as a number whose size tells its unit. None where none is given, or it is a fault."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        for least, below, per_second in _UNITS:
            if least <= value < below:
                return _EPOCH + timedelta(seconds=value / per_second)
    elif isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
            if found.tzinfo is not None:
                return found.astimezone(UTC)
        except (ValueError, OverflowError):
            fault(f"{name}: {value[:40]!r} is not a time; the record went in with the time of the one before")
            return None
        fault(f"{name}: {value[:40]!r} says no time zone; the record went in with the time of the one before")
        return None
    fault(f"{name}: {str(value)[:40]} is not a time; the record went in with the time of the one before")
    return None


def count(value: Any, name: str, fault: Fault) -> int | None:
    """A number of tokens. None where none is given, or it is a fault."""
    if value is None:
        return None
    whole = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST and value == int(value)
    if whole:
        return int(value)
    fault(f"{name}: {str(value)[:40]!r} is not a number of tokens; the rest of the record went in")
    return None


def text(value: Any) -> str | None:
    """Text that is not empty, or None."""
    return value if isinstance(value, str) and value else None


def mapping(value: Any) -> dict[str, Any]:
    """An object, or an empty one where it is anything else."""
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    """An array, or an empty one where it is anything else."""
    return value if isinstance(value, list) else []
