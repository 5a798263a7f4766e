"""What the trial of killed consumers counts as a promise that was not kept."""

import pytest

from faults.consumers import Given, Report, judged


def told(*events: tuple[int, str, str]) -> list[Given]:
    """Each a position, its stream, and whether it was given, given again or answered."""
    return [
        Given(at, position, stream, is_redelivery=what == "again", is_answered=what == "answered")
        for at, (position, stream, what) in enumerate(events)
    ]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (told((1, "a", "given"), (2, "b", "given"), (1, "a", "answered"), (3, "a", "given")), {}),
        (told((1, "a", "given"), (1, "a", "again"), (2, "b", "given"), (3, "a", "given")), {"redelivered": 1}),
        (
            told((1, "a", "given"), (1, "a", "given"), (2, "b", "given"), (3, "a", "given")),
            {"redelivered": 1, "unmarked_doubles": 1},
        ),
        (
            told((1, "a", "given"), (1, "a", "answered"), (1, "a", "again"), (2, "b", "given"), (3, "a", "given")),
            {"redelivered": 1, "given_after_answer": 1},
        ),
        (told((3, "a", "given"), (2, "b", "given"), (1, "a", "given")), {"out_of_order": 1}),
        (told((1, "a", "given"), (3, "a", "given")), {"never_given": 1}),
    ],
    ids=["kept", "again and marked", "again and not marked", "again after its answer", "out of order", "never"],
)
def test_each_promise_is_counted(given: list[Given], found: dict[str, int]) -> None:
    assert {name: count for name, count in judged(given, 3).items() if count} == found


def test_kills_that_struck_nothing_and_slow_groups_are_faults() -> None:
    kept = Report(3, 10, 10, 50, 100.0, 60.0, 50, 0, 0, 0, 0, 0)
    assert kept.faults(0.5) == []
    assert kept._replace(kills=9).faults(0.5) == ["kills"]
    assert kept._replace(redelivered=0).faults(0.5) == ["redelivered"]
    assert kept._replace(group_rate=49.0).faults(0.5) == ["group_rate"]
    assert kept._replace(left=1, never_given=1).faults(0.5) == ["never_given", "left"]
