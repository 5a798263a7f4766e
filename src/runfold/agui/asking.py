"""Approvals as AG-UI's interrupts, and the decisions on them as the answers that resume a run."""

from dataclasses import dataclass
from typing import Any

from runfold.agui.wire_key import KEY, told_by
from runfold.domain.approval_events import (
    ApprovalDenied,
    ApprovalEvent,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalVoteCast,
    ApprovalWithdrawn,
)
from runfold.domain.json_text import parse_json
from runfold.domain.recorded import Recorded
from runfold.errors import InvalidEvent


@dataclass
class Asked:
    """An approval, as far as it came."""

    requested: ApprovalRequested
    vote: ApprovalVoteCast | None = None
    ended: ApprovalEvent | None = None


class Asking:
    """The approvals of some runs, by their ids."""

    def __init__(self) -> None:
        self._asked: dict[str, Asked] = {}

    def take(self, recorded: Recorded) -> bool:
        """Take in an event; return whether it is one of an approval."""
        match recorded.event:
            case ApprovalRequested() as requested:
                self._asked[recorded.stream] = Asked(requested)
            case ApprovalVoteCast() as vote if recorded.stream in self._asked:
                self._asked[recorded.stream].vote = vote
            case ApprovalGranted() | ApprovalDenied() | ApprovalExpired() | ApprovalWithdrawn() as ended:
                if recorded.stream in self._asked:
                    self._asked[recorded.stream].ended = ended
            case ApprovalEvent():
                return True
            case _:
                return False
        return True

    def requests(self, approval_ids: list[str]) -> dict[str, ApprovalRequested]:
        """Return what was asked, by the approvals' ids."""
        return {one: self._asked[one].requested for one in approval_ids if one in self._asked}

    def open_of(self, approval_ids: list[str]) -> list[str]:
        """Return those of some approvals that are open."""
        return [one for one in approval_ids if one in self._asked and self._asked[one].ended is None]

    def answers(self, approval_ids: list[str]) -> list[dict[str, Any]]:
        """Return the answers that there are to some interrupts."""
        found = ((one, self._asked[one]) for one in approval_ids if one in self._asked)
        return [answer(one, asked) for one, asked in found if asked.ended is not None]

    def answers_of(self, run_id: str) -> list[dict[str, Any]]:
        """Return the answers that there are to a run's interrupts."""
        return self.answers([one for one, asked in self._asked.items() if asked.requested.run_id == run_id])


def interrupt(approval_id: str, requested: ApprovalRequested, subagent_run_id: str | None = None) -> dict[str, Any]:
    """Return an approval as an interrupt. Its id is the approval's."""
    reason = requested.reason
    if reason == "tool_call" and requested.call_id is None:
        reason = "confirmation"  # theirs names a call
    elif reason == "input_required" and requested.response_schema is None:
        reason = "runfold:input_required"  # theirs has a schema
    found = {
        "id": approval_id,
        "reason": reason,
        "message": requested.message,
        "toolCallId": requested.call_id,
        "responseSchema": requested.response_schema,
        "expiresAt": requested.expires_at.isoformat().replace("+00:00", "Z") if requested.expires_at else None,
        "metadata": {KEY: _asked(requested)},
        "subagentRunId": subagent_run_id,
    }
    return {name: value for name, value in found.items() if value is not None}


def answer(approval_id: str, asked: Asked) -> dict[str, Any]:
    """Return how an approval was decided, as a client answers an interrupt."""
    match asked.ended:
        case ApprovalGranted() as granted:
            payload: dict[str, Any] = dict(asked.vote.response or {}) if asked.vote else {}
            payload.setdefault("approved", True)
            if granted.edited:
                payload["editedArgs"] = _parsed(granted.effective_arguments_text)
        case ApprovalDenied() as denied:
            payload = {"approved": False, **({"reason": denied.reason} if denied.reason else {})}
        case _:
            return {"interruptId": approval_id, "status": "cancelled"}
    told = {} if asked.vote is None else told_by(asked.vote.voter)
    found = {"interruptId": approval_id, "status": "resolved", "payload": payload}
    return {**found, "metadata": {KEY: told}} if told else found


def _asked(requested: ApprovalRequested) -> dict[str, Any]:
    choices = [choice.model_dump(mode="json", exclude_none=True) for choice in requested.choices]
    said = {
        "action": requested.action,
        "arguments_digest": requested.arguments_digest,
        "arguments_text": None if requested.call_id else requested.arguments_text,
        "reason": requested.reason,
        "choices": choices,
    }
    return {name: value for name, value in said.items() if value}


def _parsed(text: str) -> Any:
    try:
        return parse_json(text)
    except InvalidEvent:
        return text
