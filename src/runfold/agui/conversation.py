"""A conversation as an AG-UI client holds it: folded from events of the log, given as AG-UI's messages."""

from collections.abc import Iterable, Mapping
from typing import Any

from runfold.agui.content import content_of
from runfold.agui.kept import kept_event
from runfold.agui.spoken import (
    CallSpoken,
    Spoken,
    answer_of,
    as_message,
    dumped,
    result_id,
    thoughts_id,
    thoughts_of,
    told_of_end,
)
from runfold.agui.wire_key import KEY, MESSAGE, told_by
from runfold.domain.message import MessageAdded, MessagePartAppended, MessageRedacted, MessageRevised, MessageSealed
from runfold.domain.parts import DataPart, Part, TextPart
from runfold.domain.recorded import Recorded
from runfold.domain.step import SharedState, StatePatched, StateSnapshotTaken
from runfold.domain.tool_call import ToolArgumentsAppended, ToolCalled, ToolCancelled, ToolEnd, ToolFailed, ToolSucceeded

REDACTED = "[redacted]"
Hidden = Mapping[str, frozenset[str]]
"""The fields of messages that may not be shown, by the messages' ids."""


def hidden_by(redactions: Iterable[Recorded]) -> Hidden:
    """Return what may not be shown any more, wherever it was said."""
    found: dict[str, frozenset[str]] = {}
    for recorded in redactions:
        if isinstance(redacted := recorded.event, MessageRedacted):
            _hide(found, redacted)
    return found


def _hide(hidden: dict[str, frozenset[str]], redacted: MessageRedacted) -> None:
    hidden[redacted.message_id] = hidden.get(redacted.message_id, frozenset()) | set(redacted.fields)


