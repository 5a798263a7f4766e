"""What becomes of the turns of an AG-UI conversation.

- Messages that the client repeats are found in the history, by their words and calls and not by their ids; others are new.
- Text that streams in deltas is one message. Tool calls that name no message get one, as a client builds it.
- An interrupt is an approval, and the run waits. `resume` of the next turn is the vote on it, and that run `resumes` this
  one, which ends with that turn. A call that the resumed run announces again, as it was approved, is the same call: it is
  counted as the source counts it, and recorded once; with it the approval is used.
- `RAW` and `CUSTOM` events are kept whole, as messages of role `activity`, and are not counted as messages.
- `rawEvent` says what its event says in a framework's words, and is not kept.
- A turn of which there is no response is a run that goes on; a response that breaks off is a run that failed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jsonpatch

from runfold.commands.caller import Envelope
from runfold.domain.parts import DataPart, Part, ReasoningPart, TextPart
from runfold.domain.step import apply_patch
from runfold.errors import InvalidEvent
from runfold.importers.ag_ui_content import parts_of, same_json
from runfold.importers.ag_ui_conversation import AGENT, CLIENT, Call, Conversation, Past, TurnWriter
from runfold.importers.ag_ui_request import RequestPlan
from runfold.importers.ag_ui_shapes import AgUiEvent, Interrupt, Request
from runfold.importers.sources import OF_A_RECORD, Piece, Report, why


@dataclass
class Turn:
    """The files of one turn."""

    number: int
    request: Piece | None = None
    events: list[Piece] = field(default_factory=list)
    has_response: bool = False

    def plan(self, talk: Conversation, report: Report) -> None:
        """Work out its commands. What does not fit is reported."""
        if self.request is None and not self.events:
            return
        at = self.request or self.events[0]
        writer = TurnWriter(talk, self.number, at, report)
        request = Request()
        if self.request is not None:
            try:
                request = self.request.shaped(Request)
            except OF_A_RECORD as error:
                report(at.problem(why(error)))
        plan = RequestPlan(writer)
        plan.plan(request)
        answer = _Answer(writer, plan)
        for piece in self.events:
            writer.at = piece
            writer.guard(partial(answer.take, piece))
        if self.has_response and not answer.is_over:
            answer.fail("the stream breaks off before the run's end", "incomplete", {"actor": AGENT})
        plan.conclude()


@dataclass
class _Group:
    """The message that tool calls belong to."""

    parent_id: str
    message_id: str
    past: Past


class _Answer:
    """The agent's events of one turn → commands."""

    def __init__(self, turn: TurnWriter, request: RequestPlan) -> None:
        self.turn = turn
        self.talk = turn.talk
        self.request = request
        self.texts: dict[str, tuple[str, list[str]]] = {}
        self.starting: dict[str, tuple[AgUiEvent, list[str]]] = {}
        self.group: _Group | None = None
        self.said: dict[str, _Group] = {}
        """This turn's messages by the source's id: a call may name one as its own."""
        self.steps: dict[str, str] = {}
        self.is_over = False

    def take(self, piece: Piece) -> None:
        """Take in an event. Raises InvalidEvent for what does not fit."""
        event = piece.shaped(AgUiEvent)
        kind = event.type
        envelope: Envelope = {"actor": AGENT}
        if event.at is not None:
            envelope["occurred_at"] = event.at
        if kind.startswith(("TEXT_MESSAGE_", "REASONING_MESSAGE_")):
            self._text(event, envelope)
        elif kind == "TOOL_CALL_RESULT":
            self._result(event, {**envelope, "actor": CLIENT})
        elif kind.startswith("TOOL_CALL_"):
            self._tool_call(event, envelope)
        elif kind.startswith("STATE_"):
            self._state(event, envelope)
        elif kind.startswith("STEP_"):
            self._step(event, envelope)
        elif kind in {"RAW", "CUSTOM", "ACTIVITY_SNAPSHOT"}:
            self._activity(event, piece, envelope)
        elif kind == "MESSAGES_SNAPSHOT":
            self.request.repeat(event.messages, "snapshot", piece.path)
        elif kind == "RUN_FINISHED":
            self._finish(event, envelope)
        elif kind == "RUN_ERROR":
            self.fail(event.message or "the agent failed", event.code or "error", envelope)
        elif kind not in {"RUN_STARTED", "REASONING_START", "REASONING_END"}:
            raise InvalidEvent("type", f"an AG-UI event of type {kind!r} is not imported")

    def fail(self, message: str, code: str, envelope: Envelope) -> None:
        """The run ends badly."""
        self._flush(envelope)
        stop_reason = "incomplete" if code == "incomplete" else "error"
        self._end(lambda run: run.fail(message, code=code, stop_reason=stop_reason, **envelope))

    # Text

    def _text(self, event: AgUiEvent, envelope: Envelope) -> None:
        source_id, kind = event.message_id, event.type.rpartition("_")[2]
        if kind == "START" or (kind == "CHUNK" and source_id not in self.texts):
            self.texts[source_id] = ("reasoning" if event.type.startswith("REASONING") else event.role or "assistant", [])
        if source_id not in self.texts:
            raise InvalidEvent("messageId", f"{source_id!r} was not started")
        if event.delta is not None:
            self.texts[source_id][1].append(_string(event.delta))
        if kind == "END":
            self._end_text(source_id, envelope)

    def _end_text(self, source_id: str, envelope: Envelope) -> None:
        role, deltas = self.texts.pop(source_id)
        text = "".join(deltas)
        past, message_id = Past(role, text), self.turn.numbered("msg", source_id)
        part: Part = ReasoningPart(text=text) if role == "reasoning" else TextPart(text=text)
        self.turn.say(role, (part,), message_id, envelope)
        self.talk.history.append(past)
        self.said[source_id], self.group = _Group(source_id, message_id, past), None

    # Tools

    def _tool_call(self, event: AgUiEvent, envelope: Envelope) -> None:
        source_id, kind = event.tool_call_id, event.type.rpartition("_")[2]
        if kind == "START" or (kind == "CHUNK" and source_id not in self.starting):
            if not event.tool_call_name:
                raise InvalidEvent("toolCallName", f"is missing where the call {source_id!r} starts")
            self.starting[source_id] = (event, [])
        if source_id not in self.starting:
            raise InvalidEvent("toolCallId", f"{source_id!r} was not started")
        if event.delta is not None:
            self.starting[source_id][1].append(_string(event.delta))
        if kind == "END":
            self._end_call(source_id, envelope)

    def _end_call(self, source_id: str, envelope: Envelope) -> None:
        start, deltas = self.starting.pop(source_id)
        name, text, known = start.tool_call_name, "".join(deltas), self.talk.calls.get(source_id)
        if known is not None and known.name == name and known.approved_text is not None and not known.is_answered:
            self._use_approval(known, known.approved_text, text, envelope)
            return
        group = self._group_of(start.parent_message_id, source_id, envelope)
        group.past.calls = (*group.past.calls, source_id)
        self.turn.call(source_id, name, text, group.message_id, envelope)

    def _use_approval(self, call: Call, approved: str, text: str, envelope: Envelope) -> None:
        self.talk.counts.tool_calls += 1
        if not same_json(text, approved):
            raise InvalidEvent("delta", f"{call.name} is called with other arguments than were approved")
        key, approval_id = self.turn.id("exec", call.id), call.approval_id or ""
        self.turn.do(lambda stage: stage.recording.batch.approval(approval_id).consume(approved, execution_key=key, **envelope))

    def _group_of(self, parent_id: str, source_id: str, envelope: Envelope) -> _Group:
        """The message that a call belongs to: the one it names, that of the call before it, or a new one."""
        if parent_id in self.said:
            return self.said[parent_id]
        if self.group is None or self.group.parent_id != parent_id:
            message_id = self.turn.numbered("msg", parent_id or source_id)
            self.group = _Group(parent_id, message_id, Past("assistant", ""))
            self.talk.history.append(self.group.past)
            self.turn.say("assistant", (), message_id, envelope)
        return self.group

    def _result(self, event: AgUiEvent, envelope: Envelope) -> None:
        call = self.talk.calls.get(event.tool_call_id)
        message_id = self.turn.numbered("msg", "result", event.tool_call_id)
        self.turn.say("tool", parts_of(event.content), message_id, envelope, call)
        self.talk.history.append(Past("tool", event.tool_call_id))
        self.group = None
        self.turn.answer(call, event.tool_call_id, event.content, envelope)

    # The rest

    def _state(self, event: AgUiEvent, envelope: Envelope) -> None:
        if event.type == "STATE_SNAPSHOT":
            self.turn.set_state(event.snapshot, envelope)
            return
        delta, before = event.delta, {} if self.talk.state is None else self.talk.state
        try:
            self.talk.state = apply_patch(before, delta)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, KeyError, IndexError) as error:
            raise InvalidEvent("delta", f"does not apply: {error}") from None
        turn = self.turn
        turn.do(lambda stage: stage.is_past(turn.number) or turn.source_run(stage).tip.patch_state(delta, **envelope))

    def _step(self, event: AgUiEvent, envelope: Envelope) -> None:
        name, turn = event.step_name, self.turn
        if event.type == "STEP_STARTED":
            started = self.steps[name] = turn.numbered("step", name)
            turn.do(lambda stage: turn.source_run(stage).run(started).start_step(name, step_id=started, **envelope))
            return
        if name not in self.steps:
            raise InvalidEvent("stepName", f"the step {name!r} was not started")
        ended = self.steps.pop(name)
        turn.do(lambda stage: turn.source_run(stage).run(ended).start_step(name, step_id=ended).finish(**envelope))

    def _activity(self, event: AgUiEvent, piece: Piece, envelope: Envelope) -> None:
        is_message = event.type == "ACTIVITY_SNAPSHOT"
        kind = event.activity_type if is_message and event.activity_type else event.type
        parts = (DataPart(data=event.content if is_message else piece.value(), name=kind),)
        message_id, turn = self.turn.numbered("msg", kind, event.message_id), self.turn
        self.talk.counts.messages += is_message
        turn.do(
            lambda stage: turn.source_run(stage).add_message(
                "activity", parts, message_id=message_id, activity_type=kind, **envelope
            )
        )

    def _finish(self, event: AgUiEvent, envelope: Envelope) -> None:
        self._flush(envelope)
        for index, used in enumerate(event.usage):
            self._use(index, used.model_dump(exclude_none=True), envelope)
        self.is_over = True
        match event.outcome.type:
            case "interrupt":
                for interrupt in event.outcome.interrupts:
                    self._ask(interrupt, envelope)
            case "cancelled":
                self._end(lambda run: run.cancel(**envelope))
            case "success":
                self._end(lambda run: run.complete(**envelope))

    def _use(self, index: int, used: dict[str, Any], envelope: Envelope) -> None:
        self.talk.counts.add_tokens(used.get("input_tokens"), used.get("output_tokens"))
        usage_id, turn = self.turn.id("usage", index), self.turn
        turn.do(
            lambda stage: turn.source_run(stage).use(
                usage_id,
                provider=used.get("provider"),
                model=used.get("model"),
                input_tokens=used.get("input_tokens"),
                output_tokens=used.get("output_tokens"),
                total_tokens=used.get("total_tokens"),
                reasoning_output_tokens=used.get("reasoning_tokens"),
                cache_read_input_tokens=used.get("cached_input_tokens"),
                raw=used,
                **envelope,
            )
        )

    def _ask(self, interrupt: Interrupt, envelope: Envelope) -> None:
        call, turn = self.talk.calls.get(interrupt.tool_call_id or ""), self.turn
        approval_id = turn.id("approval", interrupt.id)
        if call is not None:
            call.approval_id = approval_id
        self.talk.asked[interrupt.id] = (approval_id, call)
        self.talk.counts.approvals += 1
        turn.do(
            lambda stage: (
                turn.source_run(stage)
                .run(approval_id)
                .request_approval(
                    call.name if call else interrupt.reason,
                    arguments=call.arguments_text if call else None,
                    call_id=call.id if call else None,
                    reason=interrupt.reason,
                    message=interrupt.message,
                    response_schema=interrupt.response_schema,
                    expires_at=interrupt.expires_at,
                    approval_id=approval_id,
                    approver_kinds=None,
                    requester_excluded=None,
                    **envelope,  # the protocol says nothing of who may answer
                )
            )
        )

    def _end(self, end: Callable[[Any], object]) -> None:
        self.is_over = True
        self.turn.do(lambda stage: (run := self.turn.source_run(stage).end()) is not None and end(run))

    def _flush(self, envelope: Envelope) -> None:
        """What was begun and not ended, as far as it came."""
        for source_id in list(self.texts):
            self._end_text(source_id, envelope)
        for source_id in list(self.starting):
            self._end_call(source_id, envelope)


def _string(delta: Any) -> str:
    if not isinstance(delta, str):
        raise InvalidEvent("delta", f"is {type(delta).__name__}, not text")
    return delta
