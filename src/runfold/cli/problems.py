"""`runfold problems`, `failures` and `attention`: what went wrong, and which runs need a person."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.folding import as_json, ready
from runfold.cli.lists import Order, Some, answer, print_page
from runfold.cli.options import Cursor, Fold, Limit

if TYPE_CHECKING:
    from runfold.queries.failure import FailureAnalysis


def problems(
    call: Call,
    *,
    open: Annotated[bool, typer.Option("--open", help="Only unresolved problems.")] = False,
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
    """List the problems that runs reported, the most severe first, then the oldest.

    In JSON each item has its texts (description, cause, fix, resolution) under `words`.
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
        return
    from runfold.terminal.tables import problem_table

    print_page(call, problem_table(page.items, words), page, "problem")


def failures(
    call: Call,
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Explain why this run failed, instead of a list.")] = None,
    *,
    goal: Annotated[Some, typer.Option("--goal", metavar="GOAL", help="Towards this goal.")] = None,
    agent: Annotated[Some, typer.Option("--agent", metavar="AGENT", help="Of this agent.")] = None,
    thread: Annotated[Some, typer.Option("--thread", metavar="THREAD", help="In this thread.")] = None,
    limit: Limit = 10,
    cursor: Cursor = None,
    fold: Fold = False,
) -> None:
    """List the failed runs, the last first; or explain one: where it failed, why, and what to try.

    The point of failure is the first decision whose outcome is not a success.
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
        return
    from runfold.terminal.tables import failure_table

    print_page(call, failure_table(page.items), page, "failed run")


def _explain(call: Call, found: "FailureAnalysis") -> None:
    if call.json:
        call.answer({**as_json(found.standing), **found.model_dump(mode="json", exclude={"standing"})})
        return
    from runfold.terminal.runs import print_failure

    print_failure(call.out, found)


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
    """List the runs that need a person's attention, with the reasons, the last flagged first.

    The reasons: failed, stuck, or waiting for a person; a failed step; more than 3 retries, 2 approval requests, 60
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
        return
    from runfold.terminal.tables import attention_table

    print_page(call, attention_table(page.items), page, "run")
