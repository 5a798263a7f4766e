"""What a stream has opened and not closed: to close it before a run ends, and to open it again for who joins in the middle."""

from typing import Any

from ag_ui.core import (
    ReasoningEndEvent,
    ReasoningMessageEndEvent,
    ReasoningMessageStartEvent,
    ReasoningStartEvent,
    StepFinishedEvent,
    StepStartedEvent,
    SubagentFinishedEvent,
    SubagentStartedEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    ToolCallEndEvent,
    ToolCallStartEvent,
)

from runfold.agui.wire import WireEvent, wire

_STARTS: dict[str, Any] = {
    "text": TextMessageStartEvent,
    "span": ReasoningStartEvent,
    "reasoning": ReasoningMessageStartEvent,
    "call": ToolCallStartEvent,
    "step": StepStartedEvent,
    "subagent": SubagentStartedEvent,
}
_ENDS: dict[str, Any] = {
    "text": TextMessageEndEvent,
    "span": ReasoningEndEvent,
    "reasoning": ReasoningMessageEndEvent,
    "call": ToolCallEndEvent,
    "step": StepFinishedEvent,
    "subagent": SubagentFinishedEvent,
}
_NAMED: dict[str, str] = {
    "text": "message_id",
    "span": "message_id",
    "reasoning": "message_id",
    "call": "tool_call_id",
    "step": "step_name",
    "subagent": "subagent_run_id",
}


class Opened:
    """The constructs that are open, oldest first, each with the fields of its start."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], dict[str, Any]] = {}

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._open

    def has_step(self, name: str, subagent_run_id: str | None) -> bool:
        """Return whether its owner has a step of this name open."""
        return any(
            kind == "step" and fields["step_name"] == name and fields.get("subagent_run_id") == subagent_run_id
            for (kind, _), fields in self._open.items()
        )

    def start(self, kind: str, id: str, told: dict[str, Any], **fields: Any) -> WireEvent:
        """Open something, which has an `id` of its own among its kind."""
        given = {_NAMED[kind]: id, **fields}
        self._open[kind, id] = given
        return wire(_STARTS[kind], told, **given)

    def end(self, kind: str, id: str, told: dict[str, Any], **more: Any) -> list[WireEvent]:
        """Close something; nothing where it is not open."""
        fields = self._open.pop((kind, id), None)
        if fields is None:
            return []
        given = {name: fields[name] for name in (_NAMED[kind], "subagent_run_id") if fields.get(name) is not None}
        return [wire(_ENDS[kind], told, **given, **more)]

    def forget(self, kind: str, id: str) -> None:
        """Take something as closed by other means."""
        self._open.pop((kind, id), None)

    def take_name(self, message_id: str) -> None:
        """Take the name from who says a message that is open: it may no longer be shown."""
        self._open.get(("text", message_id), {}).pop("name", None)

    def end_all(self, told: dict[str, Any], suspended: dict[str, list[str]]) -> list[WireEvent]:
        """Close all that is open, newest first: nobody has said how it ended. `suspended` sub-agents wait for answers."""
        found: list[WireEvent] = []
        for kind, name in reversed(list(self._open)):
            outcome: dict[str, Any] = {}
            if kind == "subagent" and name in suspended:
                outcome = {"outcome": {"type": "suspended", "interruptIds": suspended[name]}}
            found += self.end(kind, name, {**told, "is_implied": True}, **outcome)
        return found

    def end_of(self, owner: str, told: dict[str, Any]) -> list[WireEvent]:
        """Close all that a sub-agent has open, newest first."""
        found: list[WireEvent] = []
        for (kind, name), fields in reversed(list(self._open.items())):
            if kind != "subagent" and fields.get("subagent_run_id") == owner:
                found += self.end(kind, name, {**told, "is_implied": True})
        return found

    def again(self, told: dict[str, Any]) -> list[WireEvent]:
        """Start again all that is open, for who was not there when it began."""
        found = []
        for (kind, _), fields in self._open.items():
            above = fields.get("parent_subagent_run_id")
            hidden = {"parent_subagent_run_id"} if ("subagent", above) not in self._open else set()
            given = {name: value for name, value in fields.items() if name not in hidden}
            found.append(wire(_STARTS[kind], {**told, "is_again": True}, **given))
        return found
