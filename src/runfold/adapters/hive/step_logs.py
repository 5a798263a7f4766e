"""The third level of hive's log: the steps of a run, with their tool calls, their tokens and what came of each."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from runfold.adapters.hive.schemas import UNKNOWN, View
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunWaiting
from runfold.domain.tool_call import ToolCalled, ToolCancelled, ToolFailed, ToolSucceeded
from runfold.history.step_list import StepView, step_list
from runfold.queries.reading import Reading


class Verdict(StrEnum):
    """What came of a step: it was the last of its node, it was tried again, a person was asked, or its node went on."""

    ACCEPT = "ACCEPT"
    RETRY = "RETRY"
    ESCALATE = "ESCALATE"
    CONTINUE = "CONTINUE"


class ToolLog(View):
    """A tool call of a step."""

    tool_name: str
    arguments: Any
    result: Any = None
    is_error: bool = False


class StepLog(View):
    """A step of a run: of one that records no steps, a model call."""

    step_index: int
    node_id: str
    step_id: str
    name: str | None
    verdict: Verdict | None
    """Null while it goes on."""
    tool_calls: list[ToolLog]
    input_tokens: int | None
    output_tokens: int | None
    latency_ms: int | None
    error: str | None
    trace_id: str | None
    span_id: str | None


def step_logs(reading: Reading, run_id: str) -> list[StepLog]:
    """Return the steps of a run, in the order of their beginnings. Raises RunNotFound."""
    events = list(reading.run_events(run_id))
    views = step_list(events)
    steps = [view for view in views if view.kind == "step"] or views
    calls = _tool_logs(events)
    asked = [at.position for at in events if isinstance(at.event, RunWaiting) and at.event.reason == "approval"]
    return [_step_log(index, steps, calls, asked) for index in range(len(steps))]


def _tool_logs(events: Iterable[Recorded]) -> dict[str, ToolLog]:
    found: dict[str, ToolLog] = {}
    for recorded in events:
        match recorded.event:
            case ToolCalled() as called:
                asked = called.arguments_text if called.arguments is None else called.arguments
                found[called.call_id] = ToolLog(tool_name=called.name, arguments=asked)
            case ToolSucceeded() as ended if ended.call_id in found:
                found[ended.call_id] = found[ended.call_id].model_copy(update={"result": ended.result})
            case ToolFailed() as failed if failed.call_id in found:
                said = {"result": failed.error.message, "is_error": True}
                found[failed.call_id] = found[failed.call_id].model_copy(update=said)
            case ToolCancelled() as given_up if given_up.call_id in found:
                said = {"result": given_up.reason, "is_error": True}
                found[given_up.call_id] = found[given_up.call_id].model_copy(update=said)
    return found


def _step_log(index: int, steps: list[StepView], calls: dict[str, ToolLog], asked: list[int]) -> StepLog:
    view = steps[index]
    trace = (view.traceparent or "").split("-")
    return StepLog(
        step_index=index,
        node_id=view.node_id or UNKNOWN,
        step_id=view.id,
        name=view.name,
        verdict=_verdict(view, steps[index + 1 :], asked),
        tool_calls=[calls[call_id] for call_id in view.tool_calls if call_id in calls],
        input_tokens=view.tokens.input_tokens,
        output_tokens=view.tokens.output_tokens,
        latency_ms=None if view.duration_ns is None else view.duration_ns // 1_000_000,
        error=view.error.message if view.error else None,
        trace_id=trace[1] if len(trace) > 2 else None,
        span_id=trace[2] if len(trace) > 2 else None,
    )


def _verdict(view: StepView, later: list[StepView], asked: list[int]) -> Verdict | None:
    if view.finished_position is None:
        return None
    if any(view.started_position < position < view.finished_position for position in asked):
        return Verdict.ESCALATE
    goes_on = bool(later) and later[0].node_id == view.node_id
    if view.status != "succeeded":
        return Verdict.RETRY if goes_on else Verdict.CONTINUE
    return Verdict.CONTINUE if goes_on else Verdict.ACCEPT
