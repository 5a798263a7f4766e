"""Which sub-agent, if any, the messages, calls and activities of a stream belong to."""

from collections.abc import Iterable, Mapping
from typing import Any

from runfold.agui.rules import Broken

_MOST = 100_000
"""How many ids are kept: of those before the last ones it is not seen who goes on with what is another's."""
_KINDS = {"text": "message", "reasoning": "reasoning", "span": "reasoning", "call": "call"}
_OF_ROLES = {"reasoning": "reasoning", "activity": "activity"}


class Owners:
    """The owners of what a stream has spoken of, by kind and id; None is the run itself."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], str | None] = {}

    def begin(self, kind: str, id: str, owner: str | None, parent_id: str | None) -> str | None:
        """Begin something, or go on with it; return whose it is. A call that says nothing is its message's. Raises Broken."""
        key = (_KINDS[kind], id)
        if kind == "call" and parent_id is not None and ("message", parent_id) in self._owners:
            holder = self._owners["message", parent_id]
            if owner is not None and owner != holder:
                raise Broken("same-owner", f"its message {parent_id!r} belongs to {holder or 'the run itself'}")
            owner = holder
        if key in self._owners:
            self.require_same(*key, owner)
            return self._owners[key]
        self.put(*key, owner)
        return owner

    def put(self, kind: str, id: str, owner: str | None) -> None:
        """Note whose something is."""
        self._owners.pop((kind, id), None)
        self._owners[kind, id] = owner
        if len(self._owners) > _MOST:
            del self._owners[next(iter(self._owners))]

    def require_same(self, kind: str, id: str, owner: str | None) -> None:
        """Raise Broken where something is said to be another's than it was."""
        if owner is not None and (kind, id) in self._owners and self._owners[kind, id] != owner:
            raise Broken("same-owner", f"{id!r} belongs to {self._owners[kind, id] or 'the run itself'}, not to {owner}")

    def require_known(self, event: Any, started: Mapping[str, bool]) -> None:
        """Raise Broken where an event is of a sub-agent that has not started."""
        owner = getattr(event, "subagent_run_id", None)
        if owner is not None and owner not in started:
            raise Broken("known-owner", f"the sub-agent {owner!r} has not started")

    def take_messages(self, messages: Iterable[Any], *, instead: bool) -> None:
        """Note whose messages are, and their calls: what is known already stays, unless these stand `instead` of all before."""
        for message in messages:
            kind, owner = _OF_ROLES.get(message.role, "message"), message.subagent_run_id
            for key in [(kind, message.id), *(("call", call.id) for call in getattr(message, "tool_calls", None) or ())]:
                if instead or key not in self._owners:
                    self.put(*key, owner)
