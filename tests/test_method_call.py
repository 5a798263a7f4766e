"""A call of a method says what it is called with, by name, as the method itself would take it."""

from typing import Any

import pytest

from runfold.method_call import MethodCall


def asked(self: str, by: str = "", /, *others: int, scope: str = "run", **more: Any) -> dict[str, Any]:
    return {"self": self, "by": by, "others": others, "scope": scope, "more": more}


def plain(self: str, one: int, two: int = 2) -> int:
    return one + two


@pytest.mark.parametrize(
    ("args", "kwargs", "given"),
    [
        ((), {}, {}),
        (("day",), {}, {"by": "day"}),
        ((), {"by": "day"}, {"by": "day"}),
        ((), {"by": "day", "scope": "path", "limit": 3}, {"by": "day", "scope": "path", "limit": 3}),
        (("day",), {"by": "run"}, {"by": "run"}),
        (("day", 1, 2), {"limit": 3}, {"by": "day", "others": (1, 2), "limit": 3}),
    ],
)
def test_arguments_are_given_by_name_and_what_was_left_out_is_not(
    args: tuple[Any, ...], kwargs: dict[str, Any], given: dict[str, Any]
) -> None:
    call = MethodCall(asked, "owner", args, kwargs)
    assert call.arguments() == given
    assert call.make()["self"] == "owner"


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"one": 1}), ((1,), {"three": 3})])
def test_what_the_call_itself_would_refuse_is_refused(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    call = MethodCall(plain, "owner", args, kwargs)
    with pytest.raises(TypeError):
        call.arguments()
    with pytest.raises(TypeError):
        call.make()


def test_a_call_is_made_as_it_is_written() -> None:
    call = MethodCall(plain, "owner", (1,), {"two": 5})
    assert (call.make(), call.arguments()) == (6, {"one": 1, "two": 5})
