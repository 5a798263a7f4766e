"""One grammar of times: what a text means, alone and in a zone."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfold.domain.times import DayCounts, parse_time, parse_zone
from runfold.errors import UsageError

BERLIN = parse_zone("Europe/Berlin")
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu", "America/Havana"])
MICROSECOND = timedelta(microseconds=1)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.timezones()))
def test_a_time_with_its_offset_is_that_time_whatever_the_zone(moment: datetime) -> None:
    for zone in (None, UTC, BERLIN):
        assert parse_time(moment.isoformat(), zone=zone) == moment.astimezone(UTC)


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), ZONES)
def test_days_follow_each_other_and_leave_no_moment_between(day: date, name: str) -> None:
    zone, following = parse_zone(name), (day + timedelta(days=1)).isoformat()
    first, last = (parse_time(day.isoformat(), zone=zone, day=counts) for counts in ("from", "to"))
    assert last + MICROSECOND == parse_time(following, zone=zone)
    assert first <= last + MICROSECOND
    if first <= last:  # but for a day that the zone left out
        assert {moment.astimezone(zone).date() for moment in (first, last)} == {day}
        assert (first - MICROSECOND).astimezone(zone).date() < day


@pytest.mark.parametrize(
    ("text", "zone", "day", "moment"),
    [
        ("2026-02-01", None, "from", "2026-02-01T00:00:00Z"),
        ("2026-02-01", None, "to", "2026-02-01T23:59:59.999999Z"),
        ("2026-02-01", "Europe/Berlin", "from", "2026-01-31T23:00:00Z"),
        ("2026-02-01", "Europe/Berlin", "to", "2026-02-01T22:59:59.999999Z"),
        ("2026-03-29", "Europe/Berlin", "to", "2026-03-29T21:59:59.999999Z"),
        ("2018-11-04", "America/Sao_Paulo", "from", "2018-11-04T03:00:00Z"),
        ("2026-02-01T09:30", "Europe/Berlin", "to", "2026-02-01T08:30:00Z"),
        ("2026-02-01 09:30:00", "UTC", "from", "2026-02-01T09:30:00Z"),
        ("2026-02-01T09:30:00+05:45", "Europe/Berlin", "from", "2026-02-01T03:45:00Z"),
        ("9999-12-31", None, "to", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_text_is_a_moment(text: str, zone: str | None, day: DayCounts, moment: str) -> None:
    found = parse_time(text, zone=parse_zone(zone) if zone else None, day=day)
    assert (found, found.tzinfo) == (datetime.fromisoformat(moment), UTC)


@pytest.mark.parametrize(
    ("text", "zone", "said"),
    [
        ("yesterday", None, "'yesterday' is not a time such as 2026-01-31T09:30:00Z, or a day such as 2026-01-31"),
        ("2026-02-30", None, "is not a time"),
        ("2026-02-01T25:00Z", None, "is not a time"),
        ("2026-W05", None, "is not a time"),
        ("2026-W05-1", "Europe/Berlin", "is not a time"),
        ("2026-W05-1T09:30Z", None, "is not a time"),
        ("", None, "is not a time"),
        ("2026-02-01T09:30", None, "has no zone; write 2026-02-01T09:30Z for UTC, or add its offset, such as +02:00"),
        ("2026-03-29T02:30", "Europe/Berlin", "no clock of Europe/Berlin showed 2026-03-29T02:30"),
        ("2026-10-25T02:30", "Europe/Berlin", "write 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00"),
        ("0001-01-01", "Europe/Berlin", "outside of the years 1 to 9999"),
        ("9999-12-31T23:59:00-01:00", None, "outside of the years 1 to 9999"),
    ],
)
def test_what_is_no_moment_is_refused_with_what_would_be(text: str, zone: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("+", r"\+")):
        parse_time(text, zone=parse_zone(zone) if zone else None)


@given(st.text(alphabet="0123456789-:TZ+. W\u0661", max_size=30))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    for day in ("from", "to"):
        try:
            assert parse_time(text, zone=BERLIN, day=day).tzinfo is UTC
        except UsageError:
            continue


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("berlin", "unknown time zone 'berlin'; write Europe/Berlin"),
        ("new york", "write America/New_York"),
        ("Nowhere", "write one such as Europe/Berlin, or UTC"),
        ("", "write one such as"),
        ("../Berlin", "unknown"),
        ("/etc/passwd", "unknown"),
        ("\0", "unknown"),
    ],
)
def test_an_unknown_zone_is_refused_with_those_that_may_be_meant(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_zone(name)
