"""Runs at a glance: states, counts, tokens and times, to list, filter and sort by.

It looks at every event of every run, so it is the one whose speed counts: each class of event has a function of its own
that says what changes, found by a dict, and the row is copied once.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import get_args

from runfold.domain.approval_events import ApprovalRequested
from runfold.domain.decision import AnyDecisionEvent
from runfold.domain.event import Event
from runfold.domain.message import AnyMessageEvent
from runfold.domain.problem import AnyProblemEvent
from runfold.domain.recorded import Recorded
from runfold.domain.run import NO_PROGRESS
from runfold.domain.run_events import (
    ENDING_OF_STOP_REASON,
    AnyRunEvent,
    RunCancellationRequested,
    RunCancelled,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunLeaseRenewed,
    RunLinked,
    RunOutputRecorded,
    RunReleased,
    RunResumed,
    RunStarted,
    RunStuck,
    RunTimingRecorded,
    RunWaiting,
)
from runfold.domain.step import AnyStepEvent
from runfold.domain.tool_call import AnyToolCallEvent
from runfold.domain.usage import AnyUsageEvent
from runfold.projections.projection import Key, Moving, Projection
from runfold.projections.runs.counts import COUNT, Change, Changes, calls_open
from runfold.projections.runs.durations import nanoseconds
from runfold.projections.runs.summary import RunSummary

_NO_PROGRESS = frozenset(NO_PROGRESS)
_NO_LEASE: Changes = {"worker": None, "execution_id": None, "lease_expires_at": None}
_NO_WAIT: Changes = {"waiting_reason": None, "waiting_for": (), "stop_reason": None}


class RunSummaries(Projection[RunSummary]):
    """One row per run: how it stands, what it did, what it used, how long it took."""

    name, version, row, key, partition = "run_summaries", 6, RunSummary, ("run_id",), "thread"
    events = (
        *get_args(AnyMessageEvent),
        *get_args(AnyToolCallEvent),
        *get_args(AnyStepEvent),
        *get_args(AnyUsageEvent),
        *get_args(AnyDecisionEvent),
        *get_args(AnyProblemEvent),
        *get_args(AnyRunEvent),
        ApprovalRequested,
    )
    indexes = (
        ("created_at", "run_id"),
        ("last_event_at",),
        ("finished_at",),
        ("duration_ns",),
        ("steps",),
        ("status", "created_at"),
        ("status", "finished_at"),
        ("stop_reason", "created_at"),
        ("thread_id", "created_at"),
        ("agent_id", "created_at"),
        ("user_id", "created_at"),
        ("goal_id", "created_at"),
        ("parent_run_id", "created_at"),
        ("workflow_id", "created_at"),
    )
    moving = (Moving("last_event_at", {"status": ("running",)}),)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """The run whose stream it is, or which asks for the approval."""
        event = recorded.event
        return ((event.run_id if type(event) is ApprovalRequested else recorded.stream,),)

    def evolve(self, row: RunSummary, recorded: Recorded) -> RunSummary:
        """Every event of the run's own stream moves its version and its last event."""
        event = recorded.event
        kind = type(event)
        if kind is ApprovalRequested:
            return row.but(approvals_requested=row.approvals_requested + 1)
        change = _CHANGE.get(kind)
        changes = change(row, recorded, event) if change is not None else {}
        if row.status == "stuck" and "status" not in changes and kind not in _NO_PROGRESS:
            changes["status"] = "running"
        changes["version"] = recorded.version
        changes["last_position"] = recorded.position
        changes["last_event_at"] = recorded.happened_at
        return row.but(changes)


def _created(_: RunSummary, recorded: Recorded, event: RunCreated) -> Changes:
    parent = event.parent
    return {
        "thread_id": recorded.thread_id,
        "parent_run_id": parent.run_id if parent else None,
        "parent_kind": parent.kind if parent else None,
        "agent_id": event.agent_id,
        "user_id": recorded.context.user_id,
        "goal_id": event.goal.id if event.goal else None,
        "request_key": event.key,
        "background": event.background,
        "has_callback": event.callback_url is not None,
        "created_at": recorded.happened_at,
        "created_position": recorded.position,
    }


def _started(row: RunSummary, recorded: Recorded, event: RunStarted) -> Changes:
    return {"status": "running", "attempt": event.attempt, "started_at": row.started_at or recorded.happened_at}


