"""The calls of a conversation, found by their ids and by their tools."""

from typing import Any

import pytest

from runfold.importers.otlp.calls import Call, Calls

RUN = ("t", "r")


@pytest.mark.fault("K1")
@pytest.mark.parametrize("id", ["call_0", ""])
def test_calls_that_share_an_id_or_have_none_are_not_all_looked_at_for_each(id: str) -> None:
    """As those of a server that numbers the calls of each answer from 0."""
    looked_at = [0]

    class Watched(Call):
        """A call that counts how often it is looked at."""

        def __getattribute__(self, name: str) -> Any:
            looked_at[0] += name in {"has_span", "ended"}
            return super().__getattribute__(name)

    calls = Calls()
    made = [calls.add("t", id, Watched((str(number),), RUN, "find", {})) for number in range(300)]
    for call in made[:150]:
        assert calls.of_span("t", id, "find", RUN, {}) is call
        call.has_span = True
    for call in made[150:] if id else ():
        assert calls.unanswered("t", id) is call
        call.ended = True
    assert looked_at[0] < 10 * len(made)


def test_tools_at_once_that_name_no_call_are_those_with_their_arguments() -> None:
    calls = Calls()
    made = [calls.add("t", f"c-{number}", Call((str(number),), RUN, "find", f'{{"q": {number}}}')) for number in range(3)]
    assert calls.of_span("t", "", "find", RUN, {"q": 2}) is made[2]
    assert calls.of_span("t", "", "find", RUN, "else") is made[0]
    assert calls.of_span("t", "", "find", ("t", "other"), {"q": 2}) is None
    assert calls.of_span("t", "", "find", None, {"q": 2}) is made[2]
    made[2].ended = True
    assert calls.of_span("t", "", "find", RUN, {"q": 2}) is made[0]
