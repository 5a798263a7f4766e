"""The agent's side of an AG-UI turn: the events of its run."""

from collections.abc import Callable
from typing import Any

import jsonpatch

from runfold.agui.content import parts_of
from runfold.commands.caller import Envelope
from runfold.domain.parts import DataPart
from runfold.domain.step import apply_patch
from runfold.errors import InvalidEvent
from runfold.importers.ag_ui.conversation import AGENT, CLIENT, Asked, TurnWriter
from runfold.importers.ag_ui.history import Past
from runfold.importers.ag_ui.request import RequestPlan
from runfold.importers.ag_ui.shapes import AgUiEvent, Interrupt, Used, moment
from runfold.importers.ag_ui.streams import Kind, Streams
from runfold.importers.sources import Piece

_KEPT_WHOLE = frozenset(
    {
        "RAW",
        "CUSTOM",
        "ACTIVITY_SNAPSHOT",
        "ACTIVITY_DELTA",
        "REASONING_ENCRYPTED_VALUE",
        "SUBAGENT_STARTED",
        "SUBAGENT_FINISHED",
        "SUBAGENT_ERROR",
    }
)
_SILENT = frozenset({"RUN_STARTED", "REASONING_START", "REASONING_END", "THINKING_START", "THINKING_END"})
_STREAMED: dict[str, Kind] = {
    "TEXT_MESSAGE": "text",
    "REASONING_MESSAGE": "reasoning",
    "THINKING_TEXT_MESSAGE": "reasoning",
    "TOOL_CALL": "call",
}
_PHASES = frozenset({"START", "CONTENT", "ARGS", "END", "CHUNK"})


