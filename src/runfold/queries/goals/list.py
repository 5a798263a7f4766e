"""Goals, listed: those with the newest runs first."""

from typing import Annotated, Unpack

from runfold.projections.goals import GoalRow, Goals
from runfold.queries.goals.current import current
from runfold.queries.lists.paging import Direction, Listing, Paging, Sort, direction, limit
from runfold.queries.lists.parameters import checked, narrowed
from runfold.queries.page import Page
from runfold.queries.question import question
from runfold.queries.sources.source import LocalSource


class GoalParameters(Paging, total=False):
    """How much of the list of goals, and which way round."""

    order: Annotated[Direction | None, direction("desc")]
    limit: Annotated[int | None, limit(100)]


_GOALS = Listing(Goals(), GoalParameters, {"last_run_position": (Sort("last_run_position"),)})


@question
def goals(source: LocalSource, **asked: Unpack[GoalParameters]) -> Page[GoalRow]:
    """A page of goals, those with the newest runs first. Raises UsageError, ReadModelBehind."""
    wanted = checked(asked, GoalParameters)
    with source.snapshot("goals", asked=wanted) as snapshot:
        page = _GOALS.page(snapshot, narrowed(wanted, GoalParameters), wanted)
        return page.model_copy(update={"items": tuple(current(snapshot, page.items))})
