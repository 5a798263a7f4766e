"""When something that could not be delivered is tried again."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfold.delivery.schedule import ATTEMPTS, JITTER, LONGEST_RETRY_AFTER, PAUSES, pause_after, retry_after

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_ten_attempts_are_made_in_a_little_over_three_days() -> None:
    pauses = [pause_after(attempts, None, lambda: 0.5) for attempts in range(1, ATTEMPTS)]
    assert pauses == list(PAUSES)
    assert 3 <= sum(PAUSES) / 86_400 <= 3.5
    assert pause_after(ATTEMPTS, None, lambda: 0.5) is None


@given(st.integers(1, ATTEMPTS - 1), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_pauses_are_jittered_and_what_is_asked_for_is_waited_for(attempts: int, chance: float, asked: float | None) -> None:
    pause = pause_after(attempts, asked, lambda: chance)
    plain = PAUSES[attempts - 1]
    assert pause is not None
    assert pause >= plain * (1 - JITTER) - 1e-6
    assert pause <= max(plain * (1 + JITTER) + 1e-6, LONGEST_RETRY_AFTER)
    if asked is not None:
        assert pause >= min(asked, LONGEST_RETRY_AFTER)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Sat, 31 Jan 2026 12:01:00 GMT", 60.0),
        ("Sat, 31 Jan 2026 13:01:00 +0100", 60.0),
        ("Sat, 31 Jan 2026 11:00:00 GMT", 0.0),
        ("9" * 400, LONGEST_RETRY_AFTER),
        ("-5", None),
        ("1.5", None),
        ("\u0661\u0662", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOON) == seconds
