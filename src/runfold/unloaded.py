"""Methods of a class whose modules are loaded when one of them is first used."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

AT_ONCE = False
"""Whether modules are loaded with the class after all. Type checkers read the class as if they were."""


class Unloaded:
    """Stands for a package in the body of a class: a function taken from a module of it there becomes a method that loads it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._function: Callable[..., Any] | None = None

    def __getattr__(self, name: str) -> "Unloaded":
        if name.startswith("_"):
            raise AttributeError(name)
        return Unloaded(f"{self._name}.{name}")

    def __get__(self, owned: object, owner: type) -> Callable[..., Any]:
        if self._function is None:
            module, _, name = self._name.rpartition(".")
            self._function = getattr(import_module(module), name)
        bound: Callable[..., Any] = self._function.__get__(owned, owner)
        return bound
