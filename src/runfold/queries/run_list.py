"""Runs, listed: filtered, sorted and in pages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from runfold.domain.run_events import ENDING_OF_STOP_REASON, STATUS_ALIASES, Status
from runfold.projections.run_summaries import RunSummaries
from runfold.projections.run_summary import RunSummary
from runfold.queries.paging import Listing, Paging, Sort
from runfold.queries.read_models import Page, Snapshot
from runfold.queries.where import OneOrMore, Operator, Where, Within, given, moment, number, operator, texts, truth, words

ACTIVE: tuple[Status, ...] = ("created", "running", "waiting", "stuck")
"""The states of a run that has not ended."""
STOP_REASONS = (*ENDING_OF_STOP_REASON, "requires_approval")

_RUNS = Listing(
    RunSummaries(),
    {
        "created_at": (Sort("created_at", datetime),),
        "last_event_at": (Sort("last_event_at", datetime),),
        "finished_at": (Sort("finished_at", datetime, nullable=True),),
        "duration": (Sort("duration_ns", nullable=True, is_required=True),),
        "steps": (Sort("steps"),),
    },
)
_BY_TEXT = ("agent_id", "thread_id", "run_id", "parent_run_id", "goal_id", "user_id", "workflow_id")

# Nearest rank, in whole numbers: the duration that so many percent of the runs do not exceed, and that one of them took.
_PERCENTILE = """
SELECT ranked.duration_ns
  FROM (SELECT t.duration_ns, row_number() OVER (ORDER BY t.duration_ns) AS place, count(*) OVER () AS runs
          FROM (SELECT * FROM {run_summaries} AS t WHERE t.tenant_id = %b AND t.duration_ns IS NOT NULL AND """
_OF_THE_RANKED = """ OFFSET 0) AS t) AS ranked
 WHERE ranked.place = (%b * ranked.runs + 99) / 100
"""


class RunsAsked(Paging, total=False):
    """What a list of runs can be narrowed and sorted by. Where several values are given, any of them will do."""

    agent_id: OneOrMore | None
    status: Annotated[OneOrMore | None, Within((*get_args(Status), *STATUS_ALIASES))]
    """Also by other systems' words: success, canceled, pending, active (for running) and paused."""
    active: bool | None
    """Only runs that have not ended, waiting and stuck ones among them. It counts only where no status is given."""
    background: bool | None
    stop_reason: Annotated[OneOrMore | None, Within(STOP_REASONS)]
    """Why it ended; requires_approval finds those that wait for one."""
    thread_id: OneOrMore | None
    run_id: OneOrMore | None
    parent_run_id: OneOrMore | None
    goal_id: OneOrMore | None
    node_id: OneOrMore | None
    """Runs that came to any of these nodes."""
    user_id: OneOrMore | None
    workflow_id: OneOrMore | None
    tool: OneOrMore | None
    """Runs that called any of these tools."""
    steps: int | None
    steps_operator: Operator | None
    """How the run's steps stand to `steps`; eq where nothing is said."""
    duration_ns: int | None
    duration_operator: Operator | None
    """How the run's duration stands to `duration_ns`; gt where nothing is said."""
    duration_percentile: Annotated[int | None, Within(least=1, most=100)]
    """1 to 100: runs that took at least as long as this percentile of all the runs that the other filters let through."""
    created_from: datetime | None
    created_to: datetime | None
    """Both are part of the range."""
    order_by: Literal["created_at", "last_event_at", "finished_at", "duration", "steps"] | None
    """created_at where nothing is said. By duration, runs that have none are left out."""


def run_list(snapshot: Snapshot, asked: RunsAsked) -> Page[RunSummary]:
    """A page of runs, newest first unless it says otherwise. Raises UsageError."""
    wanted = given(asked, RunsAsked)
    where = Where()
    for name in _BY_TEXT:
        where.one_of(name, texts(name, wanted.get(name)))
    where.has_any("nodes_executed", texts("node_id", wanted.get("node_id")))
    where.has_any("tools_used", texts("tool", wanted.get("tool")))
    where.one_of("stop_reason", words("stop_reason", wanted.get("stop_reason"), STOP_REASONS))
    statuses = words("status", wanted.get("status"), get_args(Status), STATUS_ALIASES)
    is_active = truth("active", wanted.get("active", False))
    where.one_of("status", statuses or (ACTIVE if is_active else ()))
    if "background" in wanted:
        where.one_of("background", (truth("background", wanted["background"]),))
    if "created_from" in wanted:
        where.at_least("created_at", moment("created_from", wanted["created_from"]))
    if "created_to" in wanted:
        where.at_most("created_at", moment("created_to", wanted["created_to"]))
    if "steps" in wanted:
        comparing = operator("steps_operator", wanted.get("steps_operator", "eq"))
        where.compared("steps", comparing, number("steps", wanted["steps"]))
    _narrow_by_duration(snapshot, where, wanted)
    return _RUNS.page(snapshot, where, wanted, order_by="created_at", order="desc")


def _narrow_by_duration(snapshot: Snapshot, where: Where, wanted: Mapping[str, Any]) -> None:
    percentile = wanted.get("duration_percentile")
    slowest = None
    if percentile is not None:
        slowest = _percentile(snapshot, where, number("duration_percentile", percentile, 1, 100))
    if (value := wanted.get("duration_ns")) is not None:
        comparing = operator("duration_operator", wanted.get("duration_operator", "gt"))
        where.compared("duration_ns", comparing, number("duration_ns", value))
    if slowest is not None:
        where.at_least("duration_ns", slowest)
    elif percentile is not None:
        where.add("false")


def _percentile(snapshot: Snapshot, where: Where, percentile: int) -> int | None:
    text = _PERCENTILE + where.text + _OF_THE_RANKED
    found = snapshot.query(text, [snapshot.tenant_id, *where.parameters, percentile])
    return found[0][0] if found else None
