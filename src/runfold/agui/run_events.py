"""A run of the ledger → AG-UI's events, one recorded event after another, whatever the run came from.

What AG-UI has no words for (decisions, problems, compactions …) goes out as `CUSTOM` events named `runfold.…`. Every event has
its place in the ledger in `metadata.runfold`, and there, too, what AG-UI's fields cannot hold: the exact parts of a message, that
a result was JSON. A run that waits for approvals ends as AG-UI has it, interrupted; if the same run goes on in the ledger, that
is another run for AG-UI, which resumes it, under the id with `:2`, `:3` … after it.
"""

from collections.abc import Iterable
from typing import Any

from ag_ui.core import (
    PROTOCOL_VERSION,
    MessagesSnapshotEvent,
    RunErrorEvent,
    RunFinishedEvent,
    RunStartedEvent,
    StateDeltaEvent,
    StateSnapshotEvent,
)

from runfold.agui.asking import Asking, interrupt
from runfold.agui.conversation import Conversation, Hidden
from runfold.agui.opened import Opened
from runfold.agui.saying import Saying
from runfold.agui.subagents import Subagents
from runfold.agui.totals import Totals
from runfold.agui.wire import WireEvent, custom, place, wire
from runfold.domain.message import MessageAdded, MessageEvent, MessageRedacted
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCancelled, RunCompleted, RunCreated, RunFailed, RunResumed, RunWaiting
from runfold.domain.step import StatePatched, StateSnapshotTaken, StepFinished, StepStarted
from runfold.domain.tool_call import ToolCallEvent, ToolStarted
from runfold.domain.usage import UsageCorrected, UsageRecorded

_CUSTOM = ("decision.", "outcome.", "problem.", "constraint.", "node.", "context.compacted")
_GIVEN = ("tools", "context", "forwardedProps")
"""What a run's input may hold of what AG-UI's clients send."""
_ENDINGS = (RunCompleted, RunFailed, RunCancelled)
_TOLD = (MessageEvent, ToolCallEvent, StateSnapshotTaken, StatePatched, StepStarted, StepFinished)


