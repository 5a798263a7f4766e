"""Which threads go in at a time: few, small together, and never two sources of one thread."""

import pytest

from runfold.importers.format import SourceThread
from runfold.importers.storing import AT_ONCE, LIGHT, must_wait


def source(name: str, size: int = 1) -> SourceThread:
    return SourceThread(f"thread_{name}", name, "sha256:0", (), size, lambda _: None, files=())


@pytest.mark.parametrize(
    ("going_in", "size", "waits"),
    [
        ([], 10 * LIGHT, False),
        ([1] * (AT_ONCE - 1), 1, False),
        ([1] * AT_ONCE, 1, True),
        ([10 * LIGHT], 10 * LIGHT, False),
        ([1, LIGHT], 1, True),
        ([1, 1], LIGHT - 2, False),
        ([1, 1], LIGHT - 1, True),
    ],
)
def test_no_more_go_in_at_a_time_than_fit(going_in: list[int], size: int, waits: bool) -> None:
    others = [source(str(number), each) for number, each in enumerate(going_in)]
    assert must_wait(source("next", size), others) is waits


def test_a_source_waits_for_another_of_the_same_thread() -> None:
    others = [source("first"), source("other")]
    assert must_wait(source("first"), others)
    assert must_wait(source("other"), others)
    assert not must_wait(source("third"), others)
