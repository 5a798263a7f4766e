"""What a run did, in sentences that say what its row counts and nothing else."""

from datetime import UTC, datetime

from runfold.domain.event import Event
from runfold.domain.run_events import RunCancelled, RunFailed, Status
from runfold.projections.runs.summary import RunSummary

_OPENINGS: dict[Status, str] = {
    "created": "Run has not begun",
    "running": "Run goes on",
    "stuck": "Run is stuck and makes no progress",
    "completed": "Run completed successfully",
    "failed": "Run failed",
    "cancelled": "Run was cancelled",
}
_WAITS = {"approval": "an approval", "input": "input", "external": "something outside"}
_AS_MEANT = "end_turn"


def opening(run: RunSummary, ending: Event | None) -> str:
    """How the run stands, with why it ended or when it was last heard of."""
    said = _OPENINGS.get(run.status) or f"Run waits for {_WAITS[run.waiting_reason or 'external']}"
    match ending:
        case RunFailed():
            return _sentence(f"{said}: {ending.error.message or ending.error.code}")
        case RunCancelled() if ending.reason:
            return _sentence(f"{said}: {ending.reason}")
    if run.status == "completed" and run.stop_reason != _AS_MEANT:
        return f"Run completed ({run.stop_reason})."
    if run.status in {"created", "running", "stuck"} and run.last_event_at is not None:
        return f"{said}; last heard of {_minute(run.last_event_at)} UTC."
    return f"{said}."


def made(run: RunSummary) -> list[str]:
    """Sentences for what it made: decisions, tool calls, model calls, messages. None for what it made none of."""
    unknown = run.decisions - run.outcomes
    well = run.tool_calls - run.failed_tool_calls - run.cancelled_tool_calls - run.open_tool_calls
    decided = {"succeeded": run.successful_decisions, "failed": run.failed_decisions, "without an outcome": unknown}
    called = {
        "succeeded": well,
        "failed": run.failed_tool_calls,
        "cancelled": run.cancelled_tool_calls,
        "open": run.open_tool_calls,
    }
    found = [_counted(run.decisions, "decision", decided), _counted(run.tool_calls, "tool call", called)]
    found += [_counted(run.model_calls, "model call", {})]
    return [sentence for sentence in found if sentence] or ["Made no decisions, tool calls or model calls."]


def _counted(number: int, noun: str, parts: dict[str, int]) -> str:
    if not number:
        return ""
    told = [f"{count:,} {word}" for word, count in parts.items() if count or word in {"succeeded", "failed"}]
    how = f": {', '.join(told)}" if told else ""
    return f"Made {number:,} {noun}{'' if number == 1 else 's'}{how}."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _minute(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"
