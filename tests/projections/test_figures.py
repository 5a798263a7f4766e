"""What summaries, failures, attention and usage say of a run is what its events say, counted straight from the log."""

import random
import re
from collections import Counter
from collections.abc import Iterable

import pytest

from runfold import Ledger
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunFailed
from runfold.domain.step import ModelCallFinished, ModelCallStarted, StepFinished
from runfold.domain.tool_call import ToolCalled, ToolCancelled, ToolFailed, ToolSucceeded
from runfold.domain.usage import UsageRecorded
from runfold.projections.attention import Attention
from runfold.projections.run_summaries import RunSummaries
from runfold.projections.usage import Usage
from runfold.queries.reading import Reading
from runfold.queries.runs.failure import NOTHING_BEFORE
from tests.projections.folded import rows_of
from tests.projections.histories import History

COUNTED = re.compile(r"Made ([\d,]+) (decision|tool call|model call)s?(?:: ([^.]*))?\.")
MODELS = ("run_summaries", "decision_log", "problems", "attention", "usage")


def model_calls(events: Iterable[Recorded]) -> int:
    """How many model calls are told of: each by its beginning, its usage, or both."""
    named: set[str] = set()
    unnamed = 0
    for recorded in events:
        event = recorded.event
        if isinstance(event, ModelCallStarted):
            named.add(event.model_call_id)
        elif isinstance(event, UsageRecorded):
            unnamed += event.model_call_id is None
            named |= {event.model_call_id} if event.model_call_id else set()
    return unnamed + len(named)


def failed_calls(events: Iterable[Recorded]) -> int:
    """How many tool calls failed, by themselves or with the run."""
    found = [recorded.event for recorded in events]
    closed = sum(len(event.closed_tool_calls) for event in found if isinstance(event, RunFailed))
    return closed + sum(isinstance(event, ToolFailed) for event in found)


def require_figures(ledger: Ledger, reading: Reading) -> Counter[str]:
    """Hold every run's summary against its events; what was come across is counted."""
    summaries, attention = rows_of(RunSummaries(), ledger), rows_of(Attention(), ledger)
    used: Counter[str] = Counter(row.run_id for row in rows_of(Usage(), ledger).values() if row.kind == "call")
    seen: Counter[str] = Counter()
    for (run_id,), row in summaries.items():
        events = list(ledger.now.run_events(run_id))
        types = Counter(recorded.type for recorded in events)
        assert row.model_calls == model_calls(events), run_id
        assert row.model_calls >= used[run_id] == types["usage.recorded"], run_id
        assert row.failed_tool_calls == attention[run_id,].failed_tool_calls == failed_calls(events), run_id
        assert ("tool_failure" in attention[run_id,].reasons) == bool(failed_calls(events)), run_id
        summary = reading.summary(run_id)
        assert summary.model_call_count == row.model_calls
        if types["run.completed"] == 0 or not any(getattr(each.event, "narrative", None) for each in events):
            require_narrative(summary.narrative, events)
            seen["narratives"] += 1
        if row.status == "failed":
            require_failure(reading, run_id, events)
            seen["failures"] += 1
    return seen


def require_narrative(narrative: str, events: list[Recorded]) -> None:
    """Each number of a narrative is one that the events say, and none is left out that is not 0."""
    told = {noun: (int(number.replace(",", "")), parts) for number, noun, parts in COUNTED.findall(narrative)}
    types = Counter(recorded.type for recorded in events)
    asked = {recorded.event.call_id for recorded in events if isinstance(recorded.event, ToolCalled)}
    ended = ToolSucceeded | ToolFailed | ToolCancelled
    answered = {recorded.event.call_id for recorded in events if isinstance(recorded.event, ended)}
    started = {recorded.event.call_id for recorded in events if recorded.type == "tool.started"}  # type: ignore[attr-defined]
    figures = {
        "decision": types["decision.made"],
        "tool call": len(asked | answered | started),
        "model call": model_calls(events),
    }
    assert {noun: number for noun, (number, _) in told.items()} == {noun: number for noun, number in figures.items() if number}
    for noun, (number, parts) in told.items():
        if parts:
            assert sum(int(each.split()[0].replace(",", "")) for each in parts.split(", ")) == number, (noun, narrative)
    assert ("Failed on:" in narrative) <= (" failed" in told.get("decision", (0, ""))[1]), narrative
    if "Failed on:" in narrative:
        assert ", 0 failed" not in told["decision"][1], narrative


def require_failure(reading: Reading, run_id: str, events: list[Recorded]) -> None:
    """A failure names what failed: as many parts as the events tell, and a point unless there is none."""
    found = reading.analyze_failure(run_id)
    steps = sum(isinstance(each.event, StepFinished) and not each.event.ok for each in events)
    models = sum(isinstance(each.event, ModelCallFinished) and each.event.error is not None for each in events)
    kinds = Counter(part.kind for part in found.failed_parts)
    assert (kinds["tool_call"], kinds["step"], kinds["model_call"]) == (failed_calls(events), steps, models)
    decisions = [line for line in found.decision_chain if line[0] in "✗?"]
    assert (found.failure_point == NOTHING_BEFORE) == (not found.failed_parts and not decisions)
    assert "unknown" not in found.root_cause
    spoken = [part for part in found.failed_parts if part.message == found.error.message and not part.closed_with_run]
    assert not spoken or found.failure_point == spoken[-1].line


@pytest.mark.sampled
@pytest.mark.parametrize("seed", [4, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(10, 40))])
def test_summaries_and_failures_say_what_made_up_histories_hold(ledger: Ledger, seed: int) -> None:
    history = History(random.Random(seed))  # noqa: S311  a story, not a secret
    for _ in range(4):
        history.go_on(ledger, 150)
    ledger.fold(*MODELS)
    seen = require_figures(ledger, ledger.now)
    assert seen["narratives"] > 10
    assert seen["failures"] > 1


def test_summaries_and_failures_say_what_real_runs_hold(real: Ledger) -> None:
    real.fold(*MODELS)
    seen = require_figures(real, real.now)
    assert seen["narratives"] > 200
    listed = {summary.run_id: summary for summary in real.now.failures(limit=1000).items}
    assert {row.run_id for row in rows_of(RunSummaries(), real).values() if row.status == "failed"} == listed.keys()
    worst = Counter(reasons for row in real.now.attention(limit=1000).items for reasons in [row.reasons])
    assert not any(set(reasons) <= {"latency", "tokens", "steps"} for reasons in worst)
