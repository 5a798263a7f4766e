"""What a run says and does, counted: the part of a run's summary that its work makes, event by event."""

from collections.abc import Callable
from typing import Any

from runfold.domain.decision import DecisionMade, Outcome, OutcomeCorrected, OutcomeRecorded
from runfold.domain.event import Event
from runfold.domain.message import MessageAdded, MessageRevised
from runfold.domain.problem import ConstraintViolated, ProblemReported, ProblemResolved
from runfold.domain.recorded import Recorded
from runfold.domain.step import EdgeTraversed, ModelCallStarted, NodeEntered, StepStarted
from runfold.domain.tool_call import ToolCalled, ToolCancelled, ToolFailed, ToolStarted, ToolSucceeded
from runfold.domain.usage import Tokens, UsageCorrected, UsageRecorded
from runfold.projections.runs.reported import replaced
from runfold.projections.runs.summary import RunSummary

Changes = dict[str, Any]
Change = Callable[[RunSummary, Recorded, Any], Changes]
"""From a row and an event to the columns that the event changes."""

_OPEN = {"critical": "open_critical", "warning": "open_warnings", "minor": "open_minor"}
MOST_HALF_TOLD = 100
_NO_OUTCOME = Outcome(success=False)
_NO_TOKENS = Tokens()


def _message_added(row: RunSummary, _: Recorded, event: MessageAdded) -> Changes:
    changes: Changes = {"messages": row.messages + 1}
    if event.role == "assistant":
        changes["result_message_id"] = event.message_id
    elif event.role == "user" and row.prompt_message_id is None:
        changes["prompt_message_id"] = event.message_id
    return changes


def _message_revised(row: RunSummary, _: Recorded, __: MessageRevised) -> Changes:
    return {"revisions": row.revisions + 1}


def _tool_called(row: RunSummary, _: Recorded, event: ToolCalled) -> Changes:
    changes = _call_open(row, event.call_id)
    if event.name not in row.tools_used:
        changes["tools_used"] = (*row.tools_used, event.name)
    return changes


def _tool_started(row: RunSummary, _: Recorded, event: ToolStarted) -> Changes:
    return {} if event.call_id in row.open_call_ids else _call_open(row, event.call_id)


def _call_open(row: RunSummary, call_id: str) -> Changes:
    return calls_open(row, (call_id,))


def calls_open(row: RunSummary, call_ids: tuple[str, ...]) -> Changes:
    """Return what changes when calls are asked for, or carried on from the past of the run."""
    open_ids = (*row.open_call_ids, *call_ids)
    return {"tool_calls": row.tool_calls + len(call_ids), "open_tool_calls": len(open_ids), "open_call_ids": open_ids}


def _tool_succeeded(row: RunSummary, _: Recorded, event: ToolSucceeded) -> Changes:
    return _call_ended(row, event.call_id)


def _tool_failed(row: RunSummary, _: Recorded, event: ToolFailed) -> Changes:
    return {**_call_ended(row, event.call_id), "failed_tool_calls": row.failed_tool_calls + 1}


def _tool_cancelled(row: RunSummary, _: Recorded, event: ToolCancelled) -> Changes:
    return {**_call_ended(row, event.call_id), "cancelled_tool_calls": row.cancelled_tool_calls + 1}


def _call_ended(row: RunSummary, call_id: str) -> Changes:
    if call_id not in row.open_call_ids:
        return {"tool_calls": row.tool_calls + 1}  # an ancestor's call, which this run answers at once
    open_ids = tuple(open_id for open_id in row.open_call_ids if open_id != call_id)
    return {"open_tool_calls": len(open_ids), "open_call_ids": open_ids}


def _step_started(row: RunSummary, _: Recorded, event: StepStarted) -> Changes:
    return {"steps": row.steps + 1, **_at_nodes(row, event.node_id)}


def _model_call_started(row: RunSummary, _: Recorded, event: ModelCallStarted) -> Changes:
    return _model_called(row, event.model_call_id)


def _model_called(row: RunSummary, model_call_id: str | None) -> Changes:
    """A call has one beginning and one usage at most: whichever is told first counts."""
    if model_call_id is None:
        return {"model_calls": row.model_calls + 1}
    known = row.half_told_model_calls
    if model_call_id in known:
        return {"half_told_model_calls": tuple(each for each in known if each != model_call_id)}
    return {"half_told_model_calls": (*known[1 - MOST_HALF_TOLD :], model_call_id), "model_calls": row.model_calls + 1}


def _node_entered(row: RunSummary, _: Recorded, event: NodeEntered) -> Changes:
    return _at_nodes(row, event.node_id)


