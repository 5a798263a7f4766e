"""Tool calls: what was asked for, what came of it, and whether somebody allowed it.

A run may carry on a call that a run of its past asked for: ask an approval for it, start it, end it. That is in a row of the
run that did so, without name and request: in the run that asked, and in its other descendants, the call stays as it was. Who
asked is found along the path to the root, by the same call id.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from runfold.domain.approval_events import (
    ApprovalDenied,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalWithdrawn,
)
from runfold.domain.event import Event
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCancelled, RunFailed
from runfold.domain.tool_call import CallStatus, ToolCalled, ToolCancelled, ToolFailed, ToolStarted, ToolSucceeded
from runfold.domain.values import digest
from runfold.projections.projection import Key, Projection, Row
from runfold.projections.runs.durations import nanoseconds

Changes = dict[str, Any]


class ToolCallRow(Row):
    """One tool call, as one run knows it."""

    run_id: str
    """The run that asked for it; or that carried on a call of its past."""
    call_id: str
    """The call."""
    thread_id: str = ""
    """The thread of the run."""
    agent_id: str | None = None
    """Who runs."""
    goal_id: str | None = None
    """What the run is for."""
    name: str | None = None
    """The tool; null where a run of the past asked for the call."""
    status: CallStatus = "called"
    """called, started, succeeded, failed or cancelled; of a call of its past, as far as this run brought it."""
    needs_approval: bool = False
    """Whether it may not be started without an approval."""
    message_id: str | None = None
    """The message in which the model asked for it."""
    provider_call_id: str | None = None
    """Its id to the provider, which may be used again or empty."""
    arguments_digest: str | None = None
    """SHA-256 of the arguments, as the model wrote them."""

    approval_id: str | None = None
    """The approval that was asked for it; of several, the last."""
    open_approvals: int = 0
    """Approvals asked for it and not decided: while there are any, it waits for a person."""
    approved: bool | None = None
    """True once all its approvals are granted, false once one is not; null before, and where none was asked."""

    requested_at: datetime | None = None
    """When it was asked for, by the producer's clock where it gave one; so are all times here."""
    requested_position: int | None = None
    """The event that holds its arguments; null where a run of the past asked for it."""
    started_position: int | None = None
    """The event that said that the side effect begins."""
    execution_key: str | None = None
    """The key that was given to the side effect."""
    resolved_at: datetime | None = None
    """When it succeeded, failed or was given up, by itself or with its run."""
    resolved_position: int | None = None
    """The event that holds its result, error or reason."""
    duration_ns: int | None = None
    """From request to end, in nanoseconds; null where not both are known, or the end was first by the producer's clock."""
    error_code: str | None = None
    """The code of the error it failed with."""


class ToolCalls(Projection[ToolCallRow]):
    """One row per tool call of a run: its request, state, end and approval."""

    name, version = "tool_calls", 4
    row = ToolCallRow
    key = ("run_id", "call_id")
    events = (
        ToolCalled,
        ToolStarted,
        ToolSucceeded,
        ToolFailed,
        ToolCancelled,
        RunFailed,
        RunCancelled,
        ApprovalRequested,
        ApprovalGranted,
        ApprovalDenied,
        ApprovalExpired,
        ApprovalWithdrawn,
    )
    indexes = (
        ("requested_position",),
        ("resolved_position",),
        ("duration_ns",),
        ("status", "requested_position"),
        ("name", "requested_position"),
        ("name", "status", "requested_position"),
        ("run_id", "requested_position"),
        ("thread_id", "requested_position"),
        ("agent_id", "requested_position"),
        ("call_id",),
        ("message_id", "requested_position"),
        ("error_code", "requested_position"),
    )
    partition = "thread"

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """The call it is about; of a run's bad end, all the calls that it closes; of an approval, its call if it has one."""
        event = recorded.event
        match event:
            case ToolCalled() | ToolStarted() | ToolSucceeded() | ToolFailed() | ToolCancelled():
                return ((recorded.stream, event.call_id),)
            case RunFailed() | RunCancelled():
                return [(recorded.stream, call_id) for call_id in event.closed_tool_calls]
        context = recorded.context
        return () if context.call_id is None else ((context.run_id, context.call_id),)

    def evolve(self, row: ToolCallRow, recorded: Recorded) -> ToolCallRow:
        """The call after something happened to it."""
        if row.requested_position is not None and isinstance(recorded.event, ToolCalled):
            row = self.initial((row.run_id, row.call_id))  # another call under the id of one of the past
        return row.but(_CHANGE[type(recorded.event)](row, recorded, recorded.event))


