"""What is not JSON or no text is refused at the door, with its path; null is a value like any other."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from runfold import InvalidEvent, Ledger, Run, Thread

NOON = datetime(2020, 1, 31, 12, tzinfo=UTC)
DEEP: Any = None
for _ in range(100_000):
    DEEP = [DEEP]

BAD: dict[str, tuple[Callable[[Run, Thread], object], str]] = {
    "a set as input": (lambda _, thread: thread.start_run(input={"tags": {1}}), "input.tags"),
    "bytes as metadata": (lambda _, thread: thread.start_run(metadata={"raw": b"x"}), "metadata.raw"),
    "a number as key": (lambda _, thread: thread.start_run(input={1: "a"}), "input"),
    "a lone surrogate as input": (lambda _, thread: thread.start_run(input="\ud800"), "input"),
    "a lone surrogate to approve": (lambda run, _: run.request_approval("refund", arguments="\ud800"), "arguments_text"),
    "a tuple as state": (lambda run, _: run.set_state({"a": (1,)}), "state.a"),
    "a time that is none in UTC": (
        lambda run, _: run.request_approval(
            "refund", expires_at=datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5)))
        ),
        "expires_at",
    ),
    "an approval until after all time": (lambda run, _: run.request_approval("refund", expires_in=timedelta.max), "expires_in"),
    "an approval until before all time": (lambda run, _: run.request_approval("refund", expires_in=timedelta.min), "expires_in"),
    "an approval that is late at once": (lambda run, _: run.request_approval("refund", expires_in="0s"), "expires_in"),
    "an approval that was late before": (lambda run, _: run.request_approval("refund", expires_at=NOON), "expires_at"),
    "an approval until two times": (lambda run, _: run.request_approval("pay", expires_in="1h", expires_at=NOON), "expires_in"),
    "a root that retries": (lambda _, thread: thread.start_run(kind="retries", parent=None), "kind"),
    "a root that leaves at a version": (lambda _, thread: thread.start_run(parent=None, at_version=1), "at_version"),
    "a lease that ends at once": (lambda run, _: run.claim("w", lease=timedelta(0)), "lease"),
    "a lease that ended before": (lambda run, _: run.claim("w", lease=timedelta(seconds=-1)), "lease"),
    "a lease that is renewed for nothing": (lambda run, _: run.renew("exec_1", lease="0m"), "lease"),
    "a lease that ends after all time": (lambda run, _: run.claim("w", lease=timedelta.max), "lease"),
}


@pytest.mark.shares
@pytest.mark.fault("F2", "F8", "E4")
@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_kept_is_refused_by_its_path(ledger: Ledger, run: Run, thread: Thread, bad: str) -> None:
    before = ledger.position()
    command, path = BAD[bad]
    with pytest.raises(InvalidEvent) as refused:
        command(run, thread)
    assert refused.value.path == path
    assert ledger.position() == before


@pytest.mark.fault("F6")
def test_what_is_nested_too_deep_is_refused(run: Run, thread: Thread) -> None:
    for command in (lambda: thread.start_run(input=DEEP), lambda: run.set_state(DEEP), lambda: run.call_tool("x", DEEP)):
        with pytest.raises(InvalidEvent, match="nested more than 64 deep"):
            command()


def test_null_is_kept_where_a_value_may_stand(ledger: Ledger, run: Run) -> None:
    run.set_state(None)
    run.record_output(None)
    run.add_message("user", [{"type": "data", "data": None}])
    assert run.state() is None
    assert len(run.messages()) == 1
    assert len(list(ledger.events())) == ledger.position()


def test_a_state_that_its_owner_goes_on_to_change_is_recorded_each_time(run: Run) -> None:
    mine: dict[str, int] = {"seen": 0}
    assert run.set_state(mine).appended == 1
    mine["seen"] = 1
    assert run.set_state(mine).appended == 1
    assert run.state() == {"seen": 1}


def test_times_are_kept_in_utc(ledger: Ledger, run: Run) -> None:
    noon = datetime(9000, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))
    approval = run.request_approval("refund", expires_at=noon)
    assert ledger.now.approval(approval.id).expires_at == noon.astimezone(UTC)
