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
MOST_NAMES = 1_000
"""Names of tools, of nodes and of edges in a row: the first of them. A row is written whole, and names may be made up."""
MOST_OPEN = 1_000
"""Tool calls and problems that a row knows to be open: the last of them. Their number counts them all."""
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
    if (tools := _with(row.tools_used, event.name)) is not row.tools_used:
        changes["tools_used"] = tools
    return changes


def _tool_started(row: RunSummary, _: Recorded, event: ToolStarted) -> Changes:
    return {} if event.call_id in row.open_call_ids or _has_forgotten_calls(row) else _call_open(row, event.call_id)


def _call_open(row: RunSummary, call_id: str) -> Changes:
    return calls_open(row, (call_id,))


def calls_open(row: RunSummary, call_ids: tuple[str, ...]) -> Changes:
    """Return what changes when calls are asked for, or carried on from the past of the run."""
    return {
        "tool_calls": row.tool_calls + len(call_ids),
        "open_tool_calls": row.open_tool_calls + len(call_ids),
        "open_call_ids": (*row.open_call_ids, *call_ids)[-MOST_OPEN:],
    }


def _tool_succeeded(row: RunSummary, _: Recorded, event: ToolSucceeded) -> Changes:
    return _call_ended(row, event.call_id)


def _tool_failed(row: RunSummary, _: Recorded, event: ToolFailed) -> Changes:
    return {**_call_ended(row, event.call_id), "failed_tool_calls": row.failed_tool_calls + 1}


def _tool_cancelled(row: RunSummary, _: Recorded, event: ToolCancelled) -> Changes:
    return {**_call_ended(row, event.call_id), "cancelled_tool_calls": row.cancelled_tool_calls + 1}


def _call_ended(row: RunSummary, call_id: str) -> Changes:
    if call_id in row.open_call_ids:
        open_ids = tuple(open_id for open_id in row.open_call_ids if open_id != call_id)
        return {"open_tool_calls": row.open_tool_calls - 1, "open_call_ids": open_ids}
    if _has_forgotten_calls(row):
        return {"open_tool_calls": row.open_tool_calls - 1}
    return {"tool_calls": row.tool_calls + 1}  # an ancestor's call, which this run answers at once


def _has_forgotten_calls(row: RunSummary) -> bool:
    """Return whether more calls are open than the row knows: one that it does not know is taken for one of them."""
    return row.open_tool_calls > len(row.open_call_ids)


def _with(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Return names with one more, unless it is among them or they are as many as a row holds."""
    return names if name in names or len(names) >= MOST_NAMES else (*names, name)


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
    edges = _with(row.edges_traversed, f"{event.from_node_id}->{event.to_node_id}")
    return {"edges_traversed": edges, **_at_nodes(row, event.from_node_id, event.to_node_id)}


def _at_nodes(row: RunSummary, *node_ids: str | None) -> Changes:
    known = row.nodes_executed
    for node_id in node_ids:
        if node_id is not None:
            known = _with(known, node_id)
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
    if len(still_open) > MOST_OPEN:
        del still_open[next(iter(still_open))]
    return {"problems": row.problems + 1, "open_problems": still_open, column: getattr(row, column) + 1}


def _problem_resolved(row: RunSummary, recorded: Recorded, event: ProblemResolved) -> Changes:
    column = _OPEN[row.open_problems.get(event.problem_id) or recorded.context.severity or _forgotten_severity(row)]
    still_open = {problem_id: severity for problem_id, severity in row.open_problems.items() if problem_id != event.problem_id}
    return {"open_problems": still_open, column: getattr(row, column) - 1}


def _forgotten_severity(row: RunSummary) -> str:
    """Return the worst severity of which more problems are open than the row knows."""
    known = [*row.open_problems.values()]
    return next((said for said, column in _OPEN.items() if getattr(row, column) > known.count(said)), "minor")


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
