"""`runfold summary`: a run in a few sentences."""

from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.call import Call
from runfold.cli.projections import Fold, as_json, ready

if TYPE_CHECKING:
    from runfold.queries.summary import RunSummaryView


def summary(
    call: Call,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `runfold runs` shows it.")],
    fold: Fold = False,
) -> None:
    """Tell a run in a few sentences: how it went, its key decisions, its problems, what worked.

    Key decisions are the first five that did not come out well or were judged outstanding. The narrative is the run's own
    where it ended with one.
    """
    from runfold.queries.summary import MODELS

    with call.ledger() as ledger:
        ready(call, ledger, *MODELS, fold=fold)
        found = ledger.now.summary(run_id)
    if call.json:
        call.answer({**as_json(found.standing), **found.model_dump(mode="json", exclude={"standing"})})
    else:
        _print(call, found)


def _print(call: Call, found: "RunSummaryView") -> None:
    from runfold.cli.run_list import took
    from runfold.cli.terminal import counted, shown

    metrics, out = found.metrics, call.out
    lasted = "" if found.duration_ms is None else f" after {took(found.duration_ms * 10**6)}"
    out.print(shown(f"{found.run_id}  {found.status}{lasted}", "bold"), soft_wrap=True)
    out.print(shown(found.narrative), soft_wrap=True)
    rate = f"{found.success_rate:.0%} of them well, {found.resolved_success_rate:.0%} of those with an outcome"
    facts = {
        "goal": found.goal_id,
        "error": found.error and f"{found.error.code}: {found.error.message}",
        "decisions": f"{found.decision_count:,}{f': {rate}' if found.decision_count else ''}",
        "problems": f"{found.problem_count:,}",
        "tokens": metrics.total_tokens and f"{metrics.total_tokens:,} of its decisions",
        "nodes": " → ".join(metrics.nodes_executed),
    }
    for name, fact in facts.items():
        if fact:
            out.print(shown(f"  {name:<11}{fact}"), soft_wrap=True)
    lists = {
        "Key decisions": found.key_decisions,
        "Critical problems": found.critical_problems,
        "Warnings": found.warnings,
        "What worked": found.successes,
    }
    for title, told in lists.items():
        if told:
            out.print(f"\n{title}", style="bold")
            for line in told:
                out.print(shown(f"  {line}"), soft_wrap=True)
    out.print(f"\n{counted(found.decision_count, 'decision')} as of position {found.standing.position}", style="dim")