def _edge_traversed(row: RunSummary, _: Recorded, event: EdgeTraversed) -> Changes:
    edge = f"{event.from_node_id}->{event.to_node_id}"
    edges = row.edges_traversed if edge in row.edges_traversed else (*row.edges_traversed, edge)
    return {"edges_traversed": edges, **_at_nodes(row, event.from_node_id, event.to_node_id)}


def _at_nodes(row: RunSummary, *node_ids: str | None) -> Changes:
    known = row.nodes_executed
    for node_id in node_ids:
        if node_id is not None and node_id not in known:
            known = (*known, node_id)
    return {} if known is row.nodes_executed else {"nodes_executed": known}


def _decision_made(row: RunSummary, _: Recorded, event: DecisionMade) -> Changes:
    return {"decisions": row.decisions + 1, **_at_nodes(row, event.node_id)}


def _outcome_recorded(row: RunSummary, _: Recorded, event: OutcomeRecorded) -> Changes:
    succeeded = event.outcome.success
    return {
        **_measured(row, _NO_OUTCOME, event.outcome),
        "outcomes": row.outcomes + 1,
        "successful_decisions": row.successful_decisions + succeeded,
        "failed_decisions": row.failed_decisions + (not succeeded),
    }


def _outcome_corrected(row: RunSummary, _: Recorded, event: OutcomeCorrected) -> Changes:
    more = event.replacement.success - event.previous.success
    return {
        **_measured(row, event.previous, event.replacement),
        "successful_decisions": row.successful_decisions + more,
        "failed_decisions": row.failed_decisions - more,
    }


def _measured(row: RunSummary, old: Outcome, new: Outcome) -> Changes:
    tokens = replaced(row.decision_tokens, row.decision_tokens_reports, old.tokens_used, new.tokens_used)
    latency = replaced(row.decision_latency_ms, row.decision_latency_reports, old.latency_ms, new.latency_ms)
    return {
        "decision_tokens": tokens[0],
        "decision_tokens_reports": tokens[1],
        "decision_latency_ms": latency[0],
        "decision_latency_reports": latency[1],
    }


def _usage_recorded(row: RunSummary, _: Recorded, event: UsageRecorded) -> Changes:
    return {**_used(row, _NO_TOKENS, event.tokens), **_model_called(row, event.model_call_id)}


def _usage_corrected(row: RunSummary, _: Recorded, event: UsageCorrected) -> Changes:
    return _used(row, event.corrected, event.replacement)


def _used(row: RunSummary, old: Tokens, new: Tokens) -> Changes:
    read = replaced(row.input_tokens, row.input_tokens_reports, old.input_tokens, new.input_tokens)
    written = replaced(row.output_tokens, row.output_tokens_reports, old.output_tokens, new.output_tokens)
    total = replaced(row.total_tokens, row.total_tokens_reports, old.total_tokens, new.total_tokens)
    return {
        "input_tokens": read[0],
        "input_tokens_reports": read[1],
        "output_tokens": written[0],
        "output_tokens_reports": written[1],
        "total_tokens": total[0],
        "total_tokens_reports": total[1],
    }


def _problem_reported(row: RunSummary, _: Recorded, event: ProblemReported) -> Changes:
    column = _OPEN[event.severity]
    still_open = {**row.open_problems, event.problem_id: event.severity}
    return {"problems": row.problems + 1, "open_problems": still_open, column: getattr(row, column) + 1}


def _problem_resolved(row: RunSummary, _: Recorded, event: ProblemResolved) -> Changes:
    column = _OPEN[row.open_problems[event.problem_id]]
    still_open = {problem_id: severity for problem_id, severity in row.open_problems.items() if problem_id != event.problem_id}
    return {"open_problems": still_open, column: getattr(row, column) - 1}


def _violated(row: RunSummary, _: Recorded, __: ConstraintViolated) -> Changes:
    return {"violations": row.violations + 1}


COUNT: dict[type[Event], Change] = {
    MessageAdded: _message_added,
    MessageRevised: _message_revised,
    ToolCalled: _tool_called,
    ToolStarted: _tool_started,
    ToolSucceeded: _tool_succeeded,
    ToolFailed: _tool_failed,
    ToolCancelled: _tool_cancelled,
    StepStarted: _step_started,
    ModelCallStarted: _model_call_started,
    NodeEntered: _node_entered,
    EdgeTraversed: _edge_traversed,
    DecisionMade: _decision_made,
    OutcomeRecorded: _outcome_recorded,
    OutcomeCorrected: _outcome_corrected,
    UsageRecorded: _usage_recorded,
    UsageCorrected: _usage_corrected,
    ProblemReported: _problem_reported,
    ProblemResolved: _problem_resolved,
    ConstraintViolated: _violated,
}
