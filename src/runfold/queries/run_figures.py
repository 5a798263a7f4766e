"""A run in numbers: how long it took and how much it did, as the read model of runs counts it."""

from datetime import datetime

from runfold.domain.run_events import Status
from runfold.history.views import View
from runfold.projections.run_summary import RunSummary
from runfold.queries.read_models import Standing


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
    messages: int
    tool_calls: int
    failed_tool_calls: int
    tools_used: tuple[str, ...]
    """By name, each once, as first called."""
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    standing: Standing


def run_figures(run: RunSummary, standing: Standing) -> RunFigures:
    """Those of a row."""
    names = RunFigures.model_fields.keys() - {"standing"}
    return RunFigures(**{name: getattr(run, name) for name in names}, standing=standing)
