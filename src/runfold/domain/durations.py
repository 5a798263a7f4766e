"""Lengths of time as people write them: 1500ms, 90s, 15m, 1h, 7d. Whatever takes one as text takes it from here.

pydantic reads a timedelta as well, but in another grammar: ISO 8601, clock times and bare numbers, and no `90s`.
"""

import re
from datetime import datetime, timedelta

from runfold.errors import InvalidEvent

PATTERN = "^[0-9]{1,9}(ms|s|m|h|d)$"
"""A whole number with its unit, as a regular expression."""
LONGEST = timedelta(days=366_000)
NOT_ONE = "is not a duration; write 90s, 15m, 1h or 7d"

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_WRITTEN = re.compile(PATTERN.removeprefix("^").removesuffix("$"), re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Read `90s` as a timedelta. Raises ValueError for another form, and for what is longer than LONGEST."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} {NOT_ONE}")
    unit = found[1]
    try:
        length = int(text.removesuffix(unit)) * _UNITS[unit]
    except OverflowError:
        length = timedelta.max
    if length > LONGEST:
        raise ValueError(f"{text!r} is longer than {LONGEST.days} days; leave it out for no limit")
    return length


def duration(name: str, given: str | timedelta) -> timedelta:
    """Read what was given as the field `name`, text or a timedelta of zero or more. Raises InvalidEvent."""
    if isinstance(given, timedelta):
        if given < timedelta(0):
            raise InvalidEvent(name, f"{given} is less than nothing; write 90s, 15m, 1h or 7d")
        return given
    if not isinstance(given, str):
        raise InvalidEvent(name, f"{str(given)[:40]} {NOT_ONE}")
    try:
        return parse_duration(given)
    except ValueError as error:
        raise InvalidEvent(name, str(error)) from None


def positive_duration(name: str, given: str | timedelta) -> timedelta:
    """Read what was given as the field `name`, of more than nothing: how long something is to hold. Raises InvalidEvent."""
    length = duration(name, given)
    if not length:
        raise InvalidEvent(name, f"{given} is no time at all; write 90s, 15m, 1h or 7d")
    return length


def later(name: str, moment: datetime, length: timedelta) -> datetime:
    """The moment that is so much later. Raises InvalidEvent of the field `name` where there is none, as after `timedelta.max`."""
    try:
        return moment + length
    except OverflowError:
        raise InvalidEvent(name, f"{length} from {moment.isoformat()} is outside of the years 1 to 9999; give less") from None


def nanoseconds(began: datetime | None, ended: datetime) -> int | None:
    """The time between two moments; None where nobody knows, or the end is before the beginning by the producer's clock."""
    if began is None or ended < began:
        return None
    return (ended - began) // timedelta(microseconds=1) * 1000


def write_duration(length: timedelta) -> str:
    """Write a timedelta as text that means the same. Raises ValueError for a negative one, and for parts of a millisecond."""
    for unit in ("s", "ms", "m", "h", "d"):
        number, rest = divmod(length, _UNITS[unit])
        if not rest and 0 <= number < 10**9:
            return f"{number}{unit}"
    raise ValueError(f"{length} cannot be written as a duration; round it to whole milliseconds, zero or more")
