"""A method and what it is called with, before it is called.

Commands of handles and questions are handed as such calls to whoever answers them: where the database is, the method is
called as it is written; elsewhere, the method says which request is to be sent.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

R = TypeVar("R")

_signature = cache(inspect.signature)


class MethodCall(NamedTuple, Generic[R]):
    """One call of a method."""

    method: Callable[..., R]
    """The method as it is written in its class, without what its decorator adds."""
    owner: Any
    """The object on which it is called."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def make(self) -> R:
        """Call the method, and return what it returns."""
        return self.method(self.owner, *self.args, **self.kwargs)

    def arguments(self) -> dict[str, Any]:
        """Return what is given by name, and nothing of what was left out. Raises TypeError, as the call itself would."""
        signature = _signature(self.method)
        parameters = signature.parameters.values()
        takes_more = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        # a keyword with the name of a positional-only parameter is one more keyword, which `bind` of Python 3.11 does not know
        positional = {parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_ONLY}
        more = {name: value for name, value in self.kwargs.items() if takes_more and name in positional}
        named = {name: value for name, value in self.kwargs.items() if name not in more}
        given = dict(signature.bind(self.owner, *self.args, **named).arguments)
        del given[next(iter(signature.parameters))]
        for parameter in parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                given |= given.pop(parameter.name, {})
        return given | more
