"""Methods of a class whose modules are loaded when one of them is first used."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

AT_ONCE = False
"""Whether modules are loaded with the class after all. Type checkers read the class as if they were."""


class Unloaded:
    """Stands for a module in the body of a class: what is taken from it there becomes a method that loads it."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> "_Method":
        return _Method(self._module, name)


class _Method:
    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name
        self._function: Callable[..., Any] | None = None

    def __get__(self, owned: object, owner: type) -> Callable[..., Any]:
        if self._function is None:
            self._function = getattr(import_module(self._module), self._name)
        bound: Callable[..., Any] = self._function.__get__(owned, owner)
        return bound
