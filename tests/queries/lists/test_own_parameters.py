"""What a question is asked with by itself is judged before it is answered, here and by a server alike."""

import inspect
from typing import Any, Never

import pytest

from runfold.api.table import QUESTIONS
from runfold.errors import UsageError
from runfold.method_call import MethodCall
from runfold.queries.lists.parameters import Kind, ListParameter, own_parameters
from runfold.queries.reading import Reading

IMPOSSIBLE: dict[Kind, tuple[Any, ...]] = {
    str: ("a\0b", "\ud800", 7, b"plan", ["plan"]),
    int: (2**62 + 1, 2**64, 10**30, -1, -(2**63) - 1, "7", True, 1.0),
    bool: ("false", 0, 1),
}
OWN = {
    (question.method.__name__, parameter.name): parameter
    for question in QUESTIONS
    for parameter in own_parameters(inspect.unwrap(question.method)).values()
}


class Unasked:
    """Answers nothing: whatever is asked of it should have been refused."""

    def answer(self, call: MethodCall[Any]) -> Never:
        raise AssertionError(f"{call.method.__name__} was asked with {call.kwargs}")


@pytest.mark.parametrize(("question", "parameter"), [(name, each) for (name, _), each in OWN.items()], ids=map(".".join, OWN))
def test_what_no_question_can_be_asked_with_is_refused_by_its_name(question: str, parameter: ListParameter) -> None:
    ask = getattr(Reading(Unasked()), question)  # type: ignore[arg-type]  # nothing else is asked of it
    for value in (*IMPOSSIBLE[parameter.kind], *(() if parameter.takes_none else (None,))):
        with pytest.raises(UsageError, match=f"^{parameter.name}"):
            ask(**{parameter.name: value})


def test_each_number_of_a_question_says_from_where_to_where_it_goes() -> None:
    numbers = {name: (each.least, each.most) for name, each in OWN.items() if each.kind is int}
    assert numbers
    assert not {name for name, bounds in numbers.items() if None in bounds}
    assert {("items", "first"), ("diff", "version_b"), ("state", "at_version")} <= numbers.keys()
