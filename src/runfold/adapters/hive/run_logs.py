"""The first level of hive's log: runs, those that go on too.

Nothing is written for any of the three levels: they are questions over what is recorded, now or as of any moment.
"""

from datetime import datetime
from enum import StrEnum

from runfold.adapters.hive.schemas import View
from runfold.domain.run_events import Status
from runfold.projections.runs.attention_row import AttentionRow
from runfold.projections.runs.summary import RunSummary
from runfold.queries.lists.paging import MOST
from runfold.queries.reading import Reading

MOST_RUNS = 20
_ANY = ("critical", "warning", "minor")


class LogStatus(StrEnum):
    """How a run stands in the log."""

    SUCCESS = "success"
    DEGRADED = "degraded"
    FAILURE = "failure"
    IN_PROGRESS = "in_progress"


_OURS: dict[LogStatus, tuple[Status, ...]] = {
    LogStatus.SUCCESS: ("completed",),
    LogStatus.DEGRADED: ("completed",),
    LogStatus.FAILURE: ("failed", "cancelled"),
    LogStatus.IN_PROGRESS: ("created", "running", "waiting", "stuck"),
}


class RunLog(View):
    """A run in the log."""

    run_id: str
    agent_id: str
    goal_id: str | None
    status: LogStatus
    """degraded where it succeeded after it was tried again."""
    duration_ms: int | None
    """Null until it ends."""
    started_at: datetime
    total_nodes_executed: int
    node_path: list[str]
    total_input_tokens: int | None
    total_output_tokens: int | None
    needs_attention: bool
    attention_reasons: list[str]


def run_logs(
    reading: Reading, status: LogStatus | None = None, *, needs_attention: bool = False, limit: int = MOST_RUNS
) -> list[RunLog]:
    """Return runs, newest first; of those that need attention those flagged last first. Raises UsageError, ReadModelBehind."""
    found: list[RunLog] = []
    cursor: str | None = None
    while len(found) < limit:
        if needs_attention:
            flagged = reading.attention(severity=_ANY, limit=limit, cursor=cursor)
            attention, cursor = {row.run_id: row for row in flagged.items}, flagged.next_cursor
            runs = {row.run_id: row for row in reading.runs(run_id=list(attention), limit=limit).items} if attention else {}
            rows = [runs[run_id] for run_id in attention if run_id in runs]
        else:
            page = reading.runs(status=_OURS[LogStatus(status)] if status else None, limit=limit, cursor=cursor)
            rows, cursor = list(page.items), page.next_cursor
            ids = [row.run_id for row in rows]
            noticed = reading.attention(severity=_ANY, run_id=ids, limit=limit).items if ids else ()
            attention = {row.run_id: row for row in noticed}
        retried = _retried(reading, rows)
        logs = (_run_log(row, attention.get(row.run_id), is_retried=row.run_id in retried) for row in rows)
        found += [log for log in logs if status in {None, log.status}]
        if cursor is None:
            break
    return found[:limit]


def _retried(reading: Reading, rows: list[RunSummary]) -> set[str]:
    """Return those of the completed runs that were begun again, or decided to try again."""
    completed = [row.run_id for row in rows if row.status == "completed"]
    found = {row.run_id for row in rows if row.attempt > 1}
    cursor: str | None = None
    while completed:
        page = reading.decisions(run_id=completed, decision_type="retry_strategy", limit=MOST, cursor=cursor)
        found |= {decision.run_id for decision in page.items}
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


def _run_log(row: RunSummary, attention: AttentionRow | None, *, is_retried: bool) -> RunLog:
    status = next(log for log, ours in _OURS.items() if row.status in ours)
    if status is LogStatus.SUCCESS and is_retried:
        status = LogStatus.DEGRADED
    return RunLog(
        run_id=row.run_id,
        agent_id=row.agent_id,
        goal_id=row.goal_id,
        status=status,
        duration_ms=None if row.duration_ns is None else row.duration_ns // 1_000_000,
        started_at=row.started_at or row.created_at,
        total_nodes_executed=len(row.nodes_executed),
        node_path=list(row.nodes_executed),
        total_input_tokens=row.input_tokens,
        total_output_tokens=row.output_tokens,
        needs_attention=attention is not None and attention.needs_attention,
        attention_reasons=[] if attention is None else list(attention.reasons),
    )
