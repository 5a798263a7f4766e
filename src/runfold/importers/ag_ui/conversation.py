"""An AG-UI conversation while its turns are worked out, and while they are recorded."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runfold.commands.caller import Envelope
from runfold.errors import InvalidEvent
from runfold.handles.tool_call import ToolCall
from runfold.ids import stable_id
from runfold.importers.ag_ui.history import Call, History, Past
from runfold.importers.ag_ui.told import result_told
from runfold.importers.recording import Recording, SourceRun
from runfold.importers.sources import Piece, Report, guarded

FORMAT = "ag-ui"
PERSON, AGENT, CLIENT = "human:user", "agent:ag-ui", "service:ag-ui"


@dataclass
class Asked:
    """An interrupt that waits for its answer."""

    approval_id: str
    run_id: str
    call: Call | None
    expires_at: datetime | None = None


class Stage:
    """The runs of a conversation while it is recorded."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.source_runs: dict[str, SourceRun] = {}
        self.past = frozenset(recording.known.ended)

    def source_run(self, run_id: str) -> SourceRun:
        """A turn's run. Raises InvalidEvent where it could not be begun."""
        if run_id not in self.source_runs:
            if run_id not in self.recording.known.runs:
                raise InvalidEvent("run", "its run could not be begun")
            self.source_runs[run_id] = SourceRun(self.recording, run_id)
        return self.source_runs[run_id]

    def ending(self, run_id: str, call_id: str, subagents: set[str]) -> ToolCall:
        """The handle on which a call ends that a run answers: in the run of the sub-agent that made it, while that goes on."""
        home = self.recording.known.home.get(call_id, "")
        of_subagent = self.source_run(home) if home in subagents else None
        return (of_subagent if of_subagent is not None and of_subagent.is_open else self.source_run(run_id)).ending(call_id)

    def has_state(self, run_id: str, states: int) -> bool:
        """Whether so many changes of a run's state are in: they have no ids by which that could be told."""
        return run_id in self.past or self.recording.known.states[run_id] >= states


Act = Callable[[Stage], object]


@dataclass
class Conversation:
    """Turns that follow each other: first worked out, and then recorded."""

    thread_id: str
    title: str
    external_ref: str
    acts: list[tuple[Piece, Act]] = field(default_factory=list)
    history: History = field(default_factory=History)
    asked: dict[str, Asked] = field(default_factory=dict)
    """Open interrupts by the source's ids."""
    asked_before: dict[str, Asked] = field(default_factory=dict)
    """Those of earlier imports, by the ids of their approvals."""
    resumed_by: dict[str, str] = field(default_factory=dict)
    """The runs that runs of this import resume, where an earlier one had what the client sent."""
    answered: dict[str, Any] = field(default_factory=dict)
    """The answers to interrupts: a client that sends its request again sends them again."""
    known_ids: set[str] = field(default_factory=set)
    """The source's ids of activities, and of messages that a ledger tells of, that there are."""
    state: Any = None
    last: str | None = None
    """The run of the latest turn."""
    runs: set[str] = field(default_factory=set)
    subagents: set[str] = field(default_factory=set)
    """The runs of sub-agents."""

    def take_asked(self, interrupt_id: str) -> Asked | None:
        """The open interrupt that an answer is for, which is open no longer then."""
        if (asked := self.asked.pop(interrupt_id, None)) is not None:
            return asked
        for approval_id, before in reversed(self.asked_before.items()):
            if approval_id == stable_id("approval", before.run_id, interrupt_id):
                return self.asked_before.pop(approval_id)
        return None

    def record(self, recording: Recording) -> None:
        """Give all commands."""
        recording.in_one_go = True
        recording.begin(agent_id=FORMAT, title=self.title, external_ref=self.external_ref, actor=CLIENT)
        stage = Stage(recording)
        for piece, act in self.acts:
            with recording.of(piece):
                act(stage)


