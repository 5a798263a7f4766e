"""`runfold usage`: what model calls used and cost."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.pages import Some
from runfold.cli.projections import Fold, as_json, ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from runfold.queries.usage_report import UsageReport, UsageTotals

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
    """Add up tokens and cost: by day, model, agent, goal … or several of them; of a run, its path or its whole tree.

    A count that nobody reported is left empty, and is no zero. Costs are as reported; where nobody reported one it is
    computed from the list prices of its day. In JSON `cost` is exact, and `costs` tells by currency which part of it was
    reported by whom and which was computed from which list.
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
    else:
        _print(call, report)


def _day(option: str, text: str | None) -> "date | None":
    from datetime import date

    from runfold.errors import UsageError

    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} takes a UTC day such as 2026-01-31, not {text!r}", option=option) from None


def _print(call: Call, report: "UsageReport") -> None:
    from runfold.cli.terminal import counted, one_line, print_whole, table

    heads = (*report.by, "#calls", "#input", "#output", "#cache read", "#cache written", "#cost")
    rows = [(*(one_line(str(getattr(row, name) or "-"), 60) for name in report.by), *_numbers(row)) for row in report.rows]
    if report.by:
        rows.append((*("total" if index == 0 else "" for index in range(len(report.by))), *_numbers(report.total)))
    print_whole(call.out, table(heads, rows))
    for remark in _remarks(report.total):
        call.out.print(remark, style="dim", soft_wrap=True)
    said = f"{counted(report.total.calls, 'model call')} as of position {report.standing.position}"
    call.out.print(said, style="dim", soft_wrap=True)


def _numbers(row: "UsageTotals") -> "Sequence[str]":
    counts = (row.calls, row.input_tokens, row.output_tokens, row.cache_read_input_tokens, row.cache_creation_input_tokens)
    cost = " + ".join(f"{cost.total:,.4f} {currency}" for currency, cost in row.costs.items())
    return (*("" if count is None else f"{count:,}" for count in counts), cost)


def _remarks(total: "UsageTotals") -> "Iterable[str]":
    for currency, cost in total.costs.items():
        for source, amount in cost.computed.items():
            yield f"{amount:,.4f} {currency} of it was reported by nobody, and computed by {source}"
    if total.calls_without_cost:
        yield f"the cost of {total.calls_without_cost:,} of the calls is not known, and not in it"
