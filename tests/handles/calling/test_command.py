"""Every command of every handle shows what it takes, and has a twin that returns at once and takes the same."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_origin

import pytest

from runfold.api.route import KINDS
from runfold.commands.plan import Plan
from runfold.commands.submitted import Submitted
from runfold.handles.calling.handle import Handle
from runfold.handles.run import Run


def commands() -> Iterator[tuple[type[Handle], str, Callable[..., Any]]]:
    """The commands of all kinds of handles, by the names that they have there."""
    for kind in KINDS:
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if hasattr(method, "__wrapped__") and not name.startswith("submit_"):
                yield kind, name, method


@pytest.mark.parametrize(("kind", "name", "method"), list(commands()), ids=lambda given: getattr(given, "__name__", given))
def test_a_command_shows_its_arguments_and_so_does_its_twin(kind: type[Handle], name: str, method: Callable[..., Any]) -> None:
    twin = getattr(kind, f"submit_{name}")
    mine, theirs = inspect.signature(method), inspect.signature(twin)
    assert mine.parameters == theirs.parameters
    assert theirs.return_annotation == Submitted[mine.return_annotation]
    assert get_origin(mine.return_annotation) is not Plan
    assert {"self", "envelope"} <= mine.parameters.keys() or "request" in mine.parameters
    assert (method.__name__, twin.__name__) == (name, f"submit_{name}")
    assert method.__doc__
    assert f"`{name}`" in str(twin.__doc__)


def test_the_commands_of_a_run_are_all_there() -> None:
    named = {name for kind, name, _ in commands() if kind is Run}
    assert {"add_message", "start", "usage", "request_approval", "patch_state", "branch"} <= named
    assert Run.__mro__[1:] == (Handle, object), "its commands are functions, not what it inherits"
