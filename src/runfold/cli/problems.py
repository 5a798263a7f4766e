"""`runfold problems`: what runs reported to be wrong."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.pages import Cursor, Limit, Order, Some, answer, conclude, on_day
from runfold.cli.projections import Fold, ready

if TYPE_CHECKING:
    from runfold.projections.problems import ProblemRow
    from runfold.queries.problem_list import ProblemWords
    from runfold.queries.read_models import Page

_STYLES = {"critical": "bold red", "warning": "yellow"}


def problems(
    call: Call,
    *,
    open: Annotated[bool, typer.Option("--open", help="Only those that nobody has mended.")] = False,
    severity: Annotated[Some, typer.Option("--severity", metavar="SEVERITY", help="critical, warning or minor.")] = None,
    run: Annotated[Some, typer.Option("--run", metavar="RUN", help="Of this run.")] = None,
    goal: Annotated[Some, typer.Option("--goal", metavar="GOAL", help="Of runs towards this goal.")] = None,
    thread: Annotated[Some, typer.Option("--thread", metavar="THREAD", help="In this thread.")] = None,
    agent: Annotated[Some, typer.Option("--agent", metavar="AGENT", help="Of this agent's runs.")] = None,
    order_by: Annotated[
        str, typer.Option("--order-by", metavar="WHAT", help="severity, reported_position or resolved_position.")
    ] = "severity",
    order: Order = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    fold: Fold = False,
) -> None:
    """List the problems that runs reported, the worst first and of equal ones the oldest.

    In JSON each item has its words (description, cause, fix, resolution) under `words`.
    """
    asked: dict[str, Any] = {
        "status": "open" if open else None,
        "severity": severity,
        "run_id": run,
        "goal_id": goal,
        "thread_id": thread,
        "agent_id": agent,
        "order_by": order_by,
        "order": order,
        "limit": limit,
        "cursor": cursor,
    }
    with call.ledger() as ledger:
        ready(call, ledger, "problems", fold=fold)
        page = ledger.now.problems(**asked)
        words = ledger.now.problem_words(page.items)
    if call.json:
        items = [
            {**row.model_dump(mode="json"), "words": words[row.run_id, row.problem_id].model_dump(mode="json")}
            for row in page.items
        ]
        answer(call, page, items)
    else:
        _print(call, page, words)


def _print(call: Call, page: "Page[ProblemRow]", words: "dict[tuple[str, str], ProblemWords]") -> None:
    from runfold.cli.terminal import one_line, print_whole, shown, table

    rows = [
        (
            shown(row.severity, _STYLES.get(row.severity, "")),
            row.status,
            one_line(words[row.run_id, row.problem_id].description, 120),
            row.run_id,
            row.goal_id or "",
            on_day(row.reported_at),
        )
        for row in page.items
    ]
    heads = ("severity", "status", "description", "run", "goal", "reported (UTC)")
    print_whole(call.out, table(heads, rows, wraps="description"))
    conclude(call, page, "problem")
