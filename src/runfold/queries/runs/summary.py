"""A run in a few sentences, with hive's lists: put together from three read models, and its words from the log."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar, Unpack

from runfold.domain.decision import DecisionMade, OutcomeCorrected, OutcomeRecorded
from runfold.domain.event import Event
from runfold.domain.problem import ProblemReported
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCompleted, RunFailed, Status
from runfold.domain.tool_call import Failure
from runfold.errors import ReadModelBehind, RunNotFound
from runfold.history.decision_line import decision_line
from runfold.history.views import View
from runfold.projections.decision_log import DecisionLog, DecisionRow
from runfold.projections.problems import ProblemRow, Problems
from runfold.projections.run_summaries import RunSummaries
from runfold.projections.runs.summary import RunSummary
from runfold.queries.lists.paging import Waiting
from runfold.queries.page import Standing
from runfold.queries.question import question
from runfold.queries.runs.made import made, opening
from runfold.queries.sources.snapshot import Snapshot
from runfold.queries.sources.source import LocalSource
from runfold.store.reading.reader import Reader

MODELS = ("run_summaries", "decision_log", "problems")
KEY_DECISIONS, SUCCESSES, FAILED_ON = 5, 3, 3
TELLING_QUALITY = 0.8
"""A decision that came out well is a key decision only when it was judged better than this."""

E = TypeVar("E", bound=Event)


class RunMetrics(View):
    """What a run's decisions add up to. Tokens and latency are those that outcomes tell; null where none does."""

    total_decisions: int
    successful_decisions: int
    failed_decisions: int
    success_rate: float
    """Successes among all decisions; 0 without any."""
    resolved_success_rate: float
    """Successes among the decisions whose outcome is known; 0 without any."""
    total_tokens: int | None
    total_latency_ms: int | None
    nodes_executed: tuple[str, ...]
    edges_traversed: tuple[str, ...]
    """Each `from->to`."""


class RunSummaryView(View):
    """A run in a few sentences."""

    run_id: str
    thread_id: str
    goal_id: str | None
    status: Status
    stop_reason: str | None
    error: Failure | None
    """What it failed with."""
    duration_ms: int | None
    """Null until it ends."""
    agent_id: str
    finished_at: datetime | None
    """When it ended, by the producer's clock where it gave one."""
    message_count: int
    model_call_count: int
    """Those begun, and those of which only the usage was told."""
    tool_call_count: int
    failed_tool_call_count: int
    """Those that failed, by themselves or with the run."""
    decision_count: int
    success_rate: float
    resolved_success_rate: float
    problem_count: int
    """All that it reported, minor ones too."""
    narrative: str
    """Its own, where it ended with one; else made from the rest."""
    key_decisions: tuple[str, ...]
    """The first five that failed, came out better than most, or of which nobody said what came; each in one line."""
    critical_problems: tuple[str, ...]
    """Whether still open or not, like `warnings`."""
    warnings: tuple[str, ...]
    successes: tuple[str, ...]
    """What the first three that came out well say of it."""
    metrics: RunMetrics
    standing: Standing


class SummaryRows(NamedTuple):
    """What the read models hold of a run, as far as its summary tells it."""

    run: RunSummary
    key: Sequence[DecisionRow]
    successes: Sequence[DecisionRow]
    failed_on: Sequence[DecisionRow]
    problems: Sequence[ProblemRow]
    standing: Standing

    def positions(self) -> Iterable[int]:
        """Where their words are."""
        yield from (row.made_position for row in (*self.key, *self.failed_on))
        yield from (row.outcome_position or 0 for row in self.successes)
        yield from (row.reported_position for row in self.problems)
        yield self.run.ended_position or 0


def run_row(snapshot: Snapshot, created: Recorded) -> RunSummary:
    """The row of a run that was created so. Raises ReadModelBehind where the read model of runs has not seen that."""
    found = snapshot.rows(RunSummaries(), "t.run_id = %b", [created.stream])
    if not found:
        next_step = "run `runfold work`, ask with min_position, or give the command again with --fold"
        raise ReadModelBehind("run_summaries", snapshot.standing.position, created.position, next_step)
    return found[0]


@question
def summary(source: LocalSource, run_id: str, **waiting: Unpack[Waiting]) -> RunSummaryView:
    """A run in a few sentences. Raises RunNotFound, ReadModelBehind."""
    created = source.first(run_id, RunNotFound)
    with source.snapshot(*MODELS, within=[created.thread_id], asked=waiting) as snapshot:
        rows = summary_rows(snapshot, run_row(snapshot, created))
    return run_summary(rows, source.reader)


