"""Runs, listed: filtered, sorted and in pages."""

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Unpack, get_args

from runfold.domain.run_events import ENDING_OF_STOP_REASON, STATUS_ALIASES, Status
from runfold.history.views import View
from runfold.projections.run_summaries import RunSummaries
from runfold.projections.runs.summary import RunSummary
from runfold.queries.lists.paging import Direction, Listing, OverThreads, Paging, Sort, direction, limit, ordered_by
from runfold.queries.lists.parameters import Parameter, at_least, at_most, checked, column, narrowed
from runfold.queries.lists.where import OneOrMore, Where
from runfold.queries.page import Page, Standing
from runfold.queries.question import question
from runfold.queries.sources.snapshot import Snapshot
from runfold.queries.sources.source import LocalSource
from runfold.store.queries import filled, named_queries

ACTIVE: tuple[Status, ...] = ("created", "running", "waiting", "stuck")
"""The states of a run that has not ended."""
STOP_REASONS = (*ENDING_OF_STOP_REASON, "requires_approval")

_QUERIES = named_queries("runfold.queries.runs", "runs.sql")

Operator = Literal["eq", "gt", "gte", "lt", "lte"]


class RunFilters(OverThreads, total=False):
    """What runs can be narrowed by. Where several values are given, any of them will do."""

    agent_id: Annotated[OneOrMore | None, column("Only runs of this agent.")]
    status: Annotated[
        OneOrMore | None,
        Parameter("Only runs with this status; other systems' words for one will do too.", get_args(Status), STATUS_ALIASES),
    ]
    active: Annotated[
        bool | None,
        Parameter("Only runs that have not ended, waiting and stuck ones among them. Counts only where no status is given."),
    ]
    background: Annotated[bool | None, column("Only background runs, or only foreground runs.")]
    stop_reason: Annotated[
        OneOrMore | None, column("Only runs that ended for this reason; requires_approval finds runs that wait.", STOP_REASONS)
    ]
    thread_id: Annotated[OneOrMore | None, column("Only runs in this thread.")]
    run_id: Annotated[OneOrMore | None, column("Only these runs.")]
    parent_run_id: Annotated[OneOrMore | None, column("Only runs that come from this run.")]
    goal_id: Annotated[OneOrMore | None, column("Only runs towards this goal.")]
    node_id: Annotated[OneOrMore | None, Parameter("Only runs that came to this node.")]
    user_id: Annotated[OneOrMore | None, column("Only runs in threads of this user.")]
    workflow_id: Annotated[OneOrMore | None, column("Only runs of this workflow.")]
    tool: Annotated[OneOrMore | None, Parameter("Only runs that called this tool.")]
    steps: Annotated[int | None, Parameter("Only runs with so many steps.")]
    steps_operator: Annotated[Operator | None, Parameter("How a run's steps compare to `steps`; eq if not given.", default="eq")]
    duration_ns: Annotated[int | None, Parameter("Only runs that took longer than this.")]
    duration_operator: Annotated[
        Operator | None, Parameter("How a run's duration compares to `duration_ns`; gt if not given.", default="gt")
    ]
    duration_percentile: Annotated[
        int | None,
        Parameter(
            "Only runs that took at least as long as this percentile, 1 to 100, of the runs that all other filters find.",
            least=1,
            most=100,
        ),
    ]
    created_from: Annotated[datetime | None, at_least("created_at", "Only runs created then or later.")]
    created_to: Annotated[datetime | None, at_most("created_at", "Only runs created then or earlier.")]


class RunParameters(RunFilters, Paging, total=False):
    """What a list of runs can be narrowed and sorted by."""

    order_by: Annotated[
        Literal["created_at", "last_event_at", "finished_at", "duration", "steps"] | None,
        ordered_by("created_at", "By duration, runs that have none are left out."),
    ]
    order: Annotated[Direction | None, direction("desc")]
    limit: Annotated[int | None, limit(100)]


