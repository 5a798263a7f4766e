"""The tool calls of a sample: asked for by an answer, let run by approvers, and ended by a tool event or a tool's message.

A provider's id may come again: an event belongs to the oldest call of that id in its run that has none yet.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from runfold.importers.acts.fields import Fields
from runfold.importers.acts.keeping import kept, kept_text
from runfold.importers.acts.kinds import Act, Asked, Called, CallEnded, Chose, Name, Place
from runfold.importers.inspect.content import Attachments, parts_of, plain

VERDICTS = {
    "approve": "let it run",
    "modify": "let it run with other arguments",
    "reject": "do not let it run",
    "escalate": "leave it to another approver",
    "terminate": "do not let it run, and stop the sample",
}


@dataclass
class Call:
    """A tool call on its way through the events."""

    name: Name
    run: Name
    agent: str
    tool: str
    arguments: Any
    ended: bool = False
    has_event: bool = False
    denied: bool = False
    escalated: Name | None = None
    """The latest decision to leave it to another approver, while none has given a verdict since."""
    asked: int = 0
    passed_on: Asked | None = None
    """What the next approver is asked."""


class Calls:
    """All calls of a sample."""

    def __init__(self, attachments: Attachments) -> None:
        self._attachments = attachments
        self._by_id: dict[tuple[Name, str], list[Call]] = defaultdict(list)
        self.all: list[Call] = []

    def called(self, run: Name, message: Name, agent: str, asked: list[Fields], at: datetime | None) -> list[Act]:
        """The calls of an answer."""
        acts: list[Act] = []
        for number, fields in enumerate(asked):
            provider_id = fields.word("id") or ""
            name = (*message, "call", provider_id, str(number))
            tool = fields.text("function") or fields.text("name") or "unknown"
            raw = fields.raw("arguments")
            call = self._add(provider_id, Call(name, run, agent, kept_text(tool, 500), self._kept(raw)))
            acts.append(self._act(call, provider_id, fields.place, at, message))
        return acts

    def ran_by_provider(self, run: Name, message: Name, agent: str, used: list[Fields], at: datetime | None) -> list[Act]:
        """The tools that a provider ran within an answer, called and ended."""
        acts = self.called(run, message, agent, used, at)
        for call, fields in zip(self.all[len(self.all) - len(used) :], used, strict=True):
            call.ended = call.has_event = True
            error = fields.text("error")
            how: Literal["failed", "succeeded"] = "failed" if error else "succeeded"
            acts.append(self._end(call, fields.place, at, how, plain(self._attachments.resolved(fields.raw("result"))), error))
        return acts

    def event(self, run: Name, agent: str, event: Fields, key: Name) -> list[Act]:
        """What a tool event says."""
        provider_id = event.word("id") or ""
        acts: list[Act] = []
        call = self._of(run, provider_id)
        if call is None:
            call = self._add(provider_id, Call((*run, *key), run, agent, event.text("function") or "unknown", None))
            call.arguments = self._kept(event.raw("arguments"))
            acts.append(self._act(call, provider_id, event.place, event.time("timestamp"), None))
        call.has_event = True
        if event.flag("pending") or call.ended:
            return acts
        at = event.time("completed") or event.time("timestamp")
        result, error = plain(self._attachments.resolved(event.raw("result"))), event.object("error")
        return [*acts, *self._closed(call, event.place, at, result, error, failed=bool(event.flag("failed")))]

    def message(self, run: Name, message: Fields, at: datetime | None) -> tuple[Call | None, list[Act]]:
        """The call that a tool's message is for, and its end where no event told it."""
        provider_id = message.word("tool_call_id") or ""
        calls = self._by_id.get((run, provider_id), [])
        call = next((call for call in calls if not call.ended and not call.has_event), calls[-1] if calls else None)
        if call is None or call.ended or call.has_event:
            return call, []
        text = "\n".join(part.text for part in parts_of(message) if part.type == "text")
        return call, self._closed(call, message.place, at, text, message.object("error"), failed=False)

    def approval(self, run: Name, agent: str, event: Fields, key: Name) -> list[Act]:
        """What an approver said of a call."""
        asked, verdict = event.object("call"), event.text("decision")
        if verdict not in VERDICTS:
            event.problem("decision", f"is {verdict!r}; expected one of {', '.join(VERDICTS)}; the approval is left out")
            return []
        acts: list[Act] = []
        call = self._of(run, asked.word("id") or "")
        if call is None:
            name = (*run, *key, "call")
            call = self._add(asked.word("id") or "", Call(name, run, agent, asked.text("function") or "unknown", None))
            call.arguments = self._kept(asked.raw("arguments"))
            acts.append(self._act(call, asked.word("id") or "", asked.place, event.time("timestamp"), None))
        return [*acts, *self._judged(call, event, key, verdict)]

    def left_to_nobody(self) -> list[Act]:
        """What is asked of approvers that have not answered."""
        return [call.passed_on for call in self.all if call.passed_on is not None and not call.ended]

    def _judged(self, call: Call, event: Fields, key: Name, verdict: str) -> list[Act]:
        approver, at = approver_of(event.word("approver")), event.time("timestamp")
        explanation = event.text("explanation")
        comment = None if explanation is None else kept_text(self._attachments.resolved(explanation))
        message = event.text("message")
        call.asked += 1
        ask = Asked(
            place=event.place,
            run=call.run,
            actor=f"agent:{call.agent}",
            at=at,
            name=(*call.name, "approval", str(call.asked)),
            call=call.name,
            action=call.tool,
            arguments=call.arguments,
            message=kept_text(self._attachments.resolved(message)) if message else None,
            decision=call.escalated,
            approver=approver,
            comment=comment,
            decided_at=at,
        )
        if verdict == "escalate":
            return [self._escalated(call, ask, (*call.run, *key))]
        call.passed_on = call.escalated = None
        if verdict in {"reject", "terminate"}:
            call.ended = call.denied = True
            return [_with(ask, verdict="deny", comment=comment or VERDICTS[verdict])]
        changed = self._kept(event.object("modified").raw("arguments")) if verdict == "modify" else None
        if verdict == "modify" and changed is None:
            event.problem("modified", "has no arguments, though the verdict is modify; the call is let run as it is")
        return [_with(ask, verdict="approve", changed=changed)]

    def _escalated(self, call: Call, ask: Asked, name: Name) -> Act:
        call.asked -= 1
        call.escalated = name
        call.passed_on = _with(ask, decision=name, approver="service:approver", comment=None, decided_at=None)
        return Chose(
            place=ask.place,
            run=call.run,
            actor=ask.approver,
            at=ask.at,
            name=name,
            intent=f"let {call.tool} run",
            options=tuple(VERDICTS.items()),
            chosen="escalate",
            reasoning=ask.comment or "",
            node=ask.approver.partition(":")[2],
        )

    def _closed(self, call: Call, place: Place, at: datetime | None, result: Any, error: Fields, *, failed: bool) -> list[Act]:
        if call.ended:
            return []
        acts: list[Act] = []
        kind, reason = error.text("type") or "tool_error", error.text("message")
        if kind == "approval" and call.passed_on is not None:  # nobody was left to ask
            acts.append(_with(call.passed_on, approver="service:policy", verdict="deny", comment=reason, decided_at=at))
            call.passed_on, call.ended, call.denied = None, True, True
            return acts
        if call.passed_on is not None:
            reason_ = "was escalated, and then ended without another approver's verdict; the approval is left out"
            error.report(place.problem(reason_))
            call.passed_on = None
        if kind == "cancelled":
            return [self._end(call, place, at, "cancelled", None, reason)]
        if error or failed:
            code = "approval_denied" if kind == "approval" else kind
            return [self._end(call, place, at, "failed", result or None, reason or "the tool failed", code)]
        return [self._end(call, place, at, "succeeded", result, None)]

    def _end(
        self,
        call: Call,
        place: Place,
        at: datetime | None,
        how: Literal["succeeded", "failed", "cancelled"],
        result: Any,
        reason: str | None,
        code: str = "tool_error",
    ) -> Act:
        call.ended = True
        return CallEnded(
            place=place,
            run=call.run,
            actor="service:environment",
            at=at,
            name=call.name,
            how=how,
            result=result,
            reason=kept_text(self._attachments.resolved(reason or "")),
            code=kept_text(code, 500),
        )

    def _act(self, call: Call, provider_id: str, place: Place, at: datetime | None, message: Name | None) -> Called:
        return Called(
            place=place,
            run=call.run,
            actor=f"agent:{call.agent}",
            at=at,
            name=call.name,
            tool=call.tool,
            arguments=call.arguments,
            message=message,
            provider_id=kept_text(provider_id) or None,
        )

    def _of(self, run: Name, provider_id: str) -> Call | None:
        calls = self._by_id.get((run, provider_id), [])
        return next((call for call in calls if not call.has_event), None)

    def _add(self, provider_id: str, call: Call) -> Call:
        self._by_id[call.run, provider_id].append(call)
        self.all.append(call)
        return call

    def _kept(self, arguments: Any) -> Any:
        return kept(self._attachments.resolved(arguments))


def approver_of(name: str | None) -> str:
    """Who an approver is: the one that asks at the screen is a person, any other a program."""
    name = kept_text((name or "approver").removeprefix("inspect_ai/"), 400)
    return f"human:{name}" if name == "human" else f"service:{name}"


def _with(ask: Asked, **changes: Any) -> Asked:
    return Asked(**{**ask.__dict__, **changes})
