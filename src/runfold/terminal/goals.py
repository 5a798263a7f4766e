"""Goals: how far one has come, and what repeats over all runs towards it."""

from typing import TYPE_CHECKING

from rich.console import Console

from runfold.terminal import styles
from runfold.terminal.console import print_whole
from runfold.terminal.runs import print_lists
from runfold.terminal.tables import table
from runfold.terminal.text import counted, one_line, shown

if TYPE_CHECKING:
    from rich.table import Table

    from runfold.queries.goals.patterns import Improvement, Patterns
    from runfold.queries.goals.progress import GoalProgress

_MOST_CHOICES = 10


def print_goal(out: Console, found: "GoalProgress") -> None:
    """Print a goal's progress, its criteria and the constraints that were violated."""
    reached = f"{found.overall_progress:.0%} reached" if found.criteria else "has no criteria, so its progress is not known"
    out.print(shown(f"{found.goal_id}  {reached}", "bold"), soft_wrap=True)
    if found.description:
        out.print(shown(found.description), soft_wrap=True)
    out.print(shown(f"  recommended: {found.recommendation}", styles.RECOMMENDATION[found.recommendation]))
    outcomes = found.successful_outcomes + found.failed_outcomes
    out.print(f"  {found.completed_runs:,} of {found.runs:,} runs completed", highlight=False)
    out.print(f"  {found.successful_outcomes:,} of {outcomes:,} outcomes successful, from {found.total_decisions:,} decisions")
    out.print(f"  {found.hard_violations:,} violations of hard constraints, {found.soft_violations:,} of soft ones")
    if found.criteria:
        out.print()
        print_whole(out, _criteria(found))
    for violation in found.violations:
        line = f"  {violation.position}  {violation.kind} {violation.constraint_id}: {violation.description}"
        out.print(shown(one_line(line), "red" if violation.kind == "hard" else ""), soft_wrap=True)
    out.print(f"\nas of position {found.standing.position}", style="dim")


def _criteria(found: "GoalProgress") -> "Table":
    rows = (
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
    )
    heads = ("", "criterion", "description", "#weight", "#progress", "#target", "#successes/outcomes")
    return table(heads, rows, wraps="description")


def print_patterns(out: Console, found: "Patterns", improvements: "list[Improvement]") -> None:
    """Print what repeats over all runs towards a goal, and what could be improved."""
    head = f"{found.goal_id}  {found.completed_runs:,} of {found.run_count:,} runs completed"
    out.print(shown(head, "bold"), soft_wrap=True)
    choices = found.common_choices[:_MOST_CHOICES]
    lists = {
        "Common failures": [f"{each.count} times: {each.error}" for each in found.common_failures],
        "Failing nodes": [
            f"{each.failure_rate:.0%} at {each.node_id} ({each.failed} of {each.decisions})" for each in found.problematic_nodes
        ],
        "Decision types": [f"{count} times: {kind}" for kind, count in found.decision_types.items()],
        f"Common choices, from {counted(found.intents, 'intent')}": [
            f"{each.count} of {each.decisions}: {each.intent} → {each.choice}" for each in choices
        ],
        "Improvements": [f"{each.priority}: {each.recommendation}. {each.reason}." for each in improvements],
    }
    print_lists(out, {title: [one_line(line) for line in lines] for title, lines in lists.items()})
    out.print(f"\nas of position {found.standing.position}", style="dim")
