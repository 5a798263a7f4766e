"""Messages and tool calls as an AG-UI client holds them, and what AG-UI writes of each."""

from dataclasses import dataclass, field
from typing import Any

from runfold.agui.content import content_of, exact, text_of
from runfold.agui.wire_key import KEY, MESSAGE
from runfold.domain.json_text import json_text
from runfold.domain.parts import DataPart, Part, ReasoningPart, TextPart, longer
from runfold.domain.tool_call import ToolCancelled, ToolEnd, ToolFailed, ToolSucceeded


@dataclass
class CallSpoken:
    """A tool call, with what there is of its arguments."""

    id: str
    name: str
    arguments: str
    metadata: dict[str, Any]
    encrypted_value: str | None = None
    is_whole: bool = False
    """Whether all of its arguments are there."""


@dataclass
class Spoken:
    """A message as far as it came."""

    id: str
    role: str
    parts: tuple[Part, ...]
    metadata: dict[str, Any]
    name: str | None = None
    call_id: str | None = None
    activity_type: str | None = None
    encrypted_value: str | None = None
    error: str | None = None
    subagent_run_id: str | None = None
    is_streaming: bool = False
    added_at: int = 0
    """The position at which it was added."""
    calls: list[CallSpoken] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return its words."""
        return text_of(self.parts)

    def add(self, text: str) -> None:
        """Take in more of its text."""
        self.parts = longer(self.parts, text)


def result_id(call_id: str) -> str:
    """Return the id of the message that a tool's answer is where nobody gave it one."""
    return f"{call_id}:result"


def as_text(result: Any) -> tuple[str, dict[str, Any]]:
    """Return a tool's result as text, and what says in metadata that the text is its JSON."""
    return (result, {}) if isinstance(result, str) else (json_text(result), {"is_json": True})


def answer_of(ended: ToolEnd) -> tuple[str, dict[str, Any]]:
    """Return what a tool call came to as text, and what says the rest of it in metadata."""
    match ended:
        case ToolSucceeded():
            return as_text(ended.result)
        case ToolFailed():
            said = {"error": ended.error.model_dump(mode="json", exclude_none=True)}
            return ended.error.message, said if ended.result is None else {**said, "result": ended.result}
        case ToolCancelled():
            return ended.reason or "cancelled", {"cancelled": {"reason": ended.reason} if ended.reason else {}}


def told_of_end(ended: ToolEnd, content: str | list[dict[str, Any]]) -> dict[str, Any]:
    """Return what says in metadata how a call ended, where a message tells what it came to."""
    text, told = answer_of(ended)
    return {"result": ended.result} if isinstance(ended, ToolSucceeded) and text != content else told


def words_of_role(role: str, parts: tuple[Part, ...]) -> str:
    """Return the words that a message of AG-UI with this role holds: what was thought is a message of its own there."""
    return text_of(parts if role == "reasoning" else tuple(part for part in parts if isinstance(part, TextPart)))


def thoughts_of(role: str, parts: tuple[Part, ...]) -> str:
    """Return what was thought, of a message that holds more than that."""
    return "" if role == "reasoning" else text_of(tuple(part for part in parts if isinstance(part, ReasoningPart)))


def thoughts_id(message_id: str) -> str:
    """Return the id of the message of what was thought for another."""
    return f"{message_id}:reasoning"


def activity_content(parts: tuple[Part, ...]) -> dict[str, Any]:
    """Return what an activity holds, which AG-UI wants as an object."""
    match parts:
        case (DataPart(data=dict() as data),):
            return data
        case _:
            return {"content": dumped(parts)}


def dumped(parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    """Return parts as JSON."""
    return [part.model_dump(mode="json", exclude_none=True) for part in parts]


def as_message(spoken: Spoken, calls: list[CallSpoken]) -> dict[str, Any]:
    """Return a message as AG-UI writes it."""
    content = _content(spoken)
    told = {**spoken.metadata}
    if spoken.role != "activity" and isinstance(content, str | list):
        told.update(exact(spoken.parts, content, spoken.role))
    elif spoken.role == "activity" and spoken.activity_type != MESSAGE:
        told.update(told_of_activity(spoken.parts, spoken.activity_type))
    elif content is None and not told.get("no_message"):
        told["content"] = []
    found = {
        "id": spoken.id,
        "role": spoken.role,
        "content": content,
        "name": spoken.name if spoken.role in {"developer", "system", "assistant", "user"} else None,
        "toolCallId": (spoken.call_id or "") if spoken.role == "tool" else None,
        "activityType": (spoken.activity_type or "activity") if spoken.role == "activity" else None,
        "error": spoken.error,
        "encryptedValue": spoken.encrypted_value if spoken.role != "activity" else None,
        "subagentRunId": spoken.subagent_run_id,
        "toolCalls": [_as_call(call) for call in calls] or None,
        "metadata": {KEY: told},
    }
    return {name: value for name, value in found.items() if value is not None}


def told_of_activity(parts: tuple[Part, ...], activity_type: str | None) -> dict[str, Any]:
    """Return what says in metadata which parts an activity has, where its content alone does not."""
    told: dict[str, Any] = {} if activity_type else {"no_type": True}
    if parts == (DataPart(data=activity_content(parts), name=activity_type),):
        return told
    return {**told, "content": [part.model_dump(mode="json") for part in parts]}


def _content(spoken: Spoken) -> Any:
    match spoken.role:
        case "activity":
            return activity_content(spoken.parts)
        case "user" | "tool":
            return content_of(spoken.parts)
        case "assistant" if not spoken.parts:
            return None
        case role:
            return words_of_role(role, spoken.parts)


def _as_call(call: CallSpoken) -> dict[str, Any]:
    found = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
        "encryptedValue": call.encrypted_value,
        "metadata": {KEY: call.metadata if call.is_whole else {**call.metadata, "is_partial": True}},
    }
    return {name: value for name, value in found.items() if value is not None}
