"""The ids of what the commands of one caller create, and those that the same commands gave under the former rule."""

import itertools
from copy import copy
from typing import Any, TypeVar, cast

from runfold.commands.caller import Caller
from runfold.commands.submitted import Receipt
from runfold.handles.calling.handle import Handle

T = TypeVar("T")


class CreatedIds:
    """Gives ids to what one caller's commands create, in their order. Thread-safe."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._numbers = itertools.count()
        self._former: dict[str, str] = {}

    def new(self, prefix: str) -> str:
        """Return the next id."""
        number = next(self._numbers)
        created = self._caller.new_id(prefix, number)
        if self._caller.key is not None:
            self._former[created] = self._caller._replace(key_of="tenant").new_id(prefix, number)
        return created

    def as_recorded(self, answer: T, receipt: Receipt) -> T:
        """Return what a command answers, with the ids that were given when it was recorded."""
        return cast("T", self._renamed(answer)) if receipt.under_former_rule else answer

    def _renamed(self, answer: Any) -> Any:
        if isinstance(answer, tuple):
            return tuple(self._renamed(member) for member in answer)
        if isinstance(answer, str):
            return self._former.get(answer, answer)
        if isinstance(answer, Handle):
            answer = copy(answer)
            answer.id = self._former.get(answer.id, answer.id)
        return answer
