"""Waiting for what takes a moment, on a busy machine too."""

import time
from collections.abc import Callable


def soon(condition: Callable[[], object], seconds: float = 30.0) -> bool:
    """Wait until a condition holds, and return whether it came to hold in time."""
    given_up = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < given_up:
        time.sleep(0.01)
    return bool(holds)


def until(
    condition: Callable[[], object], seconds: float = 60.0, otherwise: Callable[[], str] = lambda: "it never came to that"
) -> None:
    """Wait until a condition holds, and fail if it does not in time."""
    assert soon(condition, seconds), otherwise()
