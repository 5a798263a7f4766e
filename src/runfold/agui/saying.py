"""Messages and tool calls of a run → AG-UI's events."""

from typing import Any

from ag_ui.core import (
    ActivitySnapshotEvent,
    ReasoningEncryptedValueEvent,
    ReasoningMessageContentEvent,
    TextMessageContentEvent,
    ToolCallArgsEvent,
    ToolCallResultEvent,
)

from runfold.agui.content import content_of, exact
from runfold.agui.conversation import Conversation
from runfold.agui.kept import given_back
from runfold.agui.opened import Opened
from runfold.agui.spoken import (
    activity_content,
    answer_of,
    result_id,
    thoughts_id,
    thoughts_of,
    told_of_activity,
    told_of_end,
    words_of_role,
)
from runfold.agui.wire import WireEvent, custom, place, wire
from runfold.agui.wire_key import MESSAGE
from runfold.domain.message import MessageAdded, MessagePartAppended, MessageRedacted, MessageRevised, MessageSealed
from runfold.domain.recorded import Recorded
from runfold.domain.tool_call import ToolArgumentsAppended, ToolCalled, ToolCancelled, ToolEnd, ToolFailed, ToolSucceeded

Told = dict[str, Any]


class Saying:
    """What is said and called. A tool's message waits for the next event: mostly that is the end of its call, and one with it."""

    def __init__(self, conversation: Conversation, opened: Opened) -> None:
        self.conversation = conversation
        self._opened = opened
        self._held: tuple[MessageAdded, Told, str | None] | None = None
        self.is_revised = False
        """Whether something reads otherwise than the client was told: it needs the messages as they are now."""

    def take(self, recorded: Recorded, subagent: str | None) -> list[WireEvent]:
        """Return what a client is told of an event that is about a message or a call."""
        self.conversation.take(recorded, subagent)
        event, told = recorded.event, place(recorded)
        if isinstance(event, ToolSucceeded | ToolFailed | ToolCancelled):
            return self._answer(event, told, subagent)
        return [*self.settle(), *self._said(event, told, subagent)]

    def settle(self) -> list[WireEvent]:
        """Return what waited for more to come."""
        if self._held is None:
            return []
        (added, told, subagent), self._held = self._held, None
        call_id = added.tool_call_id or ""
        content = self._content(added)
        about = {**told, "no_end": True, **exact(self.conversation.shown(added.message_id, added.content), content)}
        return [self._result(added.message_id, call_id, content, about, subagent)]

    def _said(self, event: Any, told: Told, subagent: str | None) -> list[WireEvent]:
        match event:
            case MessageAdded() if self.conversation.is_answer(event.message_id):
                self._held = (event, told, subagent)
            case MessageAdded():
                return self._add(event, told, subagent)
            case MessagePartAppended():
                return self._append(event, told)
            case MessageSealed():
                return self._seal(event, told)
            case MessageRevised() | MessageRedacted():
                return self._change(event, told, subagent)
            case _:
                return self._called(event, told, subagent)
        return []

    def _add(self, added: MessageAdded, told: Told, subagent: str | None) -> list[WireEvent]:
        if (kept := self.conversation.kept(added)) is not None:
            return [given_back(kept, {**told, "message_id": added.message_id}, subagent)]
        if added.role in {"activity", "tool"}:
            return self._activity(added.message_id, told, subagent)
        parts = self.conversation.shown(added.message_id, added.content)
        text, thoughts = words_of_role(added.role, parts), thoughts_of(added.role, parts)
        encrypted = None if self.conversation.hides(added.message_id, "encrypted_value") else added.encrypted_value
        goes_on = added.streaming and not self.conversation.hides(added.message_id, "content")
        starts = {"starts": [part.model_dump(mode="json") for part in parts]}
        about = {**told, **starts} if goes_on else {**told, **exact(parts, text, added.role)}
        known = self.conversation.messages[added.message_id].metadata
        by = known.get("by", "human" if added.role == "user" else None)
        more = {"author": known.get("author"), "by": by, "encrypted_value": encrypted}
        about.update({name: value for name, value in more.items() if value is not None})
        if added.role == "user" and isinstance(content_of(parts), list):
            self.is_revised = True  # files cannot be streamed; a snapshot has them
        found = self._think(added.message_id, thoughts, told, subagent) if thoughts else []
        found += self._begin(added.message_id, added.role, about, subagent)
        if text:
            found.append(self._delta(added.message_id, added.role, text, told, subagent))
        if not added.streaming:
            found += self._end(added.message_id, told)
        if encrypted is not None:
            found.append(
                wire(
                    ReasoningEncryptedValueEvent,
                    {**told, "is_implied": True},
                    subtype="message",
                    entity_id=added.message_id,
                    encrypted_value=encrypted,
                    subagent_run_id=subagent,
                )
            )
        return found

    def _think(self, message_id: str, text: str, told: Told, subagent: str | None) -> list[WireEvent]:
        """What was thought for a message: the client is told, and the message itself has it among its parts."""
        thoughts, about = thoughts_id(message_id), {**told, "part_of": message_id}
        begun = self._begin(thoughts, "reasoning", about, subagent)
        return [*begun, self._delta(thoughts, "reasoning", text, about, subagent), *self._end(thoughts, about)]

    def _begin(self, message_id: str, role: str, told: Told, subagent: str | None) -> list[WireEvent]:
        spoken = self.conversation.messages.get(message_id)
        more = {} if subagent is None else {"subagent_run_id": subagent}
        if role == "reasoning":
            span = self._opened.start("span", message_id, told, **more)
            return [span, self._opened.start("reasoning", message_id, told, role="reasoning", **more)]
        if spoken is not None and spoken.name is not None:
            more["name"] = spoken.name
        return [self._opened.start("text", message_id, told, role=role, **more)]

    def _delta(self, message_id: str, role: str, text: str, told: Told, subagent: str | None) -> WireEvent:
        kind = ReasoningMessageContentEvent if role == "reasoning" else TextMessageContentEvent
        return wire(kind, told, message_id=message_id, delta=text, subagent_run_id=subagent)

    def _end(self, message_id: str, told: Told) -> list[WireEvent]:
        reasoning = [*self._opened.end("reasoning", message_id, told), *self._opened.end("span", message_id, told)]
        return reasoning + self._opened.end("text", message_id, told)

    def _seal(self, sealed: MessageSealed, told: Told) -> list[WireEvent]:
        return self._end(sealed.message_id, {**told, **({"finish_reason": sealed.finish_reason} if sealed.finish_reason else {})})

    def _append(self, part: MessagePartAppended, told: Told) -> list[WireEvent]:
        spoken = self.conversation.messages.get(part.message_id)
        if spoken is None or self.conversation.hides(part.message_id, "content"):
            return []
        if spoken.role == "activity":
            self.is_revised = True
            return []
        is_open = ("text", part.message_id) in self._opened or ("reasoning", part.message_id) in self._opened
        begun = [] if is_open else self._begin(part.message_id, spoken.role, {**told, "is_again": True}, spoken.subagent_run_id)
        return [*begun, self._delta(part.message_id, spoken.role, part.text, told, spoken.subagent_run_id)]

    def _change(self, event: MessageRevised | MessageRedacted, told: Told, subagent: str | None) -> list[WireEvent]:
        spoken = self.conversation.messages.get(event.message_id)
        if spoken is not None and spoken.role == "activity":
            return self._activity(event.message_id, told, subagent)
        self.is_revised = self.is_revised or spoken is not None
        return []

    def _activity(self, message_id: str, told: Told, subagent: str | None) -> list[WireEvent]:
        spoken = self.conversation.messages[message_id]
        content = activity_content(spoken.parts)
        kind = spoken.activity_type
        about = told if kind == MESSAGE else {**told, **told_of_activity(spoken.parts, kind)}
        return [
            wire(
                ActivitySnapshotEvent,
                about,
                message_id=message_id,
                activity_type=kind or "activity",
                content=content,
                subagent_run_id=subagent,
            )
        ]

    def _called(self, event: Any, told: Told, subagent: str | None) -> list[WireEvent]:
        match event:
            case ToolArgumentsAppended():
                return self._write(event, told, subagent)
            case ToolCalled():
                return self._call(event, told, subagent)
            case _:
                return []

    def _write(self, event: ToolArgumentsAppended, told: Told, subagent: str | None) -> list[WireEvent]:
        call = self.conversation.calls[event.call_id]
        is_open = ("call", event.call_id) in self._opened
        about = _again(told, event.offset)
        begun = [] if is_open else [self._start_call(event.call_id, call.name, event.message_id, about, subagent)]
        return begun + self._arguments(event.call_id, event.text, told, subagent)

    def _call(self, called: ToolCalled, told: Told, subagent: str | None) -> list[WireEvent]:
        written = self.conversation.written.pop(called.call_id, "")
        text, about = called.arguments_text.removeprefix(written), told
        if not called.arguments_text.startswith(written):
            self.is_revised, text, about = True, "", {**told, "arguments": called.arguments_text}
        begun = []
        if ("call", called.call_id) not in self._opened:
            begun = [self._start_call(called.call_id, called.name, called.message_id, _again(told, written), subagent)]
        return [*begun, *self._arguments(called.call_id, text, told, subagent), *self._opened.end("call", called.call_id, about)]

    def _start_call(self, call_id: str, name: str, message_id: str | None, told: Told, subagent: str | None) -> WireEvent:
        more = {"subagent_run_id": subagent, "parent_message_id": message_id}
        given = {key: value for key, value in more.items() if value is not None}
        about = told if message_id is not None else {**told, "no_message": True}
        return self._opened.start("call", call_id, about, tool_call_name=name, **given)

    def _arguments(self, call_id: str, text: str, told: Told, subagent: str | None) -> list[WireEvent]:
        return [wire(ToolCallArgsEvent, told, tool_call_id=call_id, delta=text, subagent_run_id=subagent)] if text else []

    def _answer(self, ended: ToolEnd, told: Told, subagent: str | None) -> list[WireEvent]:
        call_id, held = ended.call_id, self._held
        if held is not None and held[0].tool_call_id == call_id:
            self._held, content = None, self._content(held[0])
            parts = self.conversation.shown(held[0].message_id, held[0].content)
            about = {**told, **exact(parts, content), **told_of_end(ended, content)}
            return [self._result(held[0].message_id, call_id, content, about, subagent)]
        before = self.settle()
        if self.conversation.is_answered_by_message(call_id):  # which the client was told: how the call ended is all that is new
            self.is_revised = self.is_revised or isinstance(ended, ToolFailed)
            return [*before, custom(ended, {**told, **told_of_end(ended, "")}, subagent)]
        text, about = answer_of(ended)
        return [*before, self._result(result_id(call_id), call_id, text, {**told, **about, "no_message": True}, subagent)]

    def _content(self, added: MessageAdded) -> str | list[dict[str, Any]]:
        return content_of(self.conversation.shown(added.message_id, added.content))

    def _result(self, message_id: str, call_id: str, content: Any, told: Told, subagent: str | None) -> WireEvent:
        return wire(
            ToolCallResultEvent,
            told,
            message_id=message_id,
            tool_call_id=call_id,
            content=content,
            role="tool",
            subagent_run_id=subagent,
        )


def _again(told: Told, has_begun: object) -> Told:
    """What is told of a start: a client that has the beginning goes on with it."""
    return {**told, "is_again": True} if has_begun else told
