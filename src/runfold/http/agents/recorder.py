"""What an agent says → commands, as it says it: the first words at once, later ones together.

What breaks AG-UI's rules and can be left out is left out, and that is recorded with the rule's name. What makes the rest of a
stream meaningless ends the run.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import jsonpatch

from runfold.agui.content import parts_of
from runfold.agui.conversation import Conversation
from runfold.agui.kept import KEPT, MAPPED, kept_parts
from runfold.commands.plan import Plan, planned
from runfold.commands.session import Session
from runfold.domain.parts import DataPart
from runfold.errors import CommandRefused, DuplicateWithDifferentContent, InvalidEvent, NotFound
from runfold.handles.calling.handle import Handle
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.handles.run import Run
from runfold.handles.step import Step
from runfold.handles.tool_call import ToolCall
from runfold.http.agents.ending import Ending
from runfold.http.agents.ids import message_id_of
from runfold.http.agents.streaming import Streaming
from runfold.http.agents.sub_agents import SubAgents
from runfold.http.agents.words import BrokenStreamError, Event, read
from runfold.ids import new_id
from runfold.method_call import MethodCall

MOST_PROBLEMS = 100
"""Of an agent that breaks more rules than this, nothing more is taken."""
_ON_THE_WAY = 32
_REFUSED = (CommandRefused, InvalidEvent, DuplicateWithDifferentContent, NotFound)
_STREAMED = {"TEXT_MESSAGE": "text", "REASONING_MESSAGE": "reasoning", "TOOL_CALL": "call"}
_PHASES = frozenset({"START", "CONTENT", "ARGS", "END", "CHUNK"})
_SPANS = frozenset({"REASONING_START", "REASONING_END"})


class Recorder:
    """Records one run."""

    def __init__(self, ledger: TenantLedger, thread_id: str, run_id: str, shown: tuple[str, str], past: Conversation) -> None:
        """`shown` are the ids of the thread and the run as the client has them; `past` is what was said before."""
        self.ledger, self.thread_id, self.run = ledger, thread_id, ledger.run(run_id)
        answered = {spoken.call_id for spoken in past.messages.values() if spoken.role == "tool"}
        self.calls = {call_id: call_id in answered for call_id in past.calls}
        """The tool calls that are whole, and whether each was answered."""
        self.asked = {call.id: (call.name, call.arguments) for call in past.calls.values() if call.id not in answered}
        """The tool and the arguments of those that were not."""
        self.streaming = Streaming(self)
        self.ending = Ending(self)
        self.is_over = False
        self._shown = self._said = shown
        self._has_started = False
        self._problems = 0
        self._on_the_way: deque[tuple[Awaitable[Any], str]] = deque()
        self._steps: dict[tuple[str, str], str] = {}
        self._sub_agents = SubAgents(self)
        self.children = self._sub_agents.runs
        self._activities: dict[str, tuple[str, Any]] = {}
        self.thought = new_id("msg")

    # What is sent to the ledger

    def send(self, command: Awaitable[Any], rule: str) -> None:
        """Have a command carried out after those before it. Where it is refused, that breaks a rule."""
        self._on_the_way.append((command, rule))

    async def settle(self, most: int = 0) -> None:
        """Wait until all commands but so many are carried out. Raises LedgerUnavailable."""
        while len(self._on_the_way) > most:
            command, rule = self._on_the_way.popleft()
            try:
                await command
            except _REFUSED as error:
                self._require_open(error)
                self.problem(_broken(rule, error), str(error))

    def problem(self, rule: str, fact: str) -> None:
        """Record that something of the agent's was left out, or taken otherwise. Raises BrokenStreamError for too many."""
        self._problems += 1
        told = f"AG-UI: {rule}: {fact}"[:2000]
        self._on_the_way.append((self.run.submit_report_problem("warning", told, root_cause=rule), "recordable"))
        if self._problems > MOST_PROBLEMS:
            raise BrokenStreamError("too-many", f"the agent broke rules {self._problems} times")

    def run_of(self, event: Event) -> Run:
        """Return the run that an event is of: the agent's, or its sub-agent's."""
        return self._sub_agents.run_of(event)

    def _require_open(self, error: Exception) -> None:
        if isinstance(error, CommandRefused) and "an ended run accepts no more" in error.rule:
            raise RunEndedError from error

    # What the agent says

    async def take(self, given: Any) -> None:
        """Take in what the agent yielded. Raises BrokenStreamError, RunEndedError, LedgerUnavailable."""
        event = read(given, self.thought)
        kind = event["type"]
        if kind == "RUN_STARTED":
            self._start(event)
        elif self.is_over:
            self.problem("after-the-end", f"{kind} after the run's end was left out")
        elif not self._has_started and kind != "RUN_ERROR":
            self.problem("first-event", f"{kind} before RUN_STARTED was left out")
        else:
            await self._take(event, kind)
        await self.settle(_ON_THE_WAY)

    async def _take(self, event: Event, kind: str) -> None:
        self._sub_agents.look_at(event, kind)
        stem, _, phase = kind.rpartition("_")
        if stem in _STREAMED and phase in _PHASES:
            self.streaming.take(event, _STREAMED[stem], phase)
            return
        self.streaming.flush()
        if kind == "REASONING_END":
            self.thought = new_id("msg")
        if kind in _SPANS:
            return  # a reasoning message tells where its span begins and ends
        self.streaming.close_chunk()
        await self._take_whole(event, kind)

    async def _take_whole(self, event: Event, kind: str) -> None:
        match kind:
            case "TOOL_CALL_RESULT":
                self.take_result(event)
            case "STATE_SNAPSHOT":
                self.send(self.run.submit_set_state(event["snapshot"]), "recordable")
            case "STATE_DELTA":
                self.send(self.run.submit_patch_state(event["delta"]), "state-patch")
            case "STEP_STARTED" | "STEP_FINISHED":
                self._step(event, kind)
            case "ACTIVITY_SNAPSHOT" | "ACTIVITY_DELTA":
                self._activity(event, kind)
            case "SUBAGENT_STARTED" | "SUBAGENT_FINISHED" | "SUBAGENT_ERROR":
                self._sub_agents.take(event, kind)
            case "MESSAGES_SNAPSHOT":
                await self.streaming.repeat(event["messages"])
            case "RUN_FINISHED" | "RUN_ERROR":
                self._look_at_end(event)
                await self.ending.take(event, kind)
                self.is_over = True
            case _:
                self._keep(event, kind)

    def _start(self, event: Event) -> None:
        if self._has_started:
            self.problem("one-run-at-a-time", "a second RUN_STARTED was left out")
            return
        self._has_started = True
        self._said = event["threadId"], event["runId"]
        if self._said != self._shown:
            self.problem("asked-run", f"RUN_STARTED names {self._said}, and the run is {self._shown}, which stands")

    def _look_at_end(self, event: Event) -> None:
        named = zip(("same-thread", "same-run"), ("threadId", "runId"), self._said, self._shown, strict=True)
        for rule, name, said, shown in named:
            if event.get(name, said) not in {said, shown}:
                self.problem(rule, f"RUN_FINISHED has the {name} {event[name]!r}, and RUN_STARTED {said!r}; the run is over")

    def take_result(self, event: Event) -> None:
        """Take in what a tool answered."""
        call_id, content, run = message_id_of(event["toolCallId"]), event["content"], self.run_of(event)
        self.streaming.end_call(call_id)
        if call_id not in self.calls:
            self.problem("result-of-call", f"TOOL_CALL_RESULT for {call_id!r}, which nobody called, was left out")
            return
        message_id = message_id_of(event["messageId"])
        said = parts_of(content)
        if self.calls[call_id]:
            self.send(run.submit_add_message("tool", said, message_id=message_id, tool_call_id=call_id), "id-once")
            return
        self.calls[call_id] = True
        self.asked.pop(call_id, None)
        message = _plan(Run.add_message, run, "tool", said, message_id=message_id, tool_call_id=call_id)
        end = _plan(ToolCall.succeed, run.tool_call(call_id), content)
        self.send(self.ledger.executor.submit_plan(_answering(run.id, call_id, message, end)), "result-once")

    def _step(self, event: Event, kind: str) -> None:
        key, run = (str(event.get("subagentRunId")), event["stepName"]), self.run_of(event)
        if kind == "STEP_STARTED":
            if key in self._steps:
                self.problem("step-once", f"the step {key[1]!r} is open already; its second start was left out")
                return
            self._steps[key] = new_id("step")
            self.send(run.submit_start_step(key[1], step_id=self._steps[key]), "recordable")
        elif key in self._steps:
            handle = Step(self._steps.pop(key), run.executor, run.id)
            self.send(handle.submit_finish(), "recordable")
        else:
            self.problem("step-start", f"the end of the step {key[1]!r}, which is not open, was left out")

    def close_open(self, owner: str | None = None) -> None:
        """The run is over, or a sub-agent: so is all that it has open."""
        self.streaming.close(owner)
        if owner is not None:
            return
        self._sub_agents.close()
        for (whose, name), step_id in list(self._steps.items()):
            run = self.children.get(whose, self.run)
            self.problem("step-end", f"the step {name!r} was open at the end, and ended with it")
            self.send(Step(step_id, run.executor, run.id).submit_finish(), "recordable")
        self._steps.clear()

    def _activity(self, event: Event, kind: str) -> None:
        message_id, run = message_id_of(event["messageId"]), self.run_of(event)
        known = self._activities.get(message_id)
        if kind == "ACTIVITY_DELTA":
            if known is None:
                self.problem("activity-known", f"ACTIVITY_DELTA for {message_id!r}, which nobody began, was left out")
                return
            try:
                content = jsonpatch.JsonPatch(event["patch"]).apply(known[1])
            except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, KeyError, IndexError) as error:
                self.problem("activity-patch", f"ACTIVITY_DELTA for {message_id!r} was left out: {error}")
                return
        else:
            content = event["content"]
        if known is not None and event.get("replace") is False:
            self.problem("activity-replace", f"ACTIVITY_SNAPSHOT for {message_id!r} replaces nothing, and was left out")
            return
        activity_type = event["activityType"] if known is None else known[0]
        if activity_type != event["activityType"]:
            self.problem("activity-type", f"{message_id!r} is {activity_type!r} and not {event['activityType']!r}, which stands")
        self._activities[message_id] = activity_type, content
        parts = (DataPart(data=content, name=activity_type),)
        if known is None:
            added = run.submit_add_message("activity", parts, message_id=message_id, activity_type=activity_type)
            self.send(added, "id-once")
        else:
            self.send(run.message(message_id).submit_revise(parts), "recordable")

    def _keep(self, event: Event, kind: str) -> None:
        """What the ledger has no event for is kept whole."""
        if kind not in KEPT and kind in MAPPED:  # there is a case for each above
            raise BrokenStreamError("type", kind)
        kept = self.run_of(event).submit_add_message("activity", kept_parts(event), activity_type=kind[:500])
        self.send(kept, "recordable")

    def resume(self, conversation: Conversation, whole: frozenset[str]) -> None:
        """Go on with what another process began to record; `whole` are the calls whose arguments are."""
        answered = {spoken.call_id for spoken in conversation.messages.values() if spoken.role == "tool"}
        self.calls |= {call_id: call_id in answered for call_id in whole}
        self.streaming.resume(conversation)

    async def flush(self) -> None:
        """Record the words that wait. Raises as `settle`."""
        self.streaming.flush()
        await self.settle(_ON_THE_WAY)

    async def in_thread(self, function: Any) -> Any:
        """Call something that waits for the database."""
        await self.settle()
        return await asyncio.to_thread(function)


def _broken(rule: str, error: Exception) -> str:
    """Return which rule a command was for whose refusal tells that one is broken."""
    if isinstance(error, DuplicateWithDifferentContent):
        return "id-once"
    return "recordable" if rule == "id-once" and isinstance(error, InvalidEvent) else rule


def _plan(method: Any, handle: Handle, *args: Any, **kwargs: Any) -> Plan[Any]:
    return planned(MethodCall(method.__wrapped__, handle, args, kwargs).with_lists())


def _answering(run_id: str, call_id: str, message: Plan[Any], end: Plan[Any]) -> Plan[Any]:
    """Return a plan to record a tool's message and the end of its call together: nobody sees one without the other."""

    def decide(session: Session) -> None:
        session.look_up_calls(session.run(run_id), (call_id,))
        message.decide(session)
        end.decide(session)

    return replace(end, decide=decide)


class RunEndedError(Exception):
    """Somebody ended the run, so the agent's work is not wanted any more."""
