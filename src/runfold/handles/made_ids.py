"""The ids of what the commands of one caller create, and those that the same commands gave under the former rule."""

import itertools
from copy import copy
from typing import Any, TypeVar, cast

from runfold.commands.caller import Caller
from runfold.commands.submitted import Receipt
from runfold.handles.command import Handle

T = TypeVar("T")


class Ids:
    """The ids of what one caller's commands create, in their order. Thread-safe."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._numbers = itertools.count()
        self._former: dict[str, str] = {}

    def new(self, prefix: str) -> str:
        """The next one."""
        number = next(self._numbers)
        made = self._caller.new_id(prefix, number)
        if self._caller.key is not None:
            self._former[made] = self._caller._replace(key_of="tenant").new_id(prefix, number)
        return made

    def as_recorded(self, made: T, receipt: Receipt) -> T:
        """What a command answers, with the ids that were given when it was recorded."""
        return cast("T", self._renamed(made)) if receipt.under_former_rule else made

    def _renamed(self, made: Any) -> Any:
        if isinstance(made, tuple):
            return tuple(self._renamed(member) for member in made)
        if isinstance(made, str):
            return self._former.get(made, made)
        if isinstance(made, Handle):
            made = copy(made)
            made.id = self._former.get(made.id, made.id)
        return made