class Conversation:
    """The messages and the state that a client has, in its words."""

    def __init__(self, hidden: Hidden | None = None) -> None:
        self.messages: dict[str, Spoken] = {}
        self.calls: dict[str, CallSpoken] = {}
        self._state = SharedState()
        self.written: dict[str, str] = {}
        """Of calls whose arguments were written piece by piece, those pieces."""
        self._hidden = dict(hidden or {})
        self._kept: dict[str, tuple[MessageAdded, Recorded, str | None]] = {}
        """Messages that are events of AG-UI and go out as these, as long as nothing changes them."""
        self._answers: dict[str, str] = {}
        """The ids of the tools' messages by their calls'."""

    def shown(self, message_id: str, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """Return what may be shown of a message's content."""
        return (TextPart(text=REDACTED),) if self.hides(message_id, "content") else parts

    def hides(self, message_id: str, field: str) -> bool:
        """Return whether a field of a message may not be shown."""
        return field in self._hidden.get(message_id, frozenset())

    def knows(self, message_id: str) -> bool:
        """Return whether it has a message."""
        return message_id in self.messages or message_id in self._kept

    def is_answer(self, message_id: str) -> bool:
        """Return whether a message is a tool's answer to a call."""
        return message_id in self.messages and self.messages[message_id].role == "tool"

    def is_answered_by_message(self, call_id: str) -> bool:
        """Return whether a tool's message answers a call, rather than the end of that alone."""
        return self._answers.get(call_id, result_id(call_id)) != result_id(call_id)

    def take(self, recorded: Recorded, subagent_run_id: str | None = None) -> None:
        """Take in an event of the path."""
        event = recorded.event
        if isinstance(event, MessagePartAppended | MessageRevised | MessageRedacted) and event.message_id in self._kept:
            self._stop_keeping(event.message_id)
        match event:
            case MessageAdded() as added:
                self._add(added, recorded, subagent_run_id)
            case MessagePartAppended() as part if part.message_id in self.messages:
                if not self.hides(part.message_id, "content"):
                    self.messages[part.message_id].add(part.text)
            case MessageSealed() as sealed if sealed.message_id in self.messages:
                self.messages[sealed.message_id].is_streaming = False
            case MessageRevised() as revised if revised.message_id in self.messages:
                known = self.messages[revised.message_id]
                known.parts = self.shown(revised.message_id, revised.content)
                known.metadata = {**known.metadata, "position": recorded.position, "revision": revised.revision}
            case MessageRedacted() as redacted:
                self._redact(redacted)
            case ToolCalled() as called:
                self._call(called, recorded, subagent_run_id)
            case ToolArgumentsAppended() as appended:
                self._write(appended, recorded, subagent_run_id)
            case ToolSucceeded() | ToolFailed() | ToolCancelled() as ended:
                self._answer(ended, recorded, subagent_run_id)
            case StateSnapshotTaken() | StatePatched() as changed:
                self._state.evolve(changed)
            case _:
                return

    @property
    def state(self) -> Any:
        """Return the shared state, which stays as it is."""
        return self._state.kept()

    @property
    def has_state(self) -> bool:
        """Return whether there is one."""
        return self._state.is_there

    def as_messages(self, after: int = 0, *, parts_after: int | None = None) -> list[dict[str, Any]]:
        """Return AG-UI's messages: all, or those added after a position.

        A call that is not whole is among them only where it began after a position, too: what an earlier run left so stays so.
        """
        found: list[dict[str, Any]] = []
        for spoken in self.messages.values():
            if spoken.added_at <= after:
                continue
            if thoughts := thoughts_of(spoken.role, spoken.parts):
                told = {"position": spoken.metadata["position"], "part_of": spoken.id}
                message = {"id": thoughts_id(spoken.id), "role": "reasoning", "content": thoughts, "metadata": {KEY: told}}
                found.append(message if spoken.subagent_run_id is None else {**message, "subagentRunId": spoken.subagent_run_id})
            calls = [call for call in spoken.calls if call.is_whole or _is_after(call, parts_after)]
            if calls or "no_message" not in spoken.metadata or spoken.role != "assistant":
                found.append(as_message(spoken, calls))
        return found

    def _add(self, added: MessageAdded, recorded: Recorded, subagent_run_id: str | None) -> None:
        if (kept := self.kept(added)) is not None:
            self._kept[added.message_id] = added, recorded, subagent_run_id
            self._take_kept(kept)
        else:
            self._speak(added, recorded, subagent_run_id)

    def kept(self, added: MessageAdded) -> dict[str, Any] | None:
        """Return the event that goes out for a message that keeps one; None where it may not be shown, and for any other."""
        return None if self.hides(added.message_id, "content") else kept_event(added)

    def _speak(self, added: MessageAdded, recorded: Recorded, subagent_run_id: str | None) -> None:
        spoken = Spoken(
            added.message_id,
            added.role,
            self.shown(added.message_id, added.content),
            {
                "position": recorded.position,
                **told_by(str(recorded.metadata.actor), added.role),
                **({} if added.author is None or self.hides(added.message_id, "author") else {"author": added.author}),
            },
            name=None if self.hides(added.message_id, "name") else added.name,
            call_id=added.tool_call_id,
            activity_type=added.activity_type,
            encrypted_value=None if self.hides(added.message_id, "encrypted_value") else added.encrypted_value,
            subagent_run_id=subagent_run_id,
            is_streaming=added.streaming,
            added_at=recorded.position,
        )
        self.messages[added.message_id] = spoken
        call = self.calls.get(added.tool_call_id or "")
        if added.role == "tool" and call is not None and call.is_whole:
            spoken.metadata["no_end"] = True
            self._answers[call.id] = added.message_id
        elif added.role == "tool":  # for AG-UI there is none without a call that it answers
            told = DataPart(data={**added.model_dump(mode="json", exclude_none=True), "content": dumped(spoken.parts)})
            spoken.role, spoken.activity_type, spoken.parts = "activity", MESSAGE, (told,)

    def _stop_keeping(self, message_id: str) -> None:
        """A message that is about to change is one like others from now on, and what followed from the event goes."""
        added, recorded, subagent_run_id = self._kept.pop(message_id)
        if (kept := kept_event(added)) is not None:
            self._take_kept({**kept, "encryptedValue": None})
        self._speak(added, recorded, subagent_run_id)

    def _take_kept(self, event: dict[str, Any]) -> None:
        """An opaque value of a provider, which belongs to a message or a call; None takes it away."""
        value = event.get("encryptedValue")
        if event.get("type") != "REASONING_ENCRYPTED_VALUE" or not isinstance(value, str | None):
            return
        of_calls = event.get("subtype") == "tool-call"
        entity: Spoken | CallSpoken | None = (self.calls if of_calls else self.messages).get(str(event.get("entityId")))
        if entity is not None:
            entity.encrypted_value = value

    def _redact(self, redacted: MessageRedacted) -> None:
        known = self.messages.get(redacted.message_id)
        _hide(self._hidden, redacted)
        if known is None:
            return
        known.parts = self.shown(redacted.message_id, known.parts)
        known.metadata = {**known.metadata, "is_redacted": True}
        if "author" in redacted.fields:
            known.metadata.pop("author", None)
        if "name" in redacted.fields:
            known.name = None
        if "encrypted_value" in redacted.fields:
            known.encrypted_value = None

    def _call(self, called: ToolCalled, recorded: Recorded, subagent_run_id: str | None) -> None:
        if (known := self.calls.get(called.call_id)) is not None:
            self.written[called.call_id] = known.arguments
            known.arguments, known.is_whole = called.arguments_text, True
            return
        self._new_call(called.call_id, called.name, called.arguments_text, called.message_id, recorded, subagent_run_id)
        self.calls[called.call_id].is_whole = True

    def _write(self, appended: ToolArgumentsAppended, recorded: Recorded, subagent_run_id: str | None) -> None:
        if (known := self.calls.get(appended.call_id)) is not None:
            known.arguments += appended.text
            return
        self._new_call(appended.call_id, appended.name or "", appended.text, appended.message_id, recorded, subagent_run_id)

    def _new_call(
        self, call_id: str, name: str, arguments: str, message_id: str | None, recorded: Recorded, subagent_run_id: str | None
    ) -> None:
        call = self.calls[call_id] = CallSpoken(call_id, name, arguments, {"position": recorded.position})
        holder = message_id or call_id
        spoken = self.messages.get(holder)
        if spoken is None:
            told = {"position": recorded.position, "no_message": True}
            spoken = Spoken(holder, "assistant", (), told, subagent_run_id=subagent_run_id, added_at=recorded.position)
            self.messages[holder] = spoken
        spoken.calls.append(call)

    def _answer(self, ended: ToolEnd, recorded: Recorded, subagent_run_id: str | None) -> None:
        content, told = answer_of(ended)
        spoken = self.messages.get(self._answers.get(ended.call_id, ""))
        if spoken is None:
            spoken = self.messages[result_id(ended.call_id)] = Spoken(
                result_id(ended.call_id),
                "tool",
                (TextPart(text=content),),
                {"position": recorded.position, "no_message": True},
                call_id=ended.call_id,
                subagent_run_id=subagent_run_id,
                added_at=recorded.position,
            )
            self._answers[ended.call_id] = spoken.id
        else:
            told = told_of_end(ended, content_of(spoken.parts))
        spoken.metadata = {name: value for name, value in spoken.metadata.items() if name != "no_end"} | told
        if isinstance(ended, ToolFailed):
            spoken.error = ended.error.message


def _is_after(call: CallSpoken, position: int | None) -> bool:
    return position is not None and call.metadata["position"] > position
