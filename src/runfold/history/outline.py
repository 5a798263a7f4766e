"""What happened on a stretch of a path, step by step, in a form in which two paths can be compared.

Compared is what was said, chosen, called, allowed and how it ended; never ids, places or times, which differ always.
A message is one step, where it was added, in its last wording along the path. So is a tool call with what came of it, and
an approval with its verdict. What came of a decision is a step of its own, since it may become known much later. A message,
call, decision or approval of before the stretch that changes on it is a step, too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from runfold.domain.compaction import ContextCompacted
from runfold.domain.decision import DecisionMade, Outcome, OutcomeCorrected, OutcomeRecorded
from runfold.domain.json_text import json_text
from runfold.domain.message import MessageAdded, MessagePartAppended, MessageRevised
from runfold.domain.parts import ReasoningPart, TextPart
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import (
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunOutputRecorded,
    RunResumed,
    RunWaiting,
)
from runfold.domain.tool_call import ToolCalled, ToolCancelled, ToolFailed, ToolSucceeded
from runfold.history.approvals import Approvals, approval_view, as_allowed, is_edited, waited_for
from runfold.history.path import fold_tool_calls
from runfold.history.views import ApprovalView, Message, ToolCallView, View

TYPES = ("message.*", "context.*", "decision.*", "tool.*", "run.*")
"""The types that steps are told by."""

Kind = Literal[
    "message",
    "revision",
    "decision",
    "outcome",
    "tool_call",
    "tool_result",
    "approval",
    "verdict",
    "compaction",
    "ending",
]
Facts = dict[str, Any]


class Step(View):
    """One thing that happened. `facts` is what is compared; what is not known, or not there, is left out of it."""

    kind: Kind
    id: str
    """Of the message, decision, call or approval; of an ending, of its run."""
    run_id: str
    position: int
    facts: dict[str, Any]


def steps(before: Sequence[Recorded], on: Sequence[Recorded], messages: Iterable[Message], approvals: Approvals) -> list[Step]:
    """Return what happened on a stretch, of whose path `before` are the events until then.

    `messages` and `approvals` are those of the whole path as they were at its end.
    """
    views = {approval_id: approval_view(events) for approval_id, events in approvals.items()}
    told = _Told({message.id: message for message in messages}, views, old=set(waited_for(before)))
    whole = [*before, *on]
    told.calls = {call.id: call for call in as_allowed(fold_tool_calls(whole), approvals)}
    for recorded in whole:
        match recorded.event:
            case DecisionMade() as made:
                told.decisions[made.decision_id] = made
            case OutcomeRecorded() as known:
                told.outcomes[known.decision_id] = known.outcome
            case OutcomeCorrected() as corrected:
                told.outcomes[corrected.decision_id] = corrected.replacement
            case RunOutputRecorded() as given:
                told.outputs[recorded.stream] = given.output
            case _:
                continue
    return [step for recorded in on for step in told.of(recorded)]


@dataclass
class _Told:
    """What is known at the end of a path, while its steps are told."""

    messages: dict[str, Message]
    approvals: Mapping[str, ApprovalView]
    old: set[str]
    """Approvals that were asked for before."""
    calls: dict[str, ToolCallView] = field(default_factory=dict)
    decisions: dict[str, DecisionMade] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    """What has its step."""

    def of(self, recorded: Recorded) -> Iterator[Step]:
        """The steps that an event is, of which there are mostly one or none."""
        event = recorded.event
        match event:
            case MessageAdded():
                self.seen.add(event.message_id)
                if not self._says_nothing_of_its_own(message := self.messages[event.message_id]):
                    yield _step("message", event.message_id, recorded, _said(message))
            case MessageRevised() | MessagePartAppended() if self._is_first(event.message_id):
                yield _step("revision", event.message_id, recorded, _said(self.messages[event.message_id]))
            case DecisionMade():
                yield _step("decision", event.decision_id, recorded, _chosen(event))
            case OutcomeRecorded() | OutcomeCorrected() if self._is_first(f"outcome {event.decision_id}"):
                facts = _came_out(self.decisions[event.decision_id], self.outcomes[event.decision_id])
                yield _step("outcome", event.decision_id, recorded, facts)
            case ToolCalled():
                self.seen.add(event.call_id)
                yield _step("tool_call", event.call_id, recorded, _called(self.calls[event.call_id]))
            case ToolSucceeded() | ToolFailed() | ToolCancelled() if event.call_id in self.calls and self._is_first(
                event.call_id
            ):
                yield _step("tool_result", event.call_id, recorded, _called(self.calls[event.call_id]))
            case ContextCompacted():
                yield _step("compaction", event.compaction_id, recorded, {"trigger": event.trigger})
            case RunWaiting():
                yield from self._asked(event.approval_ids, recorded)
            case RunResumed():
                yield from self._decided(event.by_approval_ids, recorded)
            case RunCompleted():
                yield self._ended(recorded, "completed", event.stop_reason, output=event.output)
            case RunFailed():
                yield from self._decided(event.closed_approvals, recorded)
                yield self._ended(recorded, "failed", event.stop_reason, error=event.error.message)
            case RunCancelled():
                yield from self._decided(event.closed_approvals, recorded)
                yield self._ended(recorded, "cancelled", event.stop_reason, reason=event.reason)
            case _:
                return

    def _is_first(self, id: str) -> bool:
        """Return whether it has no step on this stretch yet; from now on it has."""
        is_first = id not in self.seen
        self.seen.add(id)
        return is_first

    def _says_nothing_of_its_own(self, message: Message) -> bool:
        """A message that only carries calls, or only repeats what came of one: those are steps themselves."""
        said = _said(message)
        if said.keys() == {"role"}:
            return any(call.message_id == message.id for call in self.calls.values())
        call = self.calls.get(message.tool_call_id or "")
        if message.role != "tool" or call is None or call.resolved_position is None or said.keys() != {"role", "text"}:
            return False
        repeated = [call.result if isinstance(call.result, str) else json_text(call.result)]
        return said["text"] in [*repeated, call.error.message if call.error else None]

    def _asked(self, approval_ids: Iterable[str], recorded: Recorded) -> Iterator[Step]:
        for approval_id in approval_ids:
            if approval_id not in self.old and approval_id in self.approvals and self._is_first(approval_id):
                yield _step("approval", approval_id, recorded, _allowed(self.approvals[approval_id]))

    def _decided(self, approval_ids: Iterable[str], recorded: Recorded) -> Iterator[Step]:
        for approval_id in approval_ids:
            if approval_id in self.old and approval_id in self.approvals and self._is_first(approval_id):
                yield _step("verdict", approval_id, recorded, _allowed(self.approvals[approval_id]))

    def _ended(self, recorded: Recorded, status: str, stop_reason: str, output: Any = None, **why: str | None) -> Step:
        given = self.outputs.get(recorded.stream) if output is None else output
        return _step("ending", recorded.stream, recorded, {"status": status, "stop_reason": stop_reason, "output": given, **why})


def _step(kind: Kind, id: str, recorded: Recorded, facts: Facts) -> Step:
    known = {name: value for name, value in facts.items() if value is not None}
    return Step(kind=kind, id=id, run_id=recorded.stream, position=recorded.position, facts=known)


def _said(message: Message) -> Facts:
    """Return the facts that are not empty."""
    words = "".join(part.text for part in message.content if isinstance(part, TextPart))
    thoughts = "".join(part.text for part in message.content if isinstance(part, ReasoningPart))
    others = [
        part.model_dump(mode="json", exclude_none=True)
        for part in message.content
        if not isinstance(part, TextPart | ReasoningPart)
    ]
    facts: Facts = {"role": message.role, "name": message.name, "reasoning": thoughts, "text": words, "parts": others}
    return {name: value for name, value in facts.items() if value}


def _chosen(made: DecisionMade) -> Facts:
    return {"intent": made.intent, "chosen": ", ".join(made.chosen_option_ids), "choice": made.choice or None}


def _came_out(made: DecisionMade, outcome: Outcome) -> Facts:
    return {
        "intent": made.intent,
        "success": outcome.success,
        "summary": outcome.summary or None,
        "result": outcome.result,
        "error": outcome.error,
    }


def _called(call: ToolCallView) -> Facts:
    return {
        "tool": call.name,
        "arguments": call.arguments_text if call.arguments is None else call.arguments,
        "executed_with": _written(call.effective_arguments, call.effective_arguments_text),
        "status": call.status,
        "result": call.result,
        "error": call.error.message if call.error else None,
        "error_code": call.error.code if call.error else None,
    }


def _written(value: Any, text: str | None) -> Any:
    return text if value is None else value


def _allowed(approval: ApprovalView) -> Facts:
    asked, allowed = approval.arguments_text, approval.effective_arguments_text
    return {
        "action": approval.action,
        "message": approval.message,
        "arguments": asked,
        "status": approval.status,
        "allowed": allowed if allowed is not None and is_edited(asked, allowed) else None,
    }
