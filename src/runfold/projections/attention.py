"""Runs that a person should look at, and why.

The limits and what they are held against are those of hive's runtime log, which applies them to each node of a graph.
Here they are applied to the run as a whole, so a run is flagged whenever one of its nodes would be.
Our events have no word for some of what hive counts:

- a **retry** is each attempt after the first (`run.started`), and each decision of the type `retry_strategy`;
- an **escalation** is each approval asked for;
- a **node's failure** is a step that did not end well, and a **tool's failure** (which hive has no count of) a tool call;
- **latency** is the time from each beginning or resumption to the next wait or end, so that waiting for a person does not
  count; where the run reports how long it took, that;
- **tokens** are those of its model calls (the total, else input and output together), or those of its decisions'
  outcomes, whichever are more: an agent that reports both reports the same ones twice.

What holds at the moment (stuck, waiting, failed) comes and goes with the run's status; what was counted stays. Latency, tokens
and steps alone are minor: most long runs exceed a limit, and nothing went wrong in them. Silence is no fact that an event tells:
a row says when its run was last heard of, and the list holds that against the moment it is asked about.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, get_args

from runfold.domain.approval_events import ApprovalRequested
from runfold.domain.compaction import ContextCompacted
from runfold.domain.decision import AnyDecisionEvent, DecisionEvaluated, DecisionMade, OutcomeCorrected, OutcomeRecorded
from runfold.domain.event import Event
from runfold.domain.message import AnyMessageEvent, MessageRedacted
from runfold.domain.problem import AnyProblemEvent, ProblemResolved, Severity
from runfold.domain.recorded import Recorded
from runfold.domain.run import NO_PROGRESS
from runfold.domain.run_events import (
    ENDING_OF_STOP_REASON,
    AnyRunEvent,
    RunCancellationRequested,
    RunCancelled,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunReleased,
    RunResumed,
    RunStarted,
    RunStuck,
    RunTimingRecorded,
    RunWaiting,
)
from runfold.domain.step import AnyStepEvent, StepFinished, StepStarted
from runfold.domain.tool_call import AnyToolCallEvent, ToolFailed
from runfold.domain.usage import AnyUsageEvent, CostReported, Tokens, UsageCorrected, UsageRecorded
from runfold.projections.projection import Key, Moving, Projection
from runfold.projections.runs.attention_row import MAY_BE_SILENT, NO_SEVERITY, REASONS, AttentionRow
from runfold.projections.runs.durations import nanoseconds
from runfold.projections.runs.reported import MOST, replaced

Changes = dict[str, Any]

_NO_PROGRESS = frozenset(NO_PROGRESS)
_SAID_BY_OTHERS = frozenset(
    {
        RunCancellationRequested,
        RunStuck,
        RunReleased,
        DecisionEvaluated,
        OutcomeCorrected,
        UsageCorrected,
        CostReported,
        ProblemResolved,
        MessageRedacted,
    }
)
"""Events about a run that do not show that it goes on: what others find, ask for or put right."""
_NO_TOKENS = Tokens()
_MAY_BE_ONLY_SILENT = (NO_SEVERITY, "minor")
_WORST_FIRST = get_args(Severity)
_HOLDS = tuple((code, reason.holds) for code, reason in REASONS.items())
_HANGS = tuple((code, column, reason.holds) for code, reason in REASONS.items() for column in reason.columns)


class Attention(Projection[AttentionRow]):
    """One row per run: whether a person should look at it, and why."""

    name, version, row, key, partition = "attention", 7, AttentionRow, ("run_id",), "thread"
    events = (
        *get_args(AnyMessageEvent),
        *get_args(AnyToolCallEvent),
        *get_args(AnyStepEvent),
        *get_args(AnyUsageEvent),
        *get_args(AnyDecisionEvent),
        *get_args(AnyProblemEvent),
        *get_args(AnyRunEvent),
        ContextCompacted,
        ApprovalRequested,
    )
    indexes = (
        ("severity", "attention_since"),
        ("status", "severity", "attention_since"),
        ("thread_id", "severity", "attention_since"),
        ("agent_id", "severity", "attention_since"),
        ("user_id", "severity", "attention_since"),
        ("goal_id", "severity", "attention_since"),
    )
    moving = (Moving("attention_since", {"severity": _MAY_BE_ONLY_SILENT, "status": MAY_BE_SILENT}),)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """The run whose stream it is, or which asks for the approval."""
        event = recorded.event
        return ((event.run_id if type(event) is ApprovalRequested else recorded.stream,),)

    def evolve(self, row: AttentionRow, recorded: Recorded) -> AttentionRow:
        """Most events only say that the run was heard of; any progress ends being stuck."""
        kind = type(recorded.event)
        change = _CHANGE.get(kind)
        changes = change(row, recorded, recorded.event) if change is not None else {}
        if kind not in _SAID_BY_OTHERS:
            heard = recorded.happened_at
            if not changes and row.stuck_rule is None:  # no reason hangs on that alone
                return row.but({"last_heard_at": heard, "attention_since": _since(row, heard)})
            changes["last_heard_at"] = heard
        if row.stuck_rule is not None and kind not in _NO_PROGRESS and kind is not ApprovalRequested:
            changes = {"status": "running", "stuck_rule": None, **changes}
        if not changes:
            return row
        changes["attention_since"] = _since(
            row, changes.get("last_heard_at", row.last_heard_at)
        )  # as it is where no flag changes
        after = row.but(changes)
        if flags := _flags(row, after, changes, recorded):
            after = after.but(flags)
        since = _since(after, after.last_heard_at)
        return after if since == after.attention_since else after.but(attention_since=since)


def _flags(before: AttentionRow, row: AttentionRow, changes: Changes, recorded: Recorded) -> Changes:
    """Return what changes in what makes it need a person; of most changes no reason hangs on any."""
    known = before.reasons
    if all((code in known) is holds(row) for code, column, holds in _HANGS if column in changes):
        return {}
    reasons = tuple([code for code, holds in _HOLDS if holds(row)])
    if not reasons:
        return {
            "reasons": reasons,
            "severity": NO_SEVERITY,
            "needs_attention": False,
            "flagged_at": None,
            "flagged_position": None,
        }
    severity = min((REASONS[code].severity for code in reasons), key=_WORST_FIRST.index)
    if known and not (before.severity == "minor" != severity):
        return {"reasons": reasons, "severity": severity}
    place = {"flagged_at": recorded.happened_at, "flagged_position": recorded.position}
    return {"reasons": reasons, "severity": severity, "needs_attention": True, **place}


def _since(row: AttentionRow, last_heard_at: datetime | None) -> datetime | None:
    """Return what the list goes by."""
    may_be_only_silent = row.severity in _MAY_BE_ONLY_SILENT and row.status in MAY_BE_SILENT
    return last_heard_at if may_be_only_silent else row.flagged_at


def _created(_: AttentionRow, recorded: Recorded, event: RunCreated) -> Changes:
    return {
        "thread_id": recorded.thread_id,
        "agent_id": event.agent_id,
        "user_id": recorded.context.user_id,
        "goal_id": event.goal.id if event.goal else None,
    }


def _started(row: AttentionRow, recorded: Recorded, event: RunStarted) -> Changes:
    since = {} if row.working_since else {"working_since": recorded.happened_at}
    return {"status": "running", "retries": row.retries + (event.attempt > 1), **since}


def _waiting(row: AttentionRow, recorded: Recorded, event: RunWaiting) -> Changes:
    return {"status": "waiting", "stuck_rule": None, "waiting_reason": event.reason, **_rested(row, recorded)}


def _resumed(_: AttentionRow, recorded: Recorded, __: RunResumed) -> Changes:
    return {"status": "running", "waiting_reason": None, "working_since": recorded.happened_at}


def _stuck(row: AttentionRow, _: Recorded, event: RunStuck) -> Changes:
    return {"status": "stuck", "stuck_rule": event.rule, "times_stuck": row.times_stuck + 1}


def _ended(row: AttentionRow, recorded: Recorded, event: RunCompleted | RunFailed | RunCancelled) -> Changes:
    return {
        "status": ENDING_OF_STOP_REASON[event.stop_reason],
        "stuck_rule": None,
        "waiting_reason": None,
        "stop_reason": event.stop_reason,
        "error_code": event.error.code if isinstance(event, RunFailed) else None,
        **_rested(row, recorded),
    }


def _failed(row: AttentionRow, recorded: Recorded, event: RunFailed) -> Changes:
    return {**_ended(row, recorded, event), "failed_tool_calls": row.failed_tool_calls + len(event.closed_tool_calls)}


def _rested(row: AttentionRow, recorded: Recorded) -> Changes:
    if row.working_since is None:
        return {}
    took = nanoseconds(row.working_since, recorded.happened_at) or 0
    worked = min((row.worked_ns or 0) + took, MOST)
    latency = worked if row.reported_ns is None else row.reported_ns
    return {"working_since": None, "worked_ns": worked, "latency_ns": latency}


def _timed(row: AttentionRow, _: Recorded, event: RunTimingRecorded) -> Changes:
    reported = event.total_duration_ns
    return {"reported_ns": reported, "latency_ns": row.worked_ns if reported is None else reported}


def _step_started(row: AttentionRow, _: Recorded, __: StepStarted) -> Changes:
    return {"steps": row.steps + 1}


def _step_finished(row: AttentionRow, _: Recorded, event: StepFinished) -> Changes:
    return {} if event.ok else {"failed_steps": row.failed_steps + 1}


def _tool_failed(row: AttentionRow, _: Recorded, __: ToolFailed) -> Changes:
    return {"failed_tool_calls": row.failed_tool_calls + 1}


def _asked(row: AttentionRow, _: Recorded, __: ApprovalRequested) -> Changes:
    return {"escalations": row.escalations + 1}


def _decided(row: AttentionRow, _: Recorded, event: DecisionMade) -> Changes:
    return {"retries": row.retries + 1} if event.decision_type == "retry_strategy" else {}


def _outcome(row: AttentionRow, _: Recorded, event: OutcomeRecorded) -> Changes:
    return _decision_tokens(row, None, event.outcome.tokens_used)


def _outcome_corrected(row: AttentionRow, _: Recorded, event: OutcomeCorrected) -> Changes:
    return _decision_tokens(row, event.previous.tokens_used, event.replacement.tokens_used)


def _decision_tokens(row: AttentionRow, old: int | None, new: int | None) -> Changes:
    if old == new:
        return {}
    tokens, reports = replaced(row.decision_tokens, row.decision_tokens_reports, old, new)
    return {"decision_tokens": tokens, "decision_tokens_reports": reports}


def _used(row: AttentionRow, _: Recorded, event: UsageRecorded) -> Changes:
    return _tokens(row, _NO_TOKENS, event.tokens)


def _usage_corrected(row: AttentionRow, _: Recorded, event: UsageCorrected) -> Changes:
    return _tokens(row, event.corrected, event.replacement)


def _tokens(row: AttentionRow, old: Tokens, new: Tokens) -> Changes:
    tokens, reports = replaced(row.tokens, row.tokens_reports, _in_all(old), _in_all(new))
    return {"tokens": tokens, "tokens_reports": reports}


def _in_all(tokens: Tokens) -> int | None:
    if tokens.total_tokens is not None:
        return tokens.total_tokens
    if tokens.input_tokens is None and tokens.output_tokens is None:
        return None
    return (tokens.input_tokens or 0) + (tokens.output_tokens or 0)


_CHANGE: dict[type[Event], Callable[[AttentionRow, Recorded, Any], Changes]] = {
    RunCreated: _created,
    RunStarted: _started,
    RunWaiting: _waiting,
    RunResumed: _resumed,
    RunStuck: _stuck,
    RunCompleted: _ended,
    RunFailed: _failed,
    RunCancelled: _ended,
    RunTimingRecorded: _timed,
    StepStarted: _step_started,
    StepFinished: _step_finished,
    ToolFailed: _tool_failed,
    ApprovalRequested: _asked,
    DecisionMade: _decided,
    OutcomeRecorded: _outcome,
    OutcomeCorrected: _outcome_corrected,
    UsageRecorded: _used,
    UsageCorrected: _usage_corrected,
}
"""What each class of event changes, beside when the run was last heard of."""
