"""`runfold failures`: the runs that failed last, and why one of them did."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.pages import Cursor, Limit, Some, answer, conclude
from runfold.cli.projections import Fold, as_json, ready

if TYPE_CHECKING:
    from runfold.queries.failure import FailureAnalysis
    from runfold.queries.read_models import Page
    from runfold.queries.summary import RunSummaryView


def failures(
    call: Call,
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Explain why this run failed.")] = None,
    *,
    goal: Annotated[Some, typer.Option("--goal", metavar="GOAL", help="Towards this goal.")] = None,
    agent: Annotated[Some, typer.Option("--agent", metavar="AGENT", help="Of this agent.")] = None,
    thread: Annotated[Some, typer.Option("--thread", metavar="THREAD", help="In this thread.")] = None,
    limit: Limit = 10,
    cursor: Cursor = None,
    fold: Fold = False,
) -> None:
    """List the runs that failed, the last first; or explain one: where it went wrong, why, and what to try.

    It went wrong at its first decision that is not known to have come out well.
    """
    from runfold.queries.summary import MODELS

    asked: dict[str, Any] = {"goal_id": goal, "agent_id": agent, "thread_id": thread, "limit": limit, "cursor": cursor}
    with call.ledger() as ledger:
        ready(call, ledger, *MODELS, fold=fold)
        if run_id is not None:
            _explain(call, ledger.now.analyze_failure(run_id))
            return
        page = ledger.now.failures(**asked)
    if call.json:
        answer(call, page, [summary.model_dump(mode="json", exclude={"standing"}) for summary in page.items])
    else:
        _print(call, page)


def _print(call: Call, page: "Page[RunSummaryView]") -> None:
    from runfold.cli.terminal import one_line, print_whole, table

    rows = [
        (
            summary.run_id,
            summary.goal_id or "",
            one_line(f"{summary.error.code}: {summary.error.message}", 120) if summary.error else "",
            summary.decision_count,
            summary.problem_count,
        )
        for summary in page.items
    ]
    print_whole(call.out, table(("run", "goal", "error", "#decisions", "#problems"), rows, wraps="error"))
    conclude(call, page, "failed run")


def _explain(call: Call, found: "FailureAnalysis") -> None:
    if call.json:
        call.answer({**as_json(found.standing), **found.model_dump(mode="json", exclude={"standing"})})
        return
    from runfold.cli.terminal import shown

    out = call.out
    out.print(shown(f"{found.run_id}  {found.error.code}: {found.error.message}", "bold"), soft_wrap=True)
    out.print(shown(f"  failed at  {found.failure_point}"), soft_wrap=True)
    out.print(shown(f"  because    {found.root_cause}"), soft_wrap=True)
    lists = {"Decisions up to there": found.decision_chain, "Problems": found.problems, "What to try": found.suggestions}
    for title, told in lists.items():
        if told:
            out.print(f"\n{title}", style="bold")
            for line in told:
                out.print(shown(f"  {line}"), soft_wrap=True)
    out.print(f"\nas of position {found.standing.position}", style="dim")
