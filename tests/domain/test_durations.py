"""One grammar of durations: what is one, what it means, and how it is written."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runfold import InvalidEvent
from runfold.domain.durations import LONGEST, duration, later, parse_duration, positive_duration, write_duration

UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


@given(st.integers(0, 366_000), st.sampled_from(sorted(UNITS)), st.integers(0, 2))
def test_a_whole_number_with_its_unit_is_a_duration(number: int, unit: str, zeros: int) -> None:
    assert parse_duration(f"{'0' * zeros}{number}{unit}") == number * UNITS[unit]


@given(st.text(alphabet="0123456789 smhduwn.+-_,PT\u0661²\n\0"))
@example("90S")
@example("1.5h")
@example("1h30m")
@example("1000000000s")
@example("90s\n")
@example("\u0663s")
def test_nothing_else_is_one(text: str) -> None:
    number = text.rstrip("smhd")
    if not (number.isascii() and number.isdecimal() and len(number) <= 9 and text.removeprefix(number) in UNITS):
        with pytest.raises(ValueError, match="is not a duration; write 90s, 15m, 1h or 7d"):
            parse_duration(text)


@pytest.mark.parametrize("text", ["366001d", "999999999d", "999999999h"])
def test_what_is_longer_than_anything_lasts_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is longer than 366000 days; leave it out for no limit"):
        parse_duration(text)
    assert parse_duration("366000d") == LONGEST


@given(st.timedeltas(timedelta(0), LONGEST).map(lambda length: length - length % UNITS["ms"]))
@example(LONGEST)
@example(timedelta(0))
def test_what_is_written_is_read_as_the_same(length: timedelta) -> None:
    try:
        written = write_duration(length)
    except ValueError:
        assert length > timedelta(milliseconds=10**9 - 1), "only what is long and of no round number"
        assert length % UNITS["s"] or length >= timedelta(seconds=10**9)
    else:
        assert parse_duration(written) == length


@pytest.mark.parametrize("length", [timedelta(microseconds=1), timedelta(seconds=-1), timedelta.max])
def test_what_no_text_says_is_not_written(length: timedelta) -> None:
    with pytest.raises(ValueError, match="cannot be written as a duration"):
        write_duration(length)


@pytest.mark.parametrize("given", [5, None, b"5s", "5", ""])
def test_a_field_that_is_given_something_else_is_named(given: object) -> None:
    with pytest.raises(InvalidEvent, match="is not a duration") as refused:
        duration("lease", given)  # type: ignore[arg-type]  # on purpose
    assert refused.value.path == "lease"
    assert duration("lease", timedelta(microseconds=1)) == timedelta(microseconds=1)


@given(st.timedeltas())
@example(timedelta(0))
def test_what_is_to_last_lasts_more_than_nothing(length: timedelta) -> None:
    for read, least in ((duration, timedelta(0)), (positive_duration, timedelta.resolution)):
        if length >= least:
            assert read("lease", length) == length
        else:
            with pytest.raises(InvalidEvent, match=r"less than nothing|no time at all"):
                read("lease", length)
    with pytest.raises(InvalidEvent, match="0ms is no time at all; write 90s"):
        positive_duration("lease", "0ms")


@given(st.datetimes(timezones=st.just(UTC)), st.timedeltas())
@example(datetime.max.replace(tzinfo=UTC), timedelta(microseconds=1))
@example(datetime.min.replace(tzinfo=UTC), timedelta(microseconds=-1))
def test_a_moment_that_is_none_is_refused_by_its_field(moment: datetime, length: timedelta) -> None:
    if timedelta(0) <= (moment - datetime.min.replace(tzinfo=UTC)) + length <= datetime.max - datetime.min:
        assert later("lease", moment, length) - moment == length
    else:
        with pytest.raises(InvalidEvent, match="is outside of the years 1 to 9999; give less") as refused:
            later("lease", moment, length)
        assert refused.value.path == "lease"
