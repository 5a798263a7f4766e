"""What of a run is recorded as failed before its end: tool calls, steps and model calls, straight from the log."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunFailed
from runfold.domain.step import ModelCallFinished, ModelCallStarted, StepFinished, StepStarted
from runfold.domain.tool_call import ToolCalled, ToolFailed
from runfold.history.views import View

TYPES = ("tool.called", "tool.failed", "step.*", "model_call.*", "run.failed")
"""The types that they are told by."""
_FEW = 120


class FailedPart(View):
    """Something of the run that failed."""

    kind: str
    """tool_call, step or model_call."""
    id: str
    name: str
    """Of the tool or step; the model of a model call."""
    message: str
    """The error's words; of a call that was open when the run failed, the run's."""
    code: str | None
    line: str
    """It in one line."""
    position: int
    closed_with_run: bool = False
    """Whether it had not ended when the run failed."""


@dataclass(frozen=True)
class _Begun:
    name: str
    details: str = ""


def failed_parts(events: Iterable[Recorded]) -> Iterator[FailedPart]:
    """What failed, by the events of one run, in the order in which it did."""
    begun: dict[str, _Begun] = {}
    for recorded in events:
        match recorded.event:
            case ToolCalled() as called:
                begun[called.call_id] = _Begun(called.name, called.arguments_text)
            case StepStarted() as started:
                begun[started.step_id] = _Begun(started.name)
            case ModelCallStarted() as asked:
                begun[asked.model_call_id] = _Begun(asked.request_model or "model")
            case ToolFailed() as failed:
                known = begun.get(failed.call_id) or _Begun(recorded.context.tool_name or "tool")
                yield _part("tool_call", failed.call_id, known, failed.error, recorded)
            case StepFinished() as finished if not finished.ok:
                yield _part("step", finished.step_id, begun.get(finished.step_id, _Begun("step")), finished.error, recorded)
            case ModelCallFinished() as answered if answered.error is not None:
                known = begun.get(answered.model_call_id, _Begun("model"))
                yield _part("model_call", answered.model_call_id, known, answered.error, recorded)
            case RunFailed() as ended:
                yield from _closed(begun, ended, recorded)
            case _:
                continue


def _part(kind: str, id: str, begun: _Begun, error: Any, recorded: Recorded) -> FailedPart:
    message, code = (error.message, error.code) if error is not None else ("", None)
    noun = kind.replace("_", " ")
    line = _line(f"✗ {noun} {begun.name}{f' {begun.details}' if begun.details else ''}{f': {message}' if message else ''}")
    return FailedPart(kind=kind, id=id, name=begun.name, message=message, code=code, line=line, position=recorded.position)


def _closed(begun: Mapping[str, _Begun], ended: RunFailed, recorded: Recorded) -> Iterator[FailedPart]:
    """The calls that were open, and so failed with the run."""
    for call_id in ended.closed_tool_calls:
        known = begun.get(call_id, _Begun("tool"))
        line = _line(f"✗ tool call {known.name}{f' {known.details}' if known.details else ''}: had not ended when the run failed")
        yield FailedPart(
            kind="tool_call",
            id=call_id,
            name=known.name,
            message=ended.error.message,
            code=ended.error.code,
            line=line,
            position=recorded.position,
            closed_with_run=True,
        )


def _line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _FEW * 2 else f"{flat[:_FEW]} … {flat[-_FEW:]}"
