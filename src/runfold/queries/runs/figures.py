"""A run in numbers: how long it took and how much it did, as the read model of runs counts it."""

from datetime import datetime
from typing import Unpack

from runfold.domain.run_events import Status
from runfold.errors import RunNotFound
from runfold.history.views import View
from runfold.queries.lists.paging import Waiting
from runfold.queries.page import Standing
from runfold.queries.question import question
from runfold.queries.runs.summary import run_row
from runfold.queries.sources.source import LocalSource


class RunFigures(View):
    """How long a run took and how much it did. Exact however long the run is; what nobody reported is null."""

    run_id: str
    thread_id: str
    agent_id: str
    status: Status
    attempt: int
    """How many times it began."""
    started_at: datetime | None
    finished_at: datetime | None
    duration_ns: int | None
    """As it reported, else from its beginning to its end; null until it ends."""
    ttft_ns: int | None
    """Nanoseconds to the first token, as it reported."""
    steps: int
    model_calls: int
    """Those begun, and those of which only the usage was told."""
    messages: int
    tool_calls: int
    failed_tool_calls: int
    tools_used: tuple[str, ...]
    """By name, each once, as first called."""
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    standing: Standing


@question
def metrics(source: LocalSource, run_id: str, **waiting: Unpack[Waiting]) -> RunFigures:
    """How long a run took and how much it did, in numbers. Raises RunNotFound, ReadModelBehind."""
    created = source.first(run_id, RunNotFound)
    with source.snapshot("run_summaries", within=[created.thread_id], asked=waiting) as snapshot:
        row = run_row(snapshot, created)
    names = RunFigures.model_fields.keys() - {"standing"}
    return RunFigures(**{name: getattr(row, name) for name in names}, standing=snapshot.standing)
