"""A method and what it is called with, before it is called.

Commands of handles and questions are handed as such calls to whoever answers them: where the database is, the method is
called as it is written; elsewhere, the method says which request is to be sent.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import zip_longest
from types import UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

R = TypeVar("R")

_signature = cache(inspect.signature)


@cache
def _known(method: Callable[..., Any]) -> frozenset[str] | None:
    """Return the names of what a method takes, those of an unpacked typed dict included; None where it takes any."""
    hints = get_type_hints(method)
    known: set[str] = set()
    for parameter in list(_signature(method).parameters.values())[1:]:
        if parameter.kind is not parameter.VAR_KEYWORD:
            known.add(parameter.name)
        elif (more := next(iter(get_args(hints[parameter.name])), None)) is not None and is_typeddict(more):
            known |= more.__annotations__.keys()
        else:
            return None
    return frozenset(known)


@cache
def _many(method: Callable[..., Any]) -> frozenset[str]:
    """Return the parameters that take several values, and not None instead."""
    return frozenset(name for name, hint in get_type_hints(method).items() if get_origin(hint) in _LISTS)


@cache
def _lists(method: Callable[..., Any]) -> frozenset[str]:
    """Return the parameters that take a list of texts, and no text by itself."""
    return frozenset(name for name, hint in get_type_hints(method).items() if takes_list_of_text(hint))


def takes_list_of_text(hint: Any) -> bool:
    """Return whether a type is a list of texts or of some words, or None."""
    members = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
    return str not in members and any(get_origin(member) in _LISTS and _is_text(*get_args(member)) for member in members)


def _is_text(member: Any, *_: Any) -> bool:
    return member is str or (get_origin(member) is Literal and all(isinstance(word, str) for word in get_args(member)))


_LISTS = (Iterable, Sequence, list, tuple)


@dataclass(slots=True)
class MethodCall(Generic[R]):
    """One call of a method. Nobody changes it."""

    method: Callable[..., R]
    """The method as it is written in its class, without what its decorator adds."""
    owner: Any
    """The object on which it is called."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def make(self) -> R:
        """Call the method, and return what it returns."""
        return self.method(self.owner, *self.args, **self.kwargs)

    def unknown(self) -> tuple[str, frozenset[str]] | None:
        """Return an argument that the method does not have, if one is given, and the names of those that it has."""
        known = _known(self.method)
        if known is None or self.kwargs.keys() <= known:
            return None
        return next(name for name in self.kwargs if name not in known), known

    def not_many(self) -> str | None:
        """Return a parameter that takes several values, and is given what can hold none, if there is one."""
        many = _many(self.method)
        if not many:
            return None
        return next((name for name, value in self.named() if name in many and not isinstance(value, Iterable)), None)

    def with_lists(self) -> "MethodCall[R]":
        """Return the call in which one text that is given where a list of texts is taken is a list of one."""
        named = _lists(self.method)
        if not named:
            return self
        args = tuple((value,) if isinstance(value, str) and name in named else value for value, name in self._placed())
        kwargs = {name: (value,) if isinstance(value, str) and name in named else value for name, value in self.kwargs.items()}
        return replace(self, args=args, kwargs=kwargs)

    def named(self) -> Iterator[tuple[str, Any]]:
        """Yield what is given, each with its name."""
        yield from ((name, value) for value, name in self._placed() if name)
        yield from self.kwargs.items()

    def _placed(self) -> Iterator[tuple[Any, str]]:
        """Yield what is given by its place, with its name; more than the method takes have none, and the call refuses them."""
        yield from zip_longest(self.args, [*_signature(self.method).parameters][1 : len(self.args) + 1], fillvalue="")

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
