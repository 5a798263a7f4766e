"""Tool calls of a run: asked for, started, and ended exactly once."""

from dataclasses import dataclass, replace
from typing import Literal, assert_never

from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.life import Life
from runfold.domain.values import Count, Id, Json, Label, Text, Value

CallStatus = Literal["called", "started", "succeeded", "failed", "cancelled"]
ENDED: frozenset[CallStatus] = frozenset({"succeeded", "failed", "cancelled"})
IS_STARTED = "has status started"
"""The rule by which a call that is at work is not started again."""
_AGAIN = "to use the tool again, ask for another call (`call_tool`)"
_INSTEAD: dict[CallStatus, str] = {
    "started": "starting it again takes the same `execution_key`",
    "succeeded": _AGAIN,
    "failed": _AGAIN,
    "cancelled": _AGAIN,
}


class Failure(Value):
    """An error of a tool, for a person and for a program."""

    code: Label
    message: Text
    type: Label | None = None
    retriable: bool | None = None


class ToolCallEvent(Event):
    """Something happened to a tool call."""


class ToolCalled(ToolCallEvent, type="tool.called"):
    """The agent asked for a tool. `arguments_text` is what the model wrote, to the letter; `arguments` its JSON, if it is any."""

    call_id: Id
    name: Label
    arguments_text: Text
    arguments: Json = None
    message_id: Id | None = None
    provider_call_id: Text | None = None
    needs_approval: bool = False


class ToolArgumentsAppended(ToolCallEvent, type="tool.arguments_appended"):
    """The model writes the arguments of a call: more of them. `offset` counts the characters before it.

    Once they are whole, the call itself follows, with all of them; what was written of one that never follows is no call.
    """

    call_id: Id
    offset: Count
    text: Text
    name: Label | None = None
    """The tool; with the first of them."""
    message_id: Id | None = None
    """The message that the call belongs to; with the first of them."""


class ToolStarted(ToolCallEvent, type="tool.started"):
    """The side effect is about to happen. Written before it, so that a crash in between is seen."""

    call_id: Id
    execution_key: Id


class ToolSucceeded(ToolCallEvent, type="tool.succeeded"):
    """The tool answered."""

    call_id: Id
    result: Json = None


class ToolFailed(ToolCallEvent, type="tool.failed"):
    """The tool could not, or was not allowed to. The agent sees the error and goes on."""

    call_id: Id
    error: Failure
    result: Json = None


class ToolCancelled(ToolCallEvent, type="tool.cancelled"):
    """Nobody waits for the tool any more."""

    call_id: Id
    reason: Text | None = None


ToolEnd = ToolSucceeded | ToolFailed | ToolCancelled
AnyToolCallEvent = ToolCalled | ToolArgumentsAppended | ToolStarted | ToolSucceeded | ToolFailed | ToolCancelled


@dataclass(slots=True)
class ToolCallState:
    """The state of one tool call that the rules need."""

    called_at: int
    """The version at which its run asked for it; 0 where a run of the past did."""
    needs_approval: bool
    status: CallStatus = "called"
    ended_at: int = 0
    execution_key: str | None = None
    name: str | None = None
    """The tool; None for a call of the run's past that this run has taken over."""
    asked_by: str | None = None
    """The run that asked for it."""
    ended: "ToolEnd | None" = None
    """How it ended, where that was in a run of the past."""
    ended_with_run: bool = False
    """Whether the end of a run of the past closed it, and nothing of its own: what it answered later may still be told."""


