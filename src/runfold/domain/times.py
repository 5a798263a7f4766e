"""Times as people write them: 2026-01-31T09:30:00Z, or a day, 2026-01-31. Whatever takes one as text takes it from here.

A day is a whole day in UTC, or in the zone that is given. Where it says from when on, it stands for its first moment; where
it says until when, for its last one, so that the day is included.
"""

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal

from runfold.errors import UsageError

DayCounts = Literal["from", "to"]
"""Which moment of it a day stands for: the first, or the last."""
EXAMPLE = "2026-01-31T09:30:00Z, or a day such as 2026-01-31"

_LAST = timedelta(microseconds=1)
"""The store's clock has no smaller unit, so the last moment of a day is so long before the next day."""


def parse_time(text: str, *, zone: tzinfo | None = None, day: DayCounts = "from", refusal: str | None = None) -> datetime:
    """A time of RFC 3339 or a day, in UTC. Raises UsageError, also for a time that has no offset where no zone is given.

    `refusal` is what is said of a text that is neither.
    """
    try:
        _require_no_week(text)
        found = _day(text)
        if found is None:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else _of_zone(text, moment, zone)).astimezone(UTC)
        return _last_moment(found, zone or UTC) if day == "to" else _first_moment(found, zone or UTC)
    except ValueError:
        raise UsageError(refusal or f"{text[:60]!r} is not a time such as {EXAMPLE}") from None
    except OverflowError:
        raise UsageError(f"the time {text[:60]!r} is outside of the years 1 to 9999 in UTC") from None


def parse_zone(name: str) -> tzinfo:
    """A time zone by its name, such as Europe/Berlin. Raises ValueError."""
    import zoneinfo  # noqa: PLC0415  it is seldom needed, and takes a while to load

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
    if not known:
        raise ValueError("there are no time zones on this machine; install tzdata, or write times with their offset")
    word = name.strip().replace(" ", "_").lower()
    alike = sorted(each for each in known if word and word in each.lower())[:5]
    raise ValueError(f"unknown time zone {name[:60]!r}; write {' or '.join(alike) or 'one such as Europe/Berlin, or UTC'}")


def parse_day(text: str) -> date:
    """A day such as 2026-01-31. Raises ValueError, also for a week, which is no day but seven."""
    _require_no_week(text)
    return date.fromisoformat(text)


def _require_no_week(text: str) -> None:
    """Raises ValueError for 2026-W05, which Python takes for a Monday."""
    if "W" in text:
        raise ValueError(f"{text!r} names a week, and not a day")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _first_moment(day: date, zone: tzinfo) -> datetime:
    """Where clocks are put forward at midnight it is 1:00, and of a day that a zone left out it is that of the next."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _last_moment(day: date, zone: tzinfo) -> datetime:
    if day == date.max:
        return datetime.max.replace(tzinfo=UTC)
    return _first_moment(day + timedelta(days=1), zone) - _LAST


def _of_zone(text: str, moment: datetime, zone: tzinfo | None) -> datetime:
    """The time at which the zone's clocks showed this. Raises UsageError where they never did, or twice."""
    if zone is None:
        raise UsageError(f"the time {text!r} has no zone; write {text}Z for UTC, or add its offset, such as +02:00")
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    before, after = first.utcoffset(), second.utcoffset()
    if before is None or after is None or before == after:
        return first
    if before < after:
        raise UsageError(f"no clock of {zone} showed {text}, for they were put forward; write another time, or its offset")
    raise UsageError(f"the clocks of {zone} showed {text} twice; write {first.isoformat()} or {second.isoformat()}")
