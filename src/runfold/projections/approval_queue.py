"""Approvals: what waits for a person, and who decided what.

An approval is open until its end is recorded; one past `expires_at` may still be open here, for no fold knows the time.
When a run fails or is cancelled, the withdrawal of its approvals is recorded with that, in their own streams.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from runfold.domain.approval_events import (
    ApprovalConsumed,
    ApprovalDenied,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalStatus,
    ApprovalVoteCast,
    ApprovalWithdrawn,
    WithdrawalCause,
)
from runfold.domain.event import Event
from runfold.domain.recorded import Recorded
from runfold.projections.projection import Key, Projection, Row

Changes = dict[str, Any]


class ApprovalRow(Row):
    """One approval."""

    approval_id: str
    """The approval."""
    run_id: str = ""
    """The run that asked, and waits."""
    thread_id: str = ""
    """The thread of the run."""
    agent_id: str | None = None
    """Who runs."""
    user_id: str | None = None
    """Whose thread it is."""
    goal_id: str | None = None
    """What the run is for."""
    call_id: str | None = None
    """The tool call that it is about; null where it is about none."""
    decision_id: str | None = None
    """The decision that it is about; null where it is about none."""
    action: str = ""
    """What is to be allowed, as the application calls it."""
    reason: str = ""
    """Why it was asked: tool_call, input_required, confirmation, or a framework's own."""
    status: ApprovalStatus = "open"
    """open, granted, denied, expired or withdrawn."""

    requested_by: str = ""
    """Who asked, as kind:id."""
    requested_at: datetime | None = None
    """When it was asked, by the producer's clock where it gave one; so are all times here."""
    requested_position: int = 0
    """The event that holds the question: message, arguments, choices, the schema of the answer."""
    arguments_digest: str = ""
    """SHA-256 of the arguments that it was asked for."""
    choices: int = 0
    """How many answers there are to choose from."""
    expires_at: datetime | None = None
    """When it may be recorded as expired, and until when what was granted may be used; null for no end."""
    quorum: int = 1
    """How many must agree."""
    eligible: tuple[str, ...] = ()
    """Who may vote, as kind:id; empty for anybody."""
    requester_excluded: bool | None = None
    """Whether who asked may not vote; null where nothing was said, and then they may."""
    approver_kinds: tuple[str, ...] | None = None
    """The kinds of actors that may vote, such as human; null where nothing was said, and then all may."""

    approvals: int = 0
    """Votes for it so far. Where some edit the arguments, only those for the same ones count together."""
    denials: int = 0
    """Votes against it; one decides."""
    voters: tuple[str, ...] = ()
    """Who voted, as kind:id, in order."""

    decided_at: datetime | None = None
    """When it was granted, denied, expired or withdrawn; null while it is open."""
    decided_position: int | None = None
    """That event."""
    decided_by: str | None = None
    """Whose vote granted or denied it; null where no vote did."""
    edited: bool = False
    """Whether it was granted for other arguments than were asked for."""
    effective_digest: str | None = None
    """SHA-256 of the arguments that it was granted for."""
    withdrawal_cause: WithdrawalCause | None = None
    """Why it was withdrawn: run_cancelled, run_failed, new_input or call_ended."""

    consumed_at: datetime | None = None
    """When the grant was used; null while it was not."""
    consumed_position: int | None = None
    """That event."""
    consumed_by: str | None = None
    """The execution key of what used it."""


class ApprovalQueue(Projection[ApprovalRow]):
    """One row per approval: who must decide what, since when, until when, and who decided."""

    name, version = "approval_queue", 3
    row = ApprovalRow
    key = ("approval_id",)
    events = (
        ApprovalRequested,
        ApprovalVoteCast,
        ApprovalGranted,
        ApprovalDenied,
        ApprovalExpired,
        ApprovalWithdrawn,
        ApprovalConsumed,
    )
    indexes = (
        ("requested_position",),
        ("expires_at",),
        ("decided_position",),
        ("status", "requested_position"),
        ("status", "expires_at"),
        ("thread_id", "requested_position"),
        ("run_id", "requested_position"),
        ("agent_id", "requested_position"),
        ("agent_id", "status", "requested_position"),
        ("user_id", "requested_position"),
        ("goal_id", "requested_position"),
        ("action", "requested_position"),
        ("requested_by", "requested_position"),
        ("decided_by", "requested_position"),
        ("call_id",),
        ("decision_id",),
    )
    partition = "thread"

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """The approval whose stream it is."""
        return ((recorded.stream,),)

    def evolve(self, row: ApprovalRow, recorded: Recorded) -> ApprovalRow:
        """The approval after something happened to it."""
        return row.but(**_CHANGE[type(recorded.event)](row, recorded, recorded.event))


def _requested(_: ApprovalRow, recorded: Recorded, event: ApprovalRequested) -> Changes:
    context, rule = recorded.context, event.rule
    return {
        "run_id": event.run_id,
        "thread_id": recorded.thread_id,
        "agent_id": context.agent_id,
        "user_id": context.user_id,
        "goal_id": context.goal_id,
        "call_id": event.call_id,
        "decision_id": event.decision_id,
        "action": event.action,
        "reason": event.reason,
        "requested_by": event.requested_by,
        "requested_at": recorded.happened_at,
        "requested_position": recorded.position,
        "arguments_digest": event.arguments_digest,
        "choices": len(event.choices),
        "expires_at": event.expires_at,
        "quorum": rule.quorum,
        "eligible": rule.eligible,
        "requester_excluded": rule.requester_excluded,
        "approver_kinds": rule.approver_kinds,
    }


def _vote_cast(row: ApprovalRow, _: Recorded, event: ApprovalVoteCast) -> Changes:
    said = "approvals" if event.verdict == "approve" else "denials"
    return {said: getattr(row, said) + 1, "voters": (*row.voters, event.voter)}


def _granted(_: ApprovalRow, recorded: Recorded, event: ApprovalGranted) -> Changes:
    return {
        **_decided("granted", recorded),
        "decided_by": event.votes[-1].voter,
        "edited": event.edited,
        "effective_digest": event.effective_digest,
    }


def _denied(_: ApprovalRow, recorded: Recorded, event: ApprovalDenied) -> Changes:
    return {**_decided("denied", recorded), "decided_by": event.votes[-1].voter}


def _expired(_: ApprovalRow, recorded: Recorded, __: ApprovalExpired) -> Changes:
    return _decided("expired", recorded)


def _withdrawn(_: ApprovalRow, recorded: Recorded, event: ApprovalWithdrawn) -> Changes:
    return {**_decided("withdrawn", recorded), "withdrawal_cause": event.cause}


def _consumed(_: ApprovalRow, recorded: Recorded, event: ApprovalConsumed) -> Changes:
    return {
        "consumed_at": recorded.happened_at,
        "consumed_position": recorded.position,
        "consumed_by": event.execution_key,
    }


def _decided(status: ApprovalStatus, recorded: Recorded) -> Changes:
    return {"status": status, "decided_at": recorded.happened_at, "decided_position": recorded.position}


_CHANGE: dict[type[Event], Callable[[ApprovalRow, Recorded, Any], Changes]] = {
    ApprovalRequested: _requested,
    ApprovalVoteCast: _vote_cast,
    ApprovalGranted: _granted,
    ApprovalDenied: _denied,
    ApprovalExpired: _expired,
    ApprovalWithdrawn: _withdrawn,
    ApprovalConsumed: _consumed,
}
