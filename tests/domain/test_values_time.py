"""Times: kept in UTC, or refused."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runfold.domain.event import refusal
from runfold.domain.run_events import RunLeaseRenewed
from runfold.store.codec import encode

from .refusals import NO_LIMITS, read_back, refused
from .steady import STEADY

# Times


def renewed(moment: object) -> RunLeaseRenewed:
    return RunLeaseRenewed.model_validate({"execution_id": "exec_1", "lease_expires_at": moment})


@pytest.mark.fault("E4")
@pytest.mark.parametrize(
    ("moment", "stored"),
    [
        (datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=5, minutes=45))), "2026-01-31T06:15:00Z"),
        (datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "1969-12-31T23:59:59.999999Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "9999-12-31T23:59:59.999999Z"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")), "2026-10-25T00:30:00Z"),
        (datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")), "2026-10-25T01:30:00Z"),
    ],
)
def test_a_time_is_kept_in_utc(moment: datetime, stored: str) -> None:
    event = renewed(moment)
    assert f'"{stored}"'.encode() in encode(event, NO_LIMITS)
    assert read_back(event).lease_expires_at == moment.astimezone(UTC)


@pytest.mark.fault("E4")
@STEADY
@given(st.datetimes(timezones=st.timezones() | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))))
def test_any_time_with_an_offset_is_kept_or_refused(moment: datetime) -> None:
    try:
        event = renewed(moment)
    except ValidationError as error:
        assert "years 1 to 9999" in refusal(error).reason  # noqa: PT017  most moments raise nothing
    else:
        assert read_back(event).lease_expires_at == moment.astimezone(UTC)


@pytest.mark.fault("E4")
@pytest.mark.parametrize(
    "bad",
    [
        datetime(2026, 1, 31, 12),
        "2026-01-31T12:00:00Z",
        1_700_000_000,
        1.5,
        date(2026, 1, 31),
        None,
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-1))),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    ],
    ids=str,
)
def test_a_time_without_a_place_on_the_line_is_refused(bad: object) -> None:
    assert refused(lambda: renewed(bad)).path == "lease_expires_at"


@pytest.mark.parametrize("raw", ["2026-01-31T12:00:00", "2026-01-31", "2016-12-31T23:59:60Z", "2026-02-30T00:00:00Z", "noon"])
@pytest.mark.fault("E4")
def test_a_stored_time_without_an_offset_or_that_never_was_is_refused(raw: str) -> None:
    data = f'{{"execution_id":"exec_1","lease_expires_at":"{raw}"}}'
    assert refused(lambda: RunLeaseRenewed.model_validate_json(data)).path == "lease_expires_at"
