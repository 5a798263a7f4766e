"""`runfold goals`, `goal` and `patterns`: how far goals have come, and what repeats over the runs towards them."""

from typing import Annotated, Any

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.folding import as_json
from runfold.cli.calling.lists import answer, asking, page_of, print_page
from runfold.cli.calling.options import At, Fold, HappenedAt

GoalId = Annotated[str, typer.Argument(metavar="GOAL", help="The goal's id, as `runfold goals` shows it.")]

Superseded = Annotated[bool, typer.Option("--superseded", help="Count threads that others stand for, too.")]


def goals(call: Call, *, at: At = None, happened_at: HappenedAt = None, fold: Fold = False, **asked: Any) -> None:
    """List goals, the one with the newest run first."""
    with asking(call, "goals", fold=fold, at=at, happened_at=happened_at) as reading:
        page = page_of(reading.goals, asked)
    if call.json:
        answer(call, page)
        return
    from runfold.terminal.tables import goal_table

    print_page(call, goal_table(page.items), page, "goal")


def goal(call: Call, goal_id: GoalId, at: At = None, fold: Fold = False, superseded: Superseded = False) -> None:
    """Show the progress of a goal: its criteria, the violated constraints, and whether to continue, adjust or complete.

    A criterion is measured by the decisions that name it among their constraints, or whose intent and reasoning contain at
    least two words of its description.
    """
    from runfold.queries.goals.progress import MODELS

    with asking(call, *MODELS, fold=fold, at=at) as reading:
        found = reading.goal_progress(goal_id, include_superseded=superseded)
    if call.json:
        call.answer({**as_json(found.standing), **found.model_dump(mode="json", exclude={"standing"})})
        return
    from runfold.terminal.goals import print_goal

    print_goal(call.out, found)


def patterns(call: Call, goal_id: GoalId, at: At = None, fold: Fold = False, superseded: Superseded = False) -> None:
    """Show what repeats over all runs towards a goal: errors, failing nodes, choices; and what could be improved."""
    from runfold.queries.goals import patterns as analysis

    with asking(call, *analysis.MODELS, fold=fold, at=at) as reading:
        found = reading.patterns(goal_id, include_superseded=superseded)
    improvements = analysis.suggested_by(found)
    if call.json:
        said = found.model_dump(mode="json", exclude={"standing"})
        call.answer({**as_json(found.standing), **said, "improvements": [each.model_dump(mode="json") for each in improvements]})
        return
    from runfold.terminal.goals import print_patterns

    print_patterns(call.out, found, improvements)
