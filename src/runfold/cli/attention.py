"""`runfold attention`: the runs that a person should look at."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.pages import Cursor, Limit, Some, answer, conclude, on_day
from runfold.cli.projections import Fold, ready

if TYPE_CHECKING:
    from runfold.projections.attention import AttentionRow
    from runfold.queries.read_models import Page


def attention(
    call: Call,
    *,
    reason: Annotated[
        Some,
        typer.Option(
            "--reason",
            metavar="REASON",
            help="failed, stuck, waiting_for_approval, waiting_for_input, node_failure, retries, escalations, latency, "
            "tokens or steps.",
        ),
    ] = None,
    status: Annotated[Some, typer.Option("--status", metavar="STATUS", help="In this state.")] = None,
    goal: Annotated[Some, typer.Option("--goal", metavar="GOAL", help="Towards this goal.")] = None,
    agent: Annotated[Some, typer.Option("--agent", metavar="AGENT", help="Of this agent.")] = None,
    thread: Annotated[Some, typer.Option("--thread", metavar="THREAD", help="In this thread.")] = None,
    user: Annotated[Some, typer.Option("--user", metavar="USER", help="In threads of this user.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    fold: Fold = False,
) -> None:
    """List the runs that a person should look at, with all the reasons, those flagged last first.

    Reasons are: failed, stuck, waiting for a person; a step that failed; more than 3 retries, 2 approvals asked for, 60
    seconds of work, 100,000 tokens or 20 steps.
    """
    asked: dict[str, Any] = {
        "reason": reason,
        "status": status,
        "goal_id": goal,
        "agent_id": agent,
        "thread_id": thread,
        "user_id": user,
        "limit": limit,
        "cursor": cursor,
    }
    with call.ledger() as ledger:
        ready(call, ledger, "attention", fold=fold)
        page = ledger.now.attention(**asked)
    if call.json:
        answer(call, page)
    else:
        _print(call, page)


def _print(call: Call, page: "Page[AttentionRow]") -> None:
    from runfold.cli.terminal import one_line, print_whole, shown, table
    from runfold.cli.tree import STATUS_STYLES

    rows = [
        (
            row.run_id,
            shown(row.status, STATUS_STYLES.get(row.status, "")),
            ", ".join(row.reasons),
            one_line(row.agent_id, 40),
            row.goal_id or "",
            on_day(row.flagged_at),
        )
        for row in page.items
    ]
    print_whole(call.out, table(("run", "status", "reasons", "agent", "goal", "since (UTC)"), rows, wraps="reasons"))
    conclude(call, page, "run")