def summary_rows(snapshot: Snapshot, run: RunSummary) -> SummaryRows:
    """Return the rows of a run."""

    def decisions(which: str, limit: int) -> list[DecisionRow]:
        where = f"t.run_id = %b AND {which}"
        return snapshot.rows(DecisionLog(), where, [run.run_id], order_by="t.ordinal", limit=limit)

    told = "t.run_id = %b AND t.severity IN ('critical', 'warning')"
    return SummaryRows(
        run=run,
        key=decisions(f"(t.outcome_success IS NOT TRUE OR t.outcome_quality > {TELLING_QUALITY})", KEY_DECISIONS),
        successes=decisions("t.outcome_success AND t.has_summary", SUCCESSES),
        failed_on=decisions("t.outcome_success IS FALSE", FAILED_ON),
        problems=snapshot.rows(Problems(), told, [run.run_id], order_by="t.reported_position", apart=True),
        standing=snapshot.standing,
    )


def run_summary(rows: SummaryRows, reader: Reader) -> RunSummaryView:
    """The summary that they make, with their words. Raises UnreadableEvent."""
    run, words = rows.run, _Words(reader, rows.positions())
    ending = words.ending(run)
    own = ending.narrative if isinstance(ending, RunCompleted) else None
    return RunSummaryView(
        run_id=run.run_id,
        thread_id=run.thread_id,
        goal_id=run.goal_id,
        status=run.status,
        stop_reason=run.stop_reason,
        error=ending.error if isinstance(ending, RunFailed) else None,
        duration_ms=None if run.duration_ns is None else run.duration_ns // 1_000_000,
        agent_id=run.agent_id,
        finished_at=run.finished_at,
        message_count=run.messages,
        model_call_count=run.model_calls,
        tool_call_count=run.tool_calls,
        failed_tool_call_count=run.failed_tool_calls,
        decision_count=run.decisions,
        success_rate=run.success_rate,
        resolved_success_rate=run.resolved_success_rate,
        problem_count=run.problems,
        narrative=own or _default_narrative(rows, words),
        key_decisions=tuple(map(words.line, rows.key)),
        critical_problems=words.problems(rows.problems, "critical"),
        warnings=words.problems(rows.problems, "warning"),
        successes=tuple(map(words.success, rows.successes)),
        metrics=_metrics(run),
        standing=rows.standing,
    )


class _Words:
    """The words to rows."""

    def __init__(self, reader: Reader, positions: Iterable[int]) -> None:
        self._events = {position: recorded.event for position, recorded in reader.at_positions(positions).items()}

    def intent(self, row: DecisionRow) -> str:
        return self._event(row.made_position, DecisionMade).intent

    def line(self, row: DecisionRow) -> str:
        return decision_line(row, self._event(row.made_position, DecisionMade))

    def success(self, row: DecisionRow) -> str:
        if row.outcome_corrections:
            return self._event(row.outcome_position, OutcomeCorrected).replacement.summary
        return self._event(row.outcome_position, OutcomeRecorded).outcome.summary

    def problems(self, rows: Iterable[ProblemRow], severity: str) -> tuple[str, ...]:
        return tuple(self._event(row.reported_position, ProblemReported).description for row in rows if row.severity == severity)

    def ending(self, row: RunSummary) -> Event | None:
        return self._events.get(row.ended_position or 0)

    def _event(self, position: int | None, kind: type[E]) -> E:
        event = self._events[position or 0]
        assert isinstance(event, kind), f"position {position} holds {event.type}"  # noqa: S101  rows point at their words
        return event


def _metrics(run: RunSummary) -> RunMetrics:
    return RunMetrics(
        total_decisions=run.decisions,
        successful_decisions=run.successful_decisions,
        failed_decisions=run.failed_decisions,
        success_rate=run.success_rate,
        resolved_success_rate=run.resolved_success_rate,
        total_tokens=run.decision_tokens,
        total_latency_ms=run.decision_latency_ms,
        nodes_executed=run.nodes_executed,
        edges_traversed=run.edges_traversed,
    )


def _default_narrative(rows: SummaryRows, words: _Words) -> str:
    """How the run stands, what it made, and which problems and failed decisions there are."""
    run = rows.run
    lists = {
        "Critical issues": words.problems(rows.problems, "critical"),
        "Warnings": words.problems(rows.problems, "warning"),
        "Failed on": tuple(map(words.intent, rows.failed_on)),
    }
    more = run.failed_decisions - len(rows.failed_on)
    told = [f"{title}: {', '.join(texts)}" for title, texts in lists.items() if texts]
    if more and rows.failed_on:
        told[-1] += f" and {more:,} more"
    return " ".join([opening(run, words.ending(run)), *made(run), *told])
