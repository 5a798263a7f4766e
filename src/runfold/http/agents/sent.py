"""What a client sent along with its request for a run → what is new of it, recorded."""

from collections.abc import Mapping
from typing import Any

from runfold.agui.content import parts_of
from runfold.agui.conversation import Conversation
from runfold.agui.spoken import Spoken
from runfold.errors import InvalidEvent
from runfold.handles.run import Run
from runfold.http.agents.ids import message_id_of


class Sent:
    """The messages and the state of a request: what is new of them is recorded."""

    def __init__(self, run: Run, known: Conversation, elsewhere: frozenset[str]) -> None:
        self._run, self._known, self._elsewhere = run, known, elsewhere
        self.has_answers = False
        """Whether something is recorded that only agents and tools say: a run tells of that, and the client has it."""
        self._calls = set(known.calls)
        self._answered = {spoken.call_id for spoken in known.messages.values() if spoken.role == "tool"}

    def take(self, asked: Mapping[str, Any]) -> None:
        """Record what is new of it. Raises InvalidEvent."""
        for index, message in enumerate(asked["messages"]):
            if message.get("role") != "activity":
                self._message(message, f"messages.{index}")
        state = asked.get("state")
        if state not in (None, {}) and state != self._known.state:
            self._run.set_state(state)

    def _message(self, message: dict[str, Any], where: str) -> None:
        message_id, role = message_id_of(str(message["id"])), message["role"]
        parts = parts_of(message.get("content"), role)
        if (known := self._known.messages.get(message_id)) is not None:
            self._again(known, parts, message_id)
            return
        if message_id in self._elsewhere:
            return  # it is of another branch
        self.has_answers = self.has_answers or role in {"assistant", "reasoning", "tool"}
        if role == "tool":
            self._answer(message, message_id, where)
            return
        author = {"actor": self._agent_actor} if role in {"assistant", "reasoning"} else {}
        self._run.add_message(role, parts, message_id=message_id, name=message.get("name"), **author)  # type: ignore[arg-type]
        for call in message.get("toolCalls") or ():
            call_id = message_id_of(str(call["id"]))
            if call_id not in self._calls:
                self._calls.add(call_id)
                self._run.call_tool(
                    call["function"]["name"], call["function"].get("arguments") or "", call_id=call_id, message_id=message_id
                )

    @property
    def _agent_actor(self) -> str:
        return "agent:ag-ui"

    def _again(self, known: Spoken, parts: tuple[Any, ...], message_id: str) -> None:
        """A message that is known: only a person's own words may be said otherwise."""
        if known.role == "user" and parts and parts != known.parts:
            self._run.message(message_id).revise(parts, reason="sent again with other content")

    def _answer(self, message: dict[str, Any], message_id: str, where: str) -> None:
        call_id = message_id_of(str(message.get("toolCallId") or ""))
        if call_id not in self._calls:
            raise InvalidEvent(f"{where}.toolCallId", f"no tool call of this conversation is {call_id!r}; nothing was recorded")
        if call_id in self._answered:
            return  # what the client has of that is its own copy
        self._answered.add(call_id)
        content = message.get("content")
        self._run.add_message("tool", parts_of(content), message_id=message_id, tool_call_id=call_id)
        if (error := message.get("error")) is not None:
            self._run.tool_call(call_id).fail(str(error), code="tool_error")
        else:
            self._run.tool_call(call_id).succeed(content)