class Answer:
    """The agent's events of one run → commands."""

    def __init__(self, turn: TurnWriter, request: RequestPlan) -> None:
        self.turn = turn
        self.talk = turn.talk
        self.request = request
        self.streams = Streams(turn)
        self.steps: dict[str, str] = {}
        self.is_over = False

    def take(self, piece: Piece) -> None:
        """Take in an event. Raises InvalidEvent for what does not fit."""
        event = piece.shaped(AgUiEvent)
        envelope: Envelope = {"actor": AGENT}
        if event.at is not None:
            envelope["occurred_at"] = event.at
        elif event.timestamp is not None:
            self.turn.report(
                piece.problem(f"timestamp: {event.timestamp!r:.40} is no time that can be told for certain; left out")
            )
        stem, _, phase = event.type.rpartition("_")
        if stem in _STREAMED and phase in _PHASES:
            self.streams.take(event, _STREAMED[stem], phase, envelope)
            return
        self.streams.close_chunk(envelope)
        self._take_other(event, piece, envelope)

    def break_off(self) -> None:
        """There are no more events, and the run is not over: nobody has seen how it ended."""
        self.streams.break_off({"actor": AGENT})

    def _take_other(self, event: AgUiEvent, piece: Piece, envelope: Envelope) -> None:
        match event.type:
            case "TOOL_CALL_RESULT":
                self._result(event, {**envelope, "actor": CLIENT})
            case "STATE_SNAPSHOT":
                self.turn.set_state(event.snapshot, envelope)
            case "STATE_DELTA":
                self._patch(event.delta, envelope)
            case "STEP_STARTED" | "STEP_FINISHED":
                self._step(event, envelope)
            case "MESSAGES_SNAPSHOT":
                which = self.turn.numbered("snapshot")
                self.request.repeat(event.messages, which, is_whole=True, open_ids=self.streams.open_ids)
            case "RUN_FINISHED":
                self._finish(event, envelope)
            case "RUN_ERROR":
                self._fail(event, envelope)
            case kind if kind in _KEPT_WHOLE:
                self._keep_whole(event, piece, envelope)
            case kind if kind not in _SILENT:
                self.turn.report(piece.note(f"events of type {kind[:60]!r}, which AG-UI does not have"))

    def _result(self, event: AgUiEvent, envelope: Envelope) -> None:
        self.streams.end_call(event.tool_call_id, envelope)
        call = self.talk.history.call(event.tool_call_id)
        message_id = self.turn.numbered("msg", "result", event.tool_call_id)
        parts = parts_of(event.content)
        past = Past("tool", parts, event.message_id, message_id, self.turn.run_id, event.tool_call_id)
        self.turn.say(past, envelope, call)
        self.turn.answer(call, event.tool_call_id, event.content, None, envelope)

    def _patch(self, delta: Any, envelope: Envelope) -> None:
        before = {} if self.talk.state is None else self.talk.state
        try:
            after = apply_patch(before, delta)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, KeyError, IndexError) as error:
            raise InvalidEvent("delta", f"does not apply: {error}") from None
        self.turn.patch_state(after, delta, envelope)

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

    def _keep_whole(self, event: AgUiEvent, piece: Piece, envelope: Envelope) -> None:
        is_message = event.type == "ACTIVITY_SNAPSHOT"
        kind = event.activity_type if is_message and event.activity_type else event.type
        parts = (DataPart(data=event.content if is_message else piece.value(), name=kind),)
        message_id, turn = self.turn.numbered("msg", kind, event.message_id), self.turn
        turn.do(
            lambda stage: turn.source_run(stage).add_message(
                "activity", parts, message_id=message_id, activity_type=kind, **envelope
            )
        )

    def _finish(self, event: AgUiEvent, envelope: Envelope) -> None:
        self.streams.finish(envelope)
        self._use_all(event, envelope)
        self.is_over = True
        outcome = event.outcome
        if outcome is not None and outcome.type == "interrupt":
            for interrupt in outcome.interrupts:
                self._ask(interrupt, envelope)
        elif outcome is not None and outcome.type == "cancelled":
            self._end(lambda run: run.cancel(**envelope))
        else:
            self.talk.history.completed.add(self.turn.run_id)
            self._end(lambda run: run.complete(**envelope))

    def _fail(self, event: AgUiEvent, envelope: Envelope) -> None:
        self.streams.finish(envelope)
        self._use_all(event, envelope)
        message, code = event.message or "the agent failed", event.code or "error"
        self._end(lambda run: run.fail(message, code=code, stop_reason="error", **envelope))

    def _use_all(self, event: AgUiEvent, envelope: Envelope) -> None:
        for used in event.usage or ():
            self._use(used, self.turn.numbered("usage"), envelope)

    def _use(self, used: Used, usage_id: str, envelope: Envelope) -> None:
        turn, raw = self.turn, used.model_dump(exclude_none=True)
        beside = used.output_tokens is not None and (used.reasoning_tokens or 0) > used.output_tokens
        turn.do(
            lambda stage: turn.source_run(stage).use(
                usage_id,
                provider=used.provider,
                model=used.model,
                input_tokens=used.input_tokens,
                output_tokens=used.output_tokens,
                total_tokens=used.total_tokens,
                reasoning_output_tokens=used.reasoning_tokens,
                reasoning_beside=beside,
                cache_read_input_tokens=used.cached_input_tokens,
                cache_creation_input_tokens=used.cache_write_input_tokens,
                raw=raw,
                **envelope,
            )
        )

    def _ask(self, interrupt: Interrupt, envelope: Envelope) -> None:
        call, turn = self.talk.history.call(interrupt.tool_call_id or ""), self.turn
        approval_id, expires_at = turn.numbered("approval", interrupt.id), moment(interrupt.expires_at)
        if expires_at is None and interrupt.expires_at is not None:
            turn.report(
                turn.at.problem(f"expiresAt: {interrupt.expires_at!r:.40} is no time that can be told for certain; left out")
            )
        if call is not None:
            call.approval_id = approval_id
        self.talk.asked[interrupt.id] = Asked(approval_id, turn.run_id, call, expires_at)
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
                    expires_at=expires_at,
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
