"""`runfold usage`: what model calls used and cost."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.folding import as_json, ready
from runfold.cli.lists import Some
from runfold.cli.options import Fold

if TYPE_CHECKING:
    from datetime import date

Day = Annotated[str | None, typer.Option(metavar="DAY", help="A UTC day such as 2026-01-31, which is part of the range.")]


def usage(
    call: Call,
    *,
    by: Annotated[
        str,
        typer.Option("--by", metavar="WHAT,…", help="One or more of day, thread, run, agent, user, provider, model, goal, node."),
    ] = "",
    run: Annotated[Some, typer.Option("--run", metavar="RUN", help="Of this run.")] = None,
    scope: Annotated[
        str,
        typer.Option("--scope", metavar="run|path|tree", help="The run alone, its path from the root, or all under it."),
    ] = "run",
    thread: Annotated[Some, typer.Option("--thread", metavar="THREAD", help="In this thread.")] = None,
    agent: Annotated[Some, typer.Option("--agent", metavar="AGENT", help="Of this agent.")] = None,
    user: Annotated[Some, typer.Option("--user", metavar="USER", help="In threads of this user.")] = None,
    goal: Annotated[Some, typer.Option("--goal", metavar="GOAL", help="Towards this goal.")] = None,
    model: Annotated[Some, typer.Option("--model", metavar="MODEL", help="Of this model.")] = None,
    provider: Annotated[Some, typer.Option("--provider", metavar="PROVIDER", help="Of this provider.")] = None,
    node: Annotated[Some, typer.Option("--node", metavar="NODE", help="At this node.")] = None,
    since: Day = None,
    until: Day = None,
    fold: Fold = False,
) -> None:
    """Sum tokens and costs: by day, model, agent, goal … or several of them; of a run, its path or its whole tree.

    A count that was not reported is left empty rather than zero. Costs are as reported; where none was reported, the cost is
    computed from the list prices of its day. In JSON `cost` is exact, and `costs` says by currency which part was reported by
    whom, and which part was computed from which price list.
    """
    asked: dict[str, Any] = {
        "run": run,
        "thread": thread,
        "agent": agent,
        "user": user,
        "goal": goal,
        "model": model,
        "provider": provider,
        "node": node,
        "since": _day("--since", since),
        "until": _day("--until", until),
    }
    with call.ledger() as ledger:
        ready(call, ledger, *(("usage", "thread_tree") if scope == "tree" else ("usage",)), fold=fold)
        report = ledger.now.usage(by, scope=scope, **asked)  # type: ignore[arg-type]  # it checks its words
    if call.json:
        items = {"by": report.by, "items": report.items(), "total": report.total_item(), "next_cursor": None}
        call.answer({**as_json(report.standing), **items})
        return
    from runfold.terminal.usage import print_usage

    print_usage(call.out, report)


def _day(option: str, text: str | None) -> "date | None":
    from datetime import date

    from runfold.errors import UsageError

    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} takes a UTC day such as 2026-01-31, not {text!r}", option=option) from None