class RunEvents:
    """Makes AG-UI's events of one run: give it the events of the run's thread, in their order; others pass by.

    `past` are the events of the run's path before it, of which `with_past` tells the client at the start; else it is taken to
    know them. `shown_as` and `thread_shown_as` are the ids that the client uses, where they are not the ledger's. `hidden` are
    fields of messages that may no longer be shown, as far as that is known before.
    """

    def __init__(
        self,
        run_id: str,
        *,
        past: Iterable[Recorded] = (),
        with_past: bool = False,
        shown_as: str | None = None,
        thread_shown_as: str | None = None,
        hidden: Hidden | None = None,
    ) -> None:
        self.run_id = run_id
        self.conversation = Conversation(hidden)
        for recorded in past:
            self.conversation.take(recorded)
        self._with_past = with_past
        self._shown_as, self._thread_shown_as = shown_as or run_id, thread_shown_as
        self._opened, self._totals, self._asking = Opened(), Totals(), Asking()
        self._saying = Saying(self.conversation, self._opened)
        self._subagents = Subagents(run_id, self._opened)
        self._steps: dict[str, str] = {}
        self._created: RunCreated | None = None
        self._created_at = 0
        self._told: dict[str, Any] = {}
        self._round = 1
        self._is_running = self._is_done = self._is_resumed_elsewhere = False
        self._waits_for: list[str] = []
        self._asked_for: list[str] = []
        self._terminal: WireEvent | None = None

    @property
    def has_ended(self) -> bool:
        """Return whether it is over, for AG-UI: the run ended, or waits for answers."""
        return self._terminal is not None

    def take(self, recorded: Recorded) -> list[WireEvent]:
        """Return what a client is told of an event: nothing where it is not this run's, and at times only with what follows."""
        event = recorded.event
        if self._asking.take(recorded):
            return []
        if isinstance(event, RunCreated):
            self._note_created(event, recorded)
        if isinstance(event, MessageRedacted) and "name" in event.fields:
            self._opened.take_name(event.message_id)
        is_own = recorded.stream == self.run_id
        if self._created is None or self._is_done or not (is_own or self._subagents.has_open(recorded.stream)):
            if isinstance(event, MessageRedacted):  # whichever run of the thread records it, and whenever
                self._saying.is_revised = self._saying.is_revised or self.conversation.knows(event.message_id)
                self.conversation.take(recorded)
            return []
        self._told = place(recorded)
        if is_own and isinstance(event, _ENDINGS):
            return self._end(event)
        if is_own and isinstance(event, RunWaiting):
            self._wait(event)
        if is_own and isinstance(event, RunResumed) and self._waits_for:
            return self._interrupt()
        if is_own and self._is_given(event):
            self.conversation.take(recorded)
        elif self._is_told(recorded, event):
            return [*self._go_on(), *self._events(recorded, None if is_own else recorded.stream)]
        return []

    def settle(self) -> list[WireEvent]:
        """Return what waited for more to come: there is nothing more for now."""
        if self._created is None or (self.has_ended and not self._waits_for):
            return []
        found = [*self._start(), *self._saying.settle(), *self._revised()]
        return [*found, *self._interrupt()] if self._waits_for else found

    def join(self) -> list[WireEvent]:
        """Return what puts a client that knows nothing where the run is; `take` goes on from there.

        The run starts, all messages and the state are there as far as they came, what is open is opened again, and a run that
        is over ends as it did.
        """
        if self._created is None:
            return []
        self.settle()
        self._subagents.join()
        if self._terminal is not None and (outcome := self._terminal.get("outcome")):
            self._asked_for = [each["id"] for each in outcome.get("interrupts", ())]
        shown = [self._run_started(with_input=False), self._messages_snapshot(), *self._state_snapshot()]
        return [*shown, *self._opened.again(self._told), *([self._terminal] if self._terminal is not None else [])]

    def _note_created(self, event: RunCreated, recorded: Recorded) -> None:
        if recorded.stream == self.run_id:
            self._created, self._created_at = event, recorded.position
            self._thread_shown_as = self._thread_shown_as or recorded.thread_id
        elif self._created is not None and event.parent is not None:
            self._subagents.note(recorded.stream, event)
            if event.parent.kind == "resumes" and event.parent.run_id == self.run_id:
                self._is_resumed_elsewhere = True

    def _is_given(self, event: Any) -> bool:
        """Whether it is a message from outside, before the run did anything: that goes with the run's start."""
        is_before = not self._is_running and self._round == 1
        return (
            is_before
            and isinstance(event, MessageAdded)
            and not event.streaming
            and event.role in {"user", "system", "developer"}
        )

    def _is_told(self, recorded: Recorded, event: Any) -> bool:
        if isinstance(event, UsageRecorded | UsageCorrected):
            self._totals.take(event)
            return False
        if isinstance(event, _TOLD):
            return not isinstance(event, ToolStarted)
        return recorded.type.startswith(_CUSTOM) or (
            recorded.stream in self._subagents and isinstance(event, (RunCreated, *_ENDINGS))
        )

    def _events(self, recorded: Recorded, subagent: str | None) -> list[WireEvent]:
        event, told = recorded.event, self._told
        begun = [] if subagent is None or isinstance(event, _ENDINGS) else self._subagents.start(subagent, told)
        if isinstance(event, MessageEvent | ToolCallEvent):
            return [*begun, *self._saying.take(recorded, subagent)]
        begun = [*self._saying.settle(), *begun]
        match event:
            case StateSnapshotTaken() | StatePatched():
                return [*begun, self._state(recorded, event, subagent)]
            case StepStarted() | StepFinished():
                return [*begun, *self._step(event, subagent)]
            case RunCompleted() | RunFailed() | RunCancelled():
                return [*begun, *self._subagents.end(subagent or "", event, told)]
            case RunCreated():
                return begun
            case _:
                return [*begun, custom(event, told, subagent)]

    def _state(self, recorded: Recorded, event: StateSnapshotTaken | StatePatched, subagent: str | None) -> WireEvent:
        is_first = not self.conversation.has_state
        self.conversation.take(recorded)
        if isinstance(event, StateSnapshotTaken) or is_first:
            return _snapshot(self.conversation.state, self._told, subagent)
        return wire(StateDeltaEvent, self._told, delta=list(event.patch), subagent_run_id=subagent)

    def _step(self, event: StepStarted | StepFinished, subagent: str | None) -> list[WireEvent]:
        if isinstance(event, StepFinished):
            failed = {} if event.ok else {"ok": False}
            error = {} if event.error is None else {"error": event.error.model_dump(mode="json", exclude_none=True)}
            return self._opened.end("step", event.step_id, {**self._told, **failed, **error})
        name, again = event.name, 1
        while self._opened.has_step(name, subagent):
            again += 1
            name = f"{event.name} ({again})"
        more = {} if subagent is None else {"subagent_run_id": subagent}
        about = {**self._told, "step_id": event.step_id, **({"node_id": event.node_id} if event.node_id else {})}
        return [self._opened.start("step", event.step_id, about, step_name=name, **more)]

    def _go_on(self) -> list[WireEvent]:
        """What stands before anything that is told: the run starts, or, where it was interrupted, starts again."""
        if self.has_ended:
            self._waits_for = self._asking.open_of(self._asked_for)
            self._begin_round()
        return self._start()

    def _begin_round(self) -> None:
        self._round, self._terminal, self._is_running = self._round + 1, None, False
        self._subagents.start_again()

    def _start(self) -> list[WireEvent]:
        if self._is_running:
            return []
        self._is_running = True
        has_state = self.conversation.has_state and (self._with_past or self._parent() is not None)
        return [self._run_started(with_input=True), *(self._state_snapshot() if has_state else [])]

    def _run_started(self, *, with_input: bool) -> WireEvent:
        created = self._created
        if created is None:
            raise AssertionError("a run is started before it is created")
        given = created.input if isinstance(created.input, dict) else {}
        told: dict[str, Any] = {**self._told, "agent_id": created.agent_id}
        if created.parent is not None and self._round == 1:
            told["parent_kind"] = created.parent.kind
        if created.input is not None and not (given and given.keys() <= set(_GIVEN)):
            told["input"] = created.input
        return wire(
            RunStartedEvent,
            told,
            thread_id=self._thread_shown_as,
            run_id=self._run(),
            protocol_version=PROTOCOL_VERSION,
            parent_run_id=self._parent(),
            input=self._input(given) if with_input else None,
        )

    def _input(self, given: dict[str, Any]) -> dict[str, Any]:
        is_first = self._round == 1
        after = 0 if self._with_past else self._created_at
        sent = {
            "threadId": self._thread_shown_as,
            "runId": self._run(),
            "parentRunId": self._parent(),
            "messages": self.conversation.as_messages(after) if is_first else [],
            "state": self.conversation.state if self._with_past and is_first and self.conversation.has_state else None,
            "resume": self._resume() or None,
            **{name: given[name] for name in _GIVEN if name in given},
        }
        return {name: value for name, value in sent.items() if value is not None}

    def _run(self) -> str:
        return self._shown_as if self._round == 1 else f"{self._shown_as}:{self._round}"

    def _parent(self) -> str | None:
        if self._round > 1:
            return self._shown_as if self._round == 2 else f"{self._shown_as}:{self._round - 1}"
        return self._created.parent.run_id if self._created is not None and self._created.parent is not None else None

    def _resume(self) -> list[dict[str, Any]]:
        """The answers with which it goes on. Who is told of the past as messages was not there to be asked."""
        if self._round > 1:
            return [] if self._asking.open_of(self._asked_for) else self._asking.answers(self._asked_for)
        parent = self._created.parent if self._created is not None else None
        is_told = parent is not None and parent.kind == "resumes" and not self._with_past
        return self._asking.answers_of(parent.run_id) if parent is not None and is_told else []

    def _wait(self, event: RunWaiting) -> None:
        new = [one for one in event.approval_ids if one not in self._asked_for]
        if event.approval_ids and (new or not self.has_ended):
            if self.has_ended:
                self._begin_round()
            self._waits_for = list(event.approval_ids)
        elif self._terminal is not None and (outcome := self._terminal.get("outcome")):
            left = [each for each in outcome.get("interrupts", ()) if each["id"] in event.approval_ids]
            self._terminal = {**self._terminal, "outcome": {**outcome, "interrupts": left}}  # who joins now is asked for no more

    def _interrupt(self) -> list[WireEvent]:
        """The run ends with questions."""
        asked, self._waits_for = self._asking.requests(self._waits_for), []
        started = self._start() if asked else []  # with the answers to what was asked before
        self._asked_for = list(asked)
        suspended: dict[str, list[str]] = {}
        interrupts = []
        for approval_id, requested in asked.items():
            owner = requested.run_id if requested.run_id in self._subagents else None
            interrupts.append(interrupt(approval_id, requested, owner))
            if owner is not None:
                suspended.setdefault(owner, []).append(approval_id)
        if not interrupts:
            return []
        started += [*self._saying.settle(), *self._opened.end_all(self._told, suspended)]
        whole = (
            [*self._state_snapshot(), self._messages_snapshot()] if self.conversation.has_state else [self._messages_snapshot()]
        )
        self._saying.is_revised = False
        return [*started, *whole, self._finished({"type": "interrupt", "interrupts": interrupts}, {})]

    def _end(self, event: RunCompleted | RunFailed | RunCancelled) -> list[WireEvent]:
        self._is_done = True
        if isinstance(event, RunFailed) and self._terminal is not None:
            return [self._failed(event)]
        before: list[WireEvent] = []
        if isinstance(event, RunCompleted) and self._waits_for:
            before = self._interrupt()
        self._waits_for = []
        if self._is_resumed_elsewhere and self._terminal is not None:
            self._terminal = wire(RunFinishedEvent, self._told, thread_id=self._thread_shown_as, run_id=self._run())
            return before
        if self.has_ended:
            self._begin_round()
        before += [*self._start(), *self._saying.settle()]
        if isinstance(event, RunFailed):
            return [*before, *self._revised(), self._failed(event)]
        before += [*self._opened.end_all(self._told, {}), *self._revised()]
        if isinstance(event, RunCancelled):
            reason = {} if event.reason is None else {"reason": event.reason}
            return [*before, self._finished({"type": "cancelled"}, {"stop_reason": event.stop_reason, **reason})]
        told = {"stop_reason": event.stop_reason, **({"narrative": event.narrative} if event.narrative else {})}
        return [*before, self._finished({"type": "success"}, told, result=event.output)]

    def _failed(self, event: RunFailed) -> WireEvent:
        told = {**self._told, "stop_reason": event.stop_reason}
        error = event.error
        self._terminal = wire(RunErrorEvent, told, message=error.message, code=error.code, usage=self._totals.take_all())
        return self._terminal

    def _finished(self, outcome: dict[str, Any], told: dict[str, Any], result: Any = None) -> WireEvent:
        self._terminal = wire(
            RunFinishedEvent,
            {**self._told, **told},
            thread_id=self._thread_shown_as,
            run_id=self._run(),
            outcome=outcome,
            result=result,
            usage=self._totals.take_all(),
        )
        return self._terminal

    def _revised(self) -> list[WireEvent]:
        """The messages as they are now, where one of them reads otherwise than it was told."""
        is_revised, self._saying.is_revised = self._saying.is_revised, False
        return [self._messages_snapshot()] if is_revised else []

    def _messages_snapshot(self) -> WireEvent:
        return wire(MessagesSnapshotEvent, self._told, messages=self.conversation.as_messages(parts_after=self._created_at))

    def _state_snapshot(self) -> list[WireEvent]:
        return [_snapshot(self.conversation.state, self._told, None)] if self.conversation.has_state else []


def _snapshot(state: Any, told: dict[str, Any], subagent: str | None) -> WireEvent:
    found = wire(StateSnapshotEvent, told, snapshot={}, subagent_run_id=subagent)
    return {**found, "snapshot": state}  # which may be null