class ToolCalls:
    """The tool calls that one run asked for, and those of its past that it carried on.

    What its past left open, a run carries on by the same rules as its own. How the past left it must have been looked up first.
    """

    def __init__(self, run: Life) -> None:
        self.run = run
        self.by_id: dict[str, ToolCallState] = {}
        self.past: dict[str, ToolCallState] = {}
        """Calls of the run's past that were looked up, as they were when the run began."""
        self.written: dict[str, int] = {}
        """The characters that there are of the arguments of calls that are not yet whole."""
        self._open: dict[str, None] = {}

    def asked(self, call_id: str) -> ToolCallState | None:
        """Return a call as its run asked for it: this run, or, where that was looked up, one of its past."""
        known = self.by_id.get(call_id)
        return known if known is not None and known.called_at else self.past.get(call_id)

    @property
    def open_ids(self) -> list[str]:
        """Return the ids of calls that have not ended, oldest first."""
        return list(self._open)

    def is_open(self, call_id: str) -> bool:
        """Return whether a call is one of them."""
        return call_id in self._open

    @property
    def open_names(self) -> list[str | None]:
        """Return the tools of the calls that have not ended, oldest first; None for one that is not known."""
        return [asked.name if (asked := self.asked(call_id)) else None for call_id in self.open_ids]

    def call(self, called: ToolCalled) -> Events:
        """Record that the agent asked for a tool."""
        if known := self.by_id.get(called.call_id):
            raise AlreadyRecorded("tool call", called.call_id, self.run.id, known.called_at, called)
        self.run.require_open("call_tool")
        return [called]

    def append_arguments(self, appended: ToolArgumentsAppended, offset: int | None = None) -> Events:
        """Take in more of the arguments that the model writes. An `offset` that is stored already adds nothing."""
        call_id, length, text = appended.call_id, self.written.get(appended.call_id, 0), appended.text
        if offset is not None and call_id in self.written and 0 <= offset <= length - len(text):
            return []
        self.run.require_open("append_arguments")
        if call_id in self.by_id:
            self.run.refuse("append_arguments", f"tool call {call_id} is whole already; {_AGAIN}")
        if offset not in {None, length}:
            has = f"there are {length} characters of the arguments of {call_id}"
            self.run.refuse("append_arguments", f"{has}, so offset {offset} would leave a gap or overlap")
        if call_id in self.written:
            return [appended.model_copy(update={"offset": length, "name": None, "message_id": None})] if text else []
        if appended.name is None:
            self.run.refuse("append_arguments", f"nobody has said which tool {call_id} is for; give its `name` with the first")
        return [appended]

    def start(self, call_id: str, execution_key: str, *, approved: bool = False) -> Events:
        """Record that the side effect begins now. A second start needs the first one's `execution_key`, also in the past."""
        call = self._known("start_tool", call_id)
        if call.execution_key == execution_key:
            return []
        self.run.require_open("start_tool")
        if call.status != "called":
            self.run.refuse("start_tool", f"tool call {call_id} has status {call.status}; {_INSTEAD[call.status]}")
        if call.needs_approval and not approved:
            self.run.refuse(
                "start_tool", f"tool call {call_id} needs an approval; name the one that was granted for it (`approval=`)"
            )
        return [ToolStarted(call_id=call_id, execution_key=execution_key)]

    def end(self, ended: ToolEnd) -> Events:
        """End the call once: the tool succeeded, failed or was cancelled."""
        call = self._known("end_tool", ended.call_id)
        if call.status in ENDED and call.ended_at:
            raise AlreadyRecorded("the end of tool call", ended.call_id, self.run.id, call.ended_at, ended)
        self.run.require_open("end_tool")
        if call.ended is not None:
            if call.ended.differs_from(ended) is None:
                return []
            self.run.refuse("end_tool", f"tool call {ended.call_id} {call.status} in this run's past; {_AGAIN}")
        if isinstance(ended, ToolSucceeded) and call.needs_approval and call.execution_key is None:
            self.run.refuse(
                "end_tool",
                f"tool call {ended.call_id} needs an approval; `start` it with the one that was granted for it (`approval=`)",
            )
        return [ended]

    def ask_about(self, call_id: str) -> tuple[str, ...]:
        """Return the call that a request for approval makes this run carry on: none where it is this run's, or has ended."""
        call = self._known("request_approval", call_id)
        return () if call_id in self.by_id or call.status in ENDED else (call_id,)

    def carry_on(self, call_id: str) -> None:
        """Take in that this run carries on an open call of its past, which only the past knows to need no approval."""
        self._take_over(call_id, needs_approval=True)

    def evolve(self, event: AnyToolCallEvent) -> None:
        """Update the state by one event."""
        match event:
            case ToolCalled():
                self.by_id[event.call_id] = ToolCallState(
                    self.run.version, event.needs_approval, name=event.name, asked_by=self.run.id
                )
                self._open[event.call_id] = None
                self.written.pop(event.call_id, None)
            case ToolArgumentsAppended():
                self.written[event.call_id] = event.offset + len(event.text)
            case ToolStarted():
                call = self._take_over(event.call_id)
                call.status, call.execution_key = "started", event.execution_key
            case ToolSucceeded():
                self._end(event.call_id, "succeeded")
            case ToolFailed():
                self._end(event.call_id, "failed")
            case ToolCancelled():
                self._end(event.call_id, "cancelled")
            case _:
                assert_never(event)

    def close_open(self, status: CallStatus) -> None:
        """Close the open calls because the run ended. A later answer is refused like all late work."""
        for call_id in self.open_ids:
            self.by_id[call_id].status = status
        self._open.clear()

    def _end(self, call_id: str, status: CallStatus) -> None:
        call = self._take_over(call_id)
        call.status, call.ended_at = status, self.run.version
        self._open.pop(call_id, None)

    def _take_over(self, call_id: str, *, needs_approval: bool = False) -> ToolCallState:
        if call_id not in self.by_id:
            self.by_id[call_id] = ToolCallState(0, needs_approval)
            self._open[call_id] = None
        return self.by_id[call_id]

    def _known(self, command: str, call_id: str) -> ToolCallState:
        own, past = self.by_id.get(call_id), self.past.get(call_id)
        call = past if own is None else own if past is None or own.called_at else _gone_on(past, own)
        if call is None:
            self.run.refuse(command, f"neither this run nor its ancestors have a tool call {call_id!r}")
        return call


def _gone_on(past: ToolCallState, own: ToolCallState) -> ToolCallState:
    """Return a call as its past left it and its run went on with it."""
    key = own.execution_key or past.execution_key
    return replace(past if own.status == "called" else own, needs_approval=past.needs_approval, execution_key=key)
