"""Problems of all runs, listed."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

from runfold.domain.problem import ProblemReported, ProblemResolved, Severity
from runfold.history.views import View
from runfold.projections.problems import ProblemRow, Problems
from runfold.queries.paging import Listing, Paging, Sort
from runfold.queries.read_models import Page, Snapshot
from runfold.queries.where import OneOrMore, Where, Within, given, texts, words
from runfold.store.reader import Reader

_PROBLEMS = Listing(
    Problems(),
    {
        "severity": (Sort("severity", ranks=get_args(Severity)), Sort("reported_position")),
        "reported_position": (Sort("reported_position"),),
        "resolved_position": (Sort("resolved_position", nullable=True),),
    },
)
_BY_TEXT = ("run_id", "goal_id", "thread_id", "agent_id", "decision_id", "problem_id")


class ProblemsAsked(Paging, total=False):
    """What a list of problems can be narrowed and sorted by. Where several values are given, any of them will do."""

    status: Annotated[OneOrMore | None, Within(("open", "resolved"))]
    """open or resolved."""
    severity: Annotated[OneOrMore | None, Within(get_args(Severity))]
    """critical, warning or minor."""
    run_id: OneOrMore | None
    goal_id: OneOrMore | None
    thread_id: OneOrMore | None
    agent_id: OneOrMore | None
    decision_id: OneOrMore | None
    problem_id: OneOrMore | None
    order_by: Literal["severity", "reported_position", "resolved_position"] | None
    """severity where nothing is said. Problems that are open come after all that were resolved, by when that was."""


class ProblemWords(View):
    """What a problem says, from the log; its row has the rest."""

    description: str
    root_cause: str | None
    suggested_fix: str | None
    resolution: str | None
    """How it was mended."""


def problem_list(snapshot: Snapshot, asked: ProblemsAsked) -> Page[ProblemRow]:
    """A page of problems: the worst first, of equal ones the oldest, unless it says otherwise. Raises UsageError."""
    wanted = given(asked, ProblemsAsked)
    where = Where()
    where.one_of("status", words("status", wanted.get("status"), ("open", "resolved")))
    where.one_of("severity", words("severity", wanted.get("severity"), get_args(Severity)))
    for name in _BY_TEXT:
        where.one_of(name, texts(name, wanted.get(name)))
    return _PROBLEMS.page(snapshot, where, wanted, order_by="severity", order="asc")


def problem_words(reader: Reader, rows: Iterable[ProblemRow]) -> dict[tuple[str, str], ProblemWords]:
    """What some problems say, by their runs and ids: one look into the log for all of them. Raises UnreadableEvent."""
    rows = list(rows)
    positions = [position for row in rows for position in (row.reported_position, row.resolved_position) if position is not None]
    recorded = {position: found.event for position, found in reader.at_positions(positions).items()}
    return {
        (row.run_id, row.problem_id): _words(recorded[row.reported_position], recorded.get(row.resolved_position or 0))
        for row in rows
    }


def _words(reported: Any, resolved: Any) -> ProblemWords:
    assert isinstance(reported, ProblemReported), "reported_position is that of the report"  # noqa: S101
    return ProblemWords(
        description=reported.description,
        root_cause=reported.root_cause,
        suggested_fix=reported.suggested_fix,
        resolution=resolved.resolution if isinstance(resolved, ProblemResolved) else None,
    )