def _called(_: ToolCallRow, recorded: Recorded, event: ToolCalled) -> Changes:
    return {
        **_place(recorded),
        "name": event.name,
        "needs_approval": event.needs_approval,
        "message_id": event.message_id,
        "provider_call_id": event.provider_call_id,
        "arguments_digest": digest(event.arguments_text),
        "requested_at": recorded.happened_at,
        "requested_position": recorded.position,
    }


def _started(row: ToolCallRow, recorded: Recorded, event: ToolStarted) -> Changes:
    started = {"status": "started", "started_position": recorded.position, "execution_key": event.execution_key}
    return {**started, **_carried_on(row, recorded)}


def _succeeded(row: ToolCallRow, recorded: Recorded, _: ToolSucceeded) -> Changes:
    return _ended(row, recorded, "succeeded")


def _failed(row: ToolCallRow, recorded: Recorded, event: ToolFailed | RunFailed) -> Changes:
    return {**_ended(row, recorded, "failed"), "error_code": event.error.code}


def _cancelled(row: ToolCallRow, recorded: Recorded, _: ToolCancelled | RunCancelled) -> Changes:
    return _ended(row, recorded, "cancelled")


def _ended(row: ToolCallRow, recorded: Recorded, status: CallStatus) -> Changes:
    resolved_at = recorded.happened_at
    changes: Changes = {
        "status": status,
        "resolved_at": resolved_at,
        "resolved_position": recorded.position,
        "duration_ns": nanoseconds(row.requested_at, resolved_at),
    }
    return {**changes, **_carried_on(row, recorded)}


def _approval_asked(row: ToolCallRow, recorded: Recorded, _: ApprovalRequested) -> Changes:
    return {
        "approval_id": recorded.stream,
        "open_approvals": row.open_approvals + 1,
        "approved": False if row.approved is False else None,
        **_carried_on(row, recorded),
    }


def _allowed(row: ToolCallRow, _: Recorded, __: ApprovalGranted) -> Changes:
    left = row.open_approvals - 1
    return {"open_approvals": left, "approved": True if left == 0 and row.approved is None else row.approved}


def _not_allowed(row: ToolCallRow, _: Recorded, __: ApprovalDenied | ApprovalExpired | ApprovalWithdrawn) -> Changes:
    return {"open_approvals": row.open_approvals - 1, "approved": False}


def _carried_on(row: ToolCallRow, recorded: Recorded) -> Changes:
    """Return where the run is that goes on with a call of its past."""
    return _place(recorded) if row.requested_position is None else {}


def _place(recorded: Recorded) -> Changes:
    context = recorded.context
    return {"thread_id": recorded.thread_id, "agent_id": context.agent_id, "goal_id": context.goal_id}


_CHANGE: dict[type[Event], Callable[[ToolCallRow, Recorded, Any], Changes]] = {
    ToolCalled: _called,
    ToolStarted: _started,
    ToolSucceeded: _succeeded,
    ToolFailed: _failed,
    ToolCancelled: _cancelled,
    RunFailed: _failed,
    RunCancelled: _cancelled,
    ApprovalRequested: _approval_asked,
    ApprovalGranted: _allowed,
    ApprovalDenied: _not_allowed,
    ApprovalExpired: _not_allowed,
    ApprovalWithdrawn: _not_allowed,
}
