"""What people type into a page is read as the page itself writes it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runfold.domain.times import parse_time
from runfold.pages.typed import as_moment, as_number, as_time
from runfold.pages.words import count, moment
from runfold.queries.reading import parse_moment

TIMES = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))
ROUND = st.sampled_from(["", " ", "\t", "\n"])


@settings(deadline=None)
@given(st.integers(0, 10**18 - 1), TIMES, ROUND)
def test_numbers_and_times_are_read_as_they_are_shown(number: int, time: datetime, space: str) -> None:
    whole = time.replace(microsecond=0)
    assert parse_moment(as_moment(f"{space}{count(number)}{space}")) == int(as_number(count(number))) == number
    assert parse_moment(as_moment(f"{moment(time)}{space}")) == parse_time(as_time(moment(time))) == whole


@settings(deadline=None)
@given(st.text(max_size=20))
def test_what_is_read_once_is_read_as_the_same_again(text: str) -> None:
    assert as_moment(as_moment(text)) == as_moment(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31",
        "2026-01-31T09:30:00+02:00",
        "2026-01-31T09:30Z",
        "20260131",
        "1,23",
        "12,345,6",
        "٣,٤٥٦",
        "now",
        "2026-W05",
        "",
    ],
)
def test_what_has_a_zone_or_needs_none_stays_as_it_is(text: str) -> None:
    assert as_moment(text) == text
