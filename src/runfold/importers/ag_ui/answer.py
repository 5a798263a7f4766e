"""The agent's side of an AG-UI turn: the events of its run."""

from collections.abc import Callable
from typing import Any

import jsonpatch

from runfold.agui.content import parts_of
from runfold.agui.kept import KEPT, MAPPED, kept_parts
from runfold.agui.wire_key import CUSTOM, MESSAGE
from runfold.commands.caller import Envelope
from runfold.domain.step import apply_patch
from runfold.errors import InvalidEvent
from runfold.importers.ag_ui.activities import Activities
from runfold.importers.ag_ui.conversation import AGENT, CLIENT, Asked, TurnWriter
from runfold.importers.ag_ui.history import Past
from runfold.importers.ag_ui.request import RequestPlan
from runfold.importers.ag_ui.shapes import AgUiEvent, Interrupt, Used, moment
from runfold.importers.ag_ui.streams import Kind, Streams
from runfold.importers.ag_ui.subagents import Subagents
from runfold.importers.ag_ui.told import parts_told, without_told
from runfold.importers.sources import Piece

_ENDS = frozenset(f"{CUSTOM}tool.{how}" for how in ("succeeded", "failed", "cancelled"))
"""How a ledger of Runfold names the end of a call whose answer was told before it."""
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
        self.activities = Activities(turn)
        self.steps: dict[str, str] = {}
        self.is_over = False
        self.subagents = Subagents(turn, lambda of_one: Answer(of_one, request))

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
        if (owner := self.subagents.owner_of(event)) is not None:
            owner.take_own(event, piece, envelope)
            return
        self.take_own(event, piece, envelope)

    def take_own(self, event: AgUiEvent, piece: Piece, envelope: Envelope) -> None:
        """Take in an event that is of this run, and of no sub-agent."""
        stem, _, phase = event.type.rpartition("_")
        if stem in _STREAMED and phase in _PHASES:
            self.streams.take(event, _STREAMED[stem], phase, envelope)
            return
        self.streams.close_chunk(envelope)
        self._take_other(event, piece, envelope)

    def break_off(self) -> None:
        """There are no more events, and the run is not over: nobody has seen how it ended."""
        self.subagents.break_off({"actor": AGENT})
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
            case "ACTIVITY_SNAPSHOT" | "ACTIVITY_DELTA":
                self._activity(event, envelope)
            case "SUBAGENT_STARTED" | "SUBAGENT_FINISHED" | "SUBAGENT_ERROR":
                self.subagents.take(event, envelope)
            case kind if kind not in _SILENT:
                self._keep_whole(event, piece, envelope)

    def _result(self, event: AgUiEvent, envelope: Envelope) -> None:
        self.streams.end_call(event.tool_call_id, envelope)
        call = self.talk.history.call(event.tool_call_id)
        message_id = self.turn.numbered("msg", "result", event.tool_call_id)
        parts, told = parts_told(event.told, parts_of(event.content)), event.told
        past = Past("tool", parts, event.message_id, message_id, self.turn.run_id, event.tool_call_id)
        past.is_void = told.get("no_message") is True
        self.turn.say(past, envelope, call)
        self.turn.answer(call, event.tool_call_id, event.content, None, envelope, told)

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
        kind, turn, told = event.type, self.turn, event.told
        if told.get("is_implied") is True:
            return
        if kind == "CUSTOM" and told and event.name in _ENDS and isinstance(event.value, dict):
            call_id = str(event.value.get("call_id"))
            turn.answer(self.talk.history.call(call_id), call_id, "", None, {**envelope, "actor": CLIENT}, told)
            return
        if kind == "CUSTOM" and told and str(event.name).startswith(CUSTOM):
            turn.report(piece.note(f"events {str(event.name)[:60]} of a ledger of Runfold, which AG-UI does not have"))
            return
        if kind not in MAPPED | KEPT:
            turn.report(piece.note(f"events of type {kind[:60]!r}, which AG-UI does not have"))
        parts = kept_parts(without_told(piece.value()))
        kind = parts[0].name or kind
        message_id = turn.numbered("msg", kind, event.message_id)
        if isinstance(own := told.get("message_id"), str):
            self.activities.keep(own, message_id, kind, parts)
        turn.do(
            lambda stage: turn.source_run(stage).add_message(
                "activity", parts, message_id=message_id, activity_type=kind, **envelope
            )
        )

    def _activity(self, event: AgUiEvent, envelope: Envelope) -> None:
        value = event.content if event.activity_type == MESSAGE and event.told else None
        if not isinstance(value, dict):
            self.activities.take(event, envelope)
            return
        turn, message_id = self.turn, self.turn.numbered("msg", event.message_id)
        parts = parts_told(value, ())
        turn.talk.known_ids.add(event.message_id)
        turn.do(
            lambda stage: turn.source_run(stage).add_message(value.get("role", "tool"), parts, message_id=message_id, **envelope)
        )

    def _finish(self, event: AgUiEvent, envelope: Envelope) -> None:
        self.subagents.finish(envelope)
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
            output = {} if event.result is None else {"output": event.result}
            self._end(lambda run: run.complete(**output, **envelope))

    def _fail(self, event: AgUiEvent, envelope: Envelope) -> None:
        self.subagents.finish(envelope)
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