class TurnWriter:
    """What both sides of a turn do: say, call, answer, set the state."""

    def __init__(self, talk: Conversation, run_id: str, at: Piece, report: Report) -> None:
        self.talk = talk
        self.run_id = run_id
        self.at = at
        """The record that is worked on."""
        self.report = report
        self.began_at: datetime | None = None
        """When its run began, as its events say."""
        self._used: Counter[tuple[str, ...]] = Counter()
        self._states = 0

    def id(self, prefix: str, *words: object) -> str:
        """An id made from the source's words."""
        return stable_id(prefix, self.run_id, *(str(word) for word in words))

    def numbered(self, prefix: str, *words: str) -> str:
        """The same for the first with these words; another one for each that comes after it."""
        self._used[(prefix, *words)] += 1
        again = self._used[(prefix, *words)]
        return self.id(prefix, *words, *([again] if again > 1 else []))

    def guard(self, take: Callable[[], None]) -> None:
        """Work on a record. What does not fit is a problem, and the rest goes in."""
        with guarded(self.at, self.report):
            take()

    def do(self, act: Act) -> None:
        """Have a command given when the conversation is recorded."""
        self.talk.acts.append((self.at, act))

    def refuse_later(self, path: str, reason: str) -> None:
        """A problem, unless the ledger knows what this import does not."""

        def refuse(_: Stage) -> None:
            raise InvalidEvent(path, reason)

        self.do(refuse)

    def source_run(self, stage: Stage) -> SourceRun:
        """This turn's run."""
        return stage.source_run(self.run_id)

    def as_actor(self, actor: str) -> Envelope:
        """Who did something when the run began, where it is said when that was."""
        return {"actor": actor} if self.began_at is None else {"actor": actor, "occurred_at": self.began_at}

    def say(self, past: Past, envelope: Envelope, call: Call | None = None) -> Past:
        """Add a message. What it says is read when it is recorded: a longer copy of it may come."""
        self.talk.history.add(past)
        call_id = call.id if call else None

        def add(stage: Stage) -> None:
            named = {"activity_type": past.activity_type, "author": past.author}
            more = {name: value for name, value in named.items() if value is not None}
            if not past.is_void:
                self.source_run(stage).add_message(
                    past.role, past.parts, message_id=past.message_id, tool_call_id=call_id, **more, **envelope
                )

        self.do(add)
        return past

    def call(self, source_id: str, name: str, text: str, message_id: str | None, envelope: Envelope) -> None:
        """A tool call."""
        call = Call(self.numbered("call", source_id), name, text)
        self.talk.history.calls.setdefault(source_id, []).append(call)
        self.do(
            lambda stage: self.source_run(stage).call_tool(
                name, text, call_id=call.id, message_id=message_id, provider_call_id=source_id, **envelope
            )
        )

    def answer(
        self, call: Call | None, source_id: str, content: Any, error: str | None, envelope: Envelope, told: dict[str, Any]
    ) -> None:
        """The result of a tool call. `told` is what a ledger of Runfold says of it."""
        if told.get("no_end") is True:
            return
        if call is None:
            self.refuse_later("toolCallId", f"answers {source_id!r}, which no call has")
            return
        if not call.is_open_in(self.run_id):
            self.report(self.at.note("answers to calls that were answered, kept as messages"))
            return
        call.is_answered = True
        failed, cancelled = told.get("error"), told.get("cancelled")
        if isinstance(failed, dict):
            error = str(failed.get("message") or error or content)
        code = str((failed or {}).get("code") or "tool_error") if isinstance(failed, dict) else "tool_error"
        subagents = self.talk.subagents
        if isinstance(cancelled, dict):
            reason = cancelled.get("reason")
            self.do(lambda stage: stage.ending(self.run_id, call.id, subagents).cancel(reason, **envelope))
        elif error is not None:
            self.do(lambda stage: stage.ending(self.run_id, call.id, subagents).fail(error, code=code, **envelope))
        else:
            result = result_told(told, content)
            self.do(lambda stage: stage.ending(self.run_id, call.id, subagents).succeed(result, **envelope))

    def set_state(self, state: Any, envelope: Envelope) -> None:
        """The shared state, whole."""
        is_same = self._states > 0 and self.talk.state == state
        self.talk.state = state
        self._change_state(0 if is_same else 1, lambda run: run.set_state(state, **envelope))

    def patch_state(self, state: Any, patch: Any, envelope: Envelope) -> None:
        """The shared state, changed. The first change of a run is recorded after what it starts from."""
        self.talk.state = state
        self._change_state(1 if self._states else 2, lambda run: run.patch_state(patch, **envelope))

    def _change_state(self, states: int, change: Callable[[Any], object]) -> None:
        self._states += states
        so_far = self._states
        self.do(lambda stage: stage.has_state(self.run_id, so_far) or change(self.source_run(stage).tip))
