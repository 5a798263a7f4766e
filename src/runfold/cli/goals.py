"""`runfold goals`, `goal` and `patterns`: how far goals have come, and what repeats on the way."""

from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.call import Call
from runfold.cli.pages import Cursor, Limit, answer, conclude, on_day
from runfold.cli.projections import Fold, as_json, ready

if TYPE_CHECKING:
    from runfold.queries.goal_progress import GoalProgress
    from runfold.queries.patterns import Improvement, Patterns

GoalId = Annotated[str, typer.Argument(metavar="GOAL", help="The goal's id, as `runfold goals` shows it.")]
_ADVICE = {"continue": "yellow", "adjust": "bold red", "complete": "green"}
_CHOICES = 10


def goals(call: Call, limit: Limit = 50, cursor: Cursor = None, fold: Fold = False) -> None:
    """List the goals of all runs, those with the newest runs first."""
    with call.ledger() as ledger:
        ready(call, ledger, "goals", fold=fold)
        page = ledger.now.goals(limit=limit, cursor=cursor)
    if call.json:
        answer(call, page)
        return
    from runfold.cli.terminal import one_line, print_whole, table

    rows = [
        (
            one_line(row.goal_id, 80),
            row.runs,
            row.completed_runs,
            row.failed_runs,
            row.open_runs,
            row.decisions,
            row.hard_violations + row.soft_violations,
            on_day(row.last_run_at),
        )
        for row in page.items
    ]
    heads = ("goal", "#runs", "#completed", "#failed", "#open", "#decisions", "#violations", "last run (UTC)")
    print_whole(call.out, table(heads, rows, wraps="goal"))
    conclude(call, page, "goal")


def goal(call: Call, goal_id: GoalId, fold: Fold = False) -> None:
    """Tell how far a goal has come: its criteria, its violations, and whether to go on, adjust or stop.

    A criterion is held against the decisions that name it among their constraints, or that have at least two words of its
    description in their intent and reasoning.
    """
    from runfold.queries.goal_progress import MODELS

    with call.ledger() as ledger:
        ready(call, ledger, *MODELS, fold=fold)
        found = ledger.now.goal_progress(goal_id)
    if call.json:
        call.answer({**as_json(found.standing), **found.model_dump(mode="json", exclude={"standing"})})
    else:
        _print_goal(call, found)


def _print_goal(call: Call, found: "GoalProgress") -> None:
    from runfold.cli.terminal import one_line, print_whole, shown, table

    out = call.out
    reached = f"{found.overall_progress:.0%} reached" if found.criteria else "has no criteria to be held against"
    out.print(shown(f"{found.goal_id}  {reached}", "bold"), soft_wrap=True)
    if found.description:
        out.print(shown(found.description), soft_wrap=True)
    out.print(shown(f"  recommended: {found.recommendation}", _ADVICE[found.recommendation]))
    outcomes = found.successful_outcomes + found.failed_outcomes
    out.print(f"  {found.completed_runs:,} of {found.runs:,} runs completed", highlight=False)
    out.print(f"  {found.successful_outcomes:,} of {outcomes:,} outcomes good, of {found.total_decisions:,} decisions")
    out.print(f"  {found.hard_violations:,} hard and {found.soft_violations:,} soft constraints broken")
    if found.criteria:
        rows = [
            (
                "met" if each.met else "",
                each.id,
                one_line(each.description, 80),
                f"{each.weight:g}",
                f"{each.progress:.0%}",
                "" if each.target is None else one_line(str(each.target), 20),
                f"{each.successes}/{each.outcomes}",
            )
            for each in found.criteria
        ]
        out.print()
        heads = ("", "criterion", "description", "#weight", "#progress", "#target", "#good/known")
        print_whole(out, table(heads, rows, wraps="description"))
    for violation in found.violations:
        line = f"  {violation.position}  {violation.kind} {violation.constraint_id}: {violation.description}"
        out.print(shown(one_line(line), "red" if violation.kind == "hard" else ""), soft_wrap=True)
    out.print(f"\nas of position {found.standing.position}", style="dim")


def patterns(call: Call, goal_id: GoalId, fold: Fold = False) -> None:
    """Tell what repeats over all runs towards a goal: errors, nodes that fail, choices; and what could be made better."""
    from runfold.queries import patterns as what_repeats

    with call.ledger() as ledger:
        ready(call, ledger, *what_repeats.MODELS, fold=fold)
        found = ledger.now.patterns(goal_id)
    better = what_repeats.improvements(found)
    if call.json:
        said = found.model_dump(mode="json", exclude={"standing"})
        call.answer({**as_json(found.standing), **said, "improvements": [each.model_dump(mode="json") for each in better]})
    else:
        _print_patterns(call, found, better)


def _print_patterns(call: Call, found: "Patterns", better: "list[Improvement]") -> None:
    from runfold.cli.terminal import counted, one_line, shown

    out = call.out
    out.print(shown(f"{found.goal_id}  {found.completed_runs:,} of {found.run_count:,} runs completed", "bold"), soft_wrap=True)
    choices = [f"{each.count} of {each.decisions}: {each.intent} → {each.choice}" for each in found.common_choices[:_CHOICES]]
    lists = {
        "Common failures": [f"{each.count} times: {each.error}" for each in found.common_failures],
        "Nodes that fail": [
            f"{each.failure_rate:.0%} at {each.node_id} ({each.failed} of {each.decisions})" for each in found.problematic_nodes
        ],
        "Kinds of decision": [f"{count} times: {kind}" for kind, count in found.decision_types.items()],
        f"Common choices, of {counted(found.intents, 'intent')}": choices,
        "What could be better": [f"{each.priority}: {each.recommendation}. {each.reason}." for each in better],
    }
    for title, told in lists.items():
        if told:
            out.print(f"\n{title}", style="bold")
            for line in told:
                out.print(shown(f"  {one_line(line)}"), soft_wrap=True)
    out.print(f"\nas of position {found.standing.position}", style="dim")