def _claimed(_: RunSummary, __: Recorded, event: RunClaimed) -> Changes:
    return {"worker": event.worker, "execution_id": event.execution_id, "lease_expires_at": event.lease_expires_at}


def _renewed(_: RunSummary, __: Recorded, event: RunLeaseRenewed) -> Changes:
    return {"lease_expires_at": event.lease_expires_at}


def _released(_: RunSummary, __: Recorded, ___: RunReleased) -> Changes:
    return dict(_NO_LEASE)


def _waiting(row: RunSummary, _: Recorded, event: RunWaiting) -> Changes:
    asked = tuple(event.approval_ids)
    stop_reason = "requires_approval" if asked else None
    return {
        **_NO_LEASE,
        "status": "waiting",
        "waiting_reason": event.reason,
        "waiting_for": asked,
        "stop_reason": stop_reason,
        **(calls_open(row, event.inherited_call_ids) if event.inherited_call_ids else {}),
    }


def _resumed(_: RunSummary, __: Recorded, ___: RunResumed) -> Changes:
    return {**_NO_WAIT, "status": "running"}


def _stuck(_: RunSummary, __: Recorded, ___: RunStuck) -> Changes:
    return {"status": "stuck"}


def _cancellation_requested(_: RunSummary, __: Recorded, ___: RunCancellationRequested) -> Changes:
    return {"cancellation_requested": True}


def _linked(_: RunSummary, __: Recorded, event: RunLinked) -> Changes:
    return {"workflow_id": event.workflow_id}


def _output(_: RunSummary, recorded: Recorded, __: RunOutputRecorded) -> Changes:
    return {"output_position": recorded.position}


def _timing(row: RunSummary, _: Recorded, event: RunTimingRecorded) -> Changes:
    reported = {"reported_duration_ns": event.total_duration_ns, "ttft_ns": event.ttft_ns}
    return (
        reported if row.finished_at is None else {**reported, "duration_ns": _took(row, row.finished_at, event.total_duration_ns)}
    )


def _completed(row: RunSummary, recorded: Recorded, event: RunCompleted) -> Changes:
    position = recorded.position
    return {
        **_ended(row, recorded, event),
        "output_position": row.output_position if event.output is None else position,
        "narrative_position": None if event.narrative is None else position,
    }


def _failed(row: RunSummary, recorded: Recorded, event: RunFailed) -> Changes:
    failed = row.failed_tool_calls + len(event.closed_tool_calls)
    return {
        **_ended(row, recorded, event),
        "error_code": event.error.code,
        "failed_tool_calls": failed,
        "open_tool_calls": 0,
        "open_call_ids": (),
    }


def _cancelled(row: RunSummary, recorded: Recorded, event: RunCancelled) -> Changes:
    cancelled = row.cancelled_tool_calls + len(event.closed_tool_calls)
    return {**_ended(row, recorded, event), "cancelled_tool_calls": cancelled, "open_tool_calls": 0, "open_call_ids": ()}


def _ended(row: RunSummary, recorded: Recorded, event: RunCompleted | RunFailed | RunCancelled) -> Changes:
    finished_at = recorded.happened_at
    return {
        **_NO_LEASE,
        **_NO_WAIT,
        "status": ENDING_OF_STOP_REASON[event.stop_reason],
        "stop_reason": event.stop_reason,
        "finished_at": finished_at,
        "ended_position": recorded.position,
        "duration_ns": _took(row, finished_at, row.reported_duration_ns),
    }


def _took(row: RunSummary, finished_at: datetime, reported: int | None) -> int | None:
    return nanoseconds(row.started_at or row.created_at, finished_at) if reported is None else reported


_CHANGE: dict[type[Event], Change] = {
    RunCreated: _created,
    RunStarted: _started,
    RunClaimed: _claimed,
    RunLeaseRenewed: _renewed,
    RunReleased: _released,
    RunWaiting: _waiting,
    RunResumed: _resumed,
    RunStuck: _stuck,
    RunCancellationRequested: _cancellation_requested,
    RunLinked: _linked,
    RunOutputRecorded: _output,
    RunTimingRecorded: _timing,
    RunCompleted: _completed,
    RunFailed: _failed,
    RunCancelled: _cancelled,
    **COUNT,
}
"""What each class of event changes, beside the version and the last event; the others change nothing more."""
