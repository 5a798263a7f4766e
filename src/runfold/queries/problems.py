"""Problems of all runs, listed."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Unpack, get_args

from runfold.domain.problem import ProblemReported, ProblemResolved, Severity
from runfold.history.views import View
from runfold.projections.problems import ProblemRow, Problems
from runfold.queries.lists.paging import Direction, Listing, Paging, Sort, direction, limit, ordered_by
from runfold.queries.lists.parameters import checked, column, narrowed
from runfold.queries.lists.where import OneOrMore
from runfold.queries.page import Page
from runfold.queries.question import question
from runfold.queries.sources.source import LocalSource


class ProblemParameters(Paging, total=False):
    """What a list of problems can be narrowed and sorted by. Where several values are given, any of them will do."""

    status: Annotated[OneOrMore | None, column("Only open or only resolved problems.", ("open", "resolved"))]
    severity: Annotated[OneOrMore | None, column("Only problems this severe.", get_args(Severity))]
    run_id: Annotated[OneOrMore | None, column("Only problems that this run reported.")]
    goal_id: Annotated[OneOrMore | None, column("Only problems of runs towards this goal.")]
    thread_id: Annotated[OneOrMore | None, column("Only problems in this thread.")]
    agent_id: Annotated[OneOrMore | None, column("Only problems of this agent's runs.")]
    decision_id: Annotated[OneOrMore | None, column("Only problems with this decision.")]
    problem_id: Annotated[OneOrMore | None, column("Only these problems.")]
    order_by: Annotated[
        Literal["severity", "reported_position", "resolved_position"] | None,
        ordered_by("severity", "By when they were resolved, open problems come after all others."),
    ]
    order: Annotated[Direction | None, direction("asc")]
    limit: Annotated[int | None, limit(100)]


_PROBLEMS = Listing(
    Problems(),
    ProblemParameters,
    {
        "severity": (Sort("severity", ranks=get_args(Severity)), Sort("reported_position")),
        "reported_position": (Sort("reported_position"),),
        "resolved_position": (Sort("resolved_position", nullable=True),),
    },
)


class ProblemWords(View):
    """What a problem says, from the log; its row has the rest."""

    description: str
    root_cause: str | None
    suggested_fix: str | None
    resolution: str | None
    """How it was mended."""


@question
def problems(source: LocalSource, **asked: Unpack[ProblemParameters]) -> Page[ProblemRow]:
    """A page of problems, the worst first and of equal ones the oldest unless it says otherwise.

    Raises UsageError, ReadModelBehind.
    """
    wanted = checked(asked, ProblemParameters)
    with source.snapshot("problems", within=source.threads_of(wanted), asked=wanted) as snapshot:
        return _PROBLEMS.page(snapshot, narrowed(wanted, ProblemParameters), wanted)


@question
def problem_words(source: LocalSource, problems: Iterable[ProblemRow]) -> dict[tuple[str, str], ProblemWords]:
    """What problems of a page say, by their runs and ids: description, cause, fix, resolution. Raises UnreadableEvent."""
    rows = list(problems)
    positions = [position for row in rows for position in (row.reported_position, row.resolved_position) if position is not None]
    recorded = {position: found.event for position, found in source.reader.at_positions(positions).items()}
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
