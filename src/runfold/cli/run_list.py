"""`runfold runs`: runs of all threads, found by what they are and did."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.pages import Cursor, Limit, Order, Some, answer, conclude, moment, on_day
from runfold.cli.projections import Fold, ready

if TYPE_CHECKING:
    from runfold.projections.run_summary import RunSummary
    from runfold.queries.read_models import Page

_MINUTES_FROM = 120


def runs(  # noqa: PLR0913  one option for each thing that runs can be found by
    call: Call,
    *,
    agent: Annotated[Some, typer.Option("--agent", metavar="AGENT", help="Of this agent.")] = None,
    status: Annotated[
        Some,
        typer.Option("--status", metavar="STATUS", help="In this state; other systems' words, such as success, will do too."),
    ] = None,
    active: Annotated[bool, typer.Option("--active", help="That have not ended; counts only without --status.")] = False,
    background: Annotated[
        bool | None, typer.Option("--background/--foreground", help="That nobody was to wait for, or that somebody was.")
    ] = None,
    stop_reason: Annotated[
        Some,
        typer.Option("--stop-reason", metavar="REASON", help="That ended so; requires_approval finds those that wait for one."),
    ] = None,
    thread: Annotated[Some, typer.Option("--thread", metavar="THREAD", help="In this thread.")] = None,
    run: Annotated[Some, typer.Option("--run", metavar="RUN", help="With this id.")] = None,
    parent: Annotated[Some, typer.Option("--parent", metavar="RUN", help="That come from this run.")] = None,
    goal: Annotated[Some, typer.Option("--goal", metavar="GOAL", help="Towards this goal.")] = None,
    node: Annotated[Some, typer.Option("--node", metavar="NODE", help="That came to this node.")] = None,
    user: Annotated[Some, typer.Option("--user", metavar="USER", help="In threads of this user.")] = None,
    workflow: Annotated[Some, typer.Option("--workflow", metavar="WORKFLOW", help="Of this workflow.")] = None,
    tool: Annotated[Some, typer.Option("--tool", metavar="TOOL", help="That called this tool.")] = None,
    steps: Annotated[
        str | None, typer.Option("--steps", metavar="[OP:]N", help="With so many steps: 3, gte:3, lte:3, gt:3, lt:3.")
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option("--duration", metavar="[OP:]TIME", help="That took longer than 1500ms, 90s, 15m, 2h; lt:90s for less."),
    ] = None,
    percentile: Annotated[
        int | None,
        typer.Option("--percentile", metavar="1..100", help="As slow as this percentile of all that were found, or slower."),
    ] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Created then or later.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Created then or earlier.")] = None,
    order_by: Annotated[
        str,
        typer.Option("--order-by", metavar="WHAT", help="created_at, last_event_at, finished_at, duration or steps."),
    ] = "created_at",
    order: Order = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    fold: Fold = False,
) -> None:
    """List runs, newest first: by agent, state, goal, tool, duration …

    An option that may be given several times asks for any of its values; different options must all hold. Runs that have
    no duration yet are in no list that asks about durations.
    """
    steps_operator, step_count = _split(steps)
    duration_operator, length = _split(duration)
    asked: dict[str, Any] = {
        "agent_id": agent,
        "status": status,
        "active": active,
        "background": background,
        "stop_reason": stop_reason,
        "thread_id": thread,
        "run_id": run,
        "parent_run_id": parent,
        "goal_id": goal,
        "node_id": node,
        "user_id": user,
        "workflow_id": workflow,
        "tool": tool,
        "steps": _whole(step_count),
        "steps_operator": steps_operator,
        "duration_ns": _nanoseconds(length),
        "duration_operator": duration_operator,
        "duration_percentile": percentile,
        "created_from": moment("--from", since),
        "created_to": moment("--to", until),
        "order_by": order_by,
        "order": order,
        "limit": limit,
        "cursor": cursor,
    }
    with call.ledger() as ledger:
        ready(call, ledger, "run_summaries", fold=fold)
        page = ledger.now.runs(**asked)
    if call.json:
        answer(call, page)
    else:
        _print(call, page)


def _print(call: Call, page: "Page[RunSummary]") -> None:
    from runfold.cli.terminal import one_line, print_whole, shown, table
    from runfold.cli.tree import STATUS_STYLES

    rows = [
        (
            row.run_id,
            shown(row.status, STATUS_STYLES.get(row.status, "")),
            one_line(row.agent_id, 40),
            row.steps,
            row.tool_calls,
            row.open_critical + row.open_warnings + row.open_minor,
            took(row.duration_ns),
            on_day(row.created_at),
        )
        for row in page.items
    ]
    heads = ("id", "status", "agent", "#steps", "#calls", "#problems", "#took", "created (UTC)")
    print_whole(call.out, table(heads, rows, wraps="agent"))
    conclude(call, page, "run")


def took(nanoseconds: int | None) -> str:
    """A duration for a person."""
    if nanoseconds is None:
        return ""
    seconds = nanoseconds / 10**9
    if seconds < 1:
        return f"{nanoseconds / 10**6:.0f} ms"
    if seconds < _MINUTES_FROM:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} m" if minutes >= 60 else f"{minutes} m {seconds:02} s"


def _split(text: str | None) -> tuple[str | None, str | None]:
    """`gte:3` → its operator, if it has one, and the rest."""
    operator, colon, rest = (text or "").partition(":")
    return (operator, rest) if colon else (None, text)


def _whole(text: str | None) -> int | None:
    from runfold.errors import UsageError

    if text is not None and not (text.isascii() and text.isdigit()):
        raise UsageError(f"--steps takes a whole number such as 3 or gte:3, not {text!r}", option="--steps")
    return None if text is None else int(text)


def _nanoseconds(text: str | None) -> int | None:
    from runfold.domain.durations import parse_duration
    from runfold.errors import UsageError

    if text is None:
        return None
    try:
        return parse_duration(text) // timedelta(microseconds=1) * 1000
    except ValueError:
        raise UsageError(
            f"--duration takes a time such as 1500ms, 90s, 15m or lt:2h, not {text!r}", option="--duration"
        ) from None