_RUNS = Listing(
    RunSummaries(),
    RunParameters,
    {
        "created_at": (Sort("created_at", datetime),),
        "last_event_at": (Sort("last_event_at", datetime),),
        "finished_at": (Sort("finished_at", datetime, nullable=True),),
        "duration": (Sort("duration_ns", nullable=True, is_required=True),),
        "steps": (Sort("steps"),),
    },
)


@question
def runs(source: LocalSource, **asked: Unpack[RunParameters]) -> Page[RunSummary]:
    """A page of runs, newest first unless it says otherwise. Raises UsageError, ReadModelBehind."""
    wanted = checked(asked, RunParameters)
    with source.snapshot("run_summaries", within=threads_of_runs(source, wanted), asked=wanted) as snapshot:
        return run_page(snapshot, wanted)


class RunCount(View):
    """How many runs there are, and as of when."""

    runs: int
    standing: Standing


@question
def count_runs(source: LocalSource, **asked: Unpack[RunFilters]) -> RunCount:
    """How many runs the filters of the list find. Raises UsageError, ReadModelBehind."""
    with found_runs(source, asked) as (snapshot, where):
        return RunCount(runs=how_many(snapshot, where), standing=snapshot.standing)


def how_many(snapshot: Snapshot, where: Where) -> int:
    """For how many runs conditions hold."""
    query = filled(_QUERIES["how many runs"], conditions=where.text)
    ((count,),) = snapshot.query(query, [snapshot.tenant_id, *where.parameters])
    return int(count)


@contextlib.contextmanager
def found_runs(source: LocalSource, asked: Mapping[str, Any]) -> Iterator[tuple[Snapshot, Where]]:
    """The read model of runs at one moment, and the conditions for what filters find. Raises UsageError, ReadModelBehind."""
    wanted = checked(asked, RunFilters)
    with source.snapshot("run_summaries", within=threads_of_runs(source, wanted), asked=wanted) as snapshot:
        yield snapshot, where_runs(snapshot, wanted)


def threads_of_runs(source: LocalSource, wanted: Mapping[str, Any]) -> list[str] | None:
    """The threads that checked filters of runs are about; None where that is all of them, or the present."""
    runs = wanted.get("run_id") or wanted.get("parent_run_id")
    return source.threads_of({"thread_id": wanted.get("thread_id"), "run_id": runs})


def run_page(snapshot: Snapshot, wanted: Mapping[str, Any]) -> Page[RunSummary]:
    """The page that checked parameters ask for."""
    return _RUNS.page(snapshot, where_runs(snapshot, wanted), wanted)


def where_runs(snapshot: Snapshot, wanted: Mapping[str, Any]) -> Where:
    """The conditions that checked filters of runs stand for."""
    where = narrowed(wanted, RunFilters)
    where.has_any("nodes_executed", wanted.get("node_id", ()))
    where.has_any("tools_used", wanted.get("tool", ()))
    where.one_of("status", wanted.get("status") or (ACTIVE if wanted.get("active") else ()))
    if "steps" in wanted:
        where.compared("steps", wanted.get("steps_operator", "eq"), wanted["steps"])
    _narrow_by_duration(snapshot, where, wanted)
    return where


def _narrow_by_duration(snapshot: Snapshot, where: Where, wanted: Mapping[str, Any]) -> None:
    percentile = wanted.get("duration_percentile")
    slowest = None if percentile is None else _percentile(snapshot, where, percentile)
    if "duration_ns" in wanted:
        where.compared("duration_ns", wanted.get("duration_operator", "gt"), wanted["duration_ns"])
    if slowest is not None:
        where.at_least("duration_ns", slowest)
    elif percentile is not None:
        where.add("false")


def _percentile(snapshot: Snapshot, where: Where, percentile: int) -> int | None:
    query = filled(_QUERIES["percentile of durations"], conditions=where.text)
    found = snapshot.query(query, [snapshot.tenant_id, *where.parameters, percentile])
    return found[0][0] if found else None
