"""Questions: functions of a `LocalSource` under `@question`, which `Reading` has as methods.

Called, such a method hands the call to the source of its reading, once what it is asked with can be.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from runfold.method_call import MethodCall
from runfold.queries.lists.parameters import own_parameters
from runfold.queries.sources.source import LocalSource, Source

P = ParamSpec("P")
T = TypeVar("T")


class Asks(Protocol):
    """What has questions as its methods."""

    @property
    def source(self) -> Source:
        """Where they are answered."""


def question(answered: Callable[Concatenate[LocalSource, P], T]) -> Callable[Concatenate[Asks, P], T]:
    """Make a method of what answers a question: called, it hands the call to the source of its reading.

    The method raises UsageError for a text, a number, or a yes or no that can be none, wherever it is answered.
    """

    @wraps(answered)
    def ask(self: Asks, /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = MethodCall(answered, self.source, args, kwargs)
        _require_possible(call)
        return self.source.answer(call)

    return ask


def _require_possible(call: MethodCall[Any]) -> None:
    known = own_parameters(call.method)
    for name, value in call.named() if known else ():
        if name in known and not (value is None and known[name].takes_none):
            known[name].checked(value)
