"""`runfold runs`, `run`, `summary` and `diff`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call, pinned
from runfold.cli.folding import as_json, ready
from runfold.cli.lists import Order, Some, answer, moment, print_page
from runfold.cli.options import At, Cursor, Fold, Limit, RunId

if TYPE_CHECKING:
    from runfold.queries.reading import Reading
    from runfold.queries.tool_call_list import ListedToolCall


def run(
    call: Call,
    run_id: RunId,
    version: Annotated[
        int | None, typer.Option("--version", min=1, metavar="N", help="As of this version of the run's stream.")
    ] = None,
    at: At = None,
) -> None:
    """Show a run: its state, what it counts, and its tool calls.

    For its events, see `runfold events --run RUN`.
    """
    from runfold.errors import UsageError

    with call.ledger() as ledger:
        reading = pinned(ledger, at)
        view = reading.run(run_id, version)
        if version is not None and version > view.version:
            raise UsageError(f"{run_id} is at version {view.version} and has no version {version} yet", version=view.version)
        calls = _calls(reading.at(min(view.position, reading.up_to)), run_id)
    if call.json:
        tool_calls = [tool_call.model_dump(mode="json") for tool_call in calls]
        call.answer({"as_of": reading.up_to, **view.model_dump(mode="json"), "tool_calls_made": tool_calls})
        return
    from runfold.terminal.runs import print_run

    print_run(call.out, view, calls)
    call.out.print(f"\nversion {view.version}, as of position {reading.up_to}", style="dim")


def _calls(reading: "Reading", run_id: str) -> "list[ListedToolCall]":
    """All of them."""
    page = reading.tool_calls(run_id=run_id, limit=1000)
    found = [*page.items]
    while page.next_cursor is not None:
        page = reading.tool_calls(run_id=run_id, limit=1000, cursor=page.next_cursor)
        found += page.items
    return found


def summary(call: Call, run_id: RunId, fold: Fold = False) -> None:
    """Summarize a run: how it went, its key decisions, its problems, what worked.

    Key decisions are the first five that failed or were rated outstanding. The narrative is the run's own where it recorded
    one at its end.
    """
    from runfold.queries.summary import MODELS

    with call.ledger() as ledger:
        ready(call, ledger, *MODELS, fold=fold)
        found = ledger.now.summary(run_id)
    if call.json:
        call.answer({**as_json(found.standing), **found.model_dump(mode="json", exclude={"standing"})})
        return
    from runfold.terminal.runs import print_summary

    print_summary(call.out, found)


def runs(  # noqa: PLR0913  one option for each thing that runs can be found by
    call: Call,
    *,
    agent: Annotated[Some, typer.Option("--agent", metavar="AGENT", help="Of this agent.")] = None,
    status: Annotated[
        Some,
        typer.Option(
            "--status", metavar="STATUS", help="Only runs in this state; words of other systems, such as success, work too."
        ),
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
        return
    from runfold.terminal.tables import run_table

    print_page(call, run_table(page.items), page, "run")


def diff(
    call: Call,
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="A run's id, as `runfold tree` shows it.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="Another run's id, of any thread.")],
    at: At = None,
) -> None:
    """Show where two runs diverge, and what happened differently after that, side by side.

    Each run stands for its path from the root. The common part of both paths is named and left out; runs that have none,
    such as two attempts at one task, are compared from their beginnings. Messages, decisions, tool calls, approvals and
    endings are compared; usage and cost are of what comes after the common part. It is read from the log, not from read
    models.
    """
    with call.ledger() as ledger:
        found = pinned(ledger, at).diff(run_a, run_b)
    if call.json:
        call.answer(found.model_dump(mode="json"))
        return
    from runfold.terminal.difference import print_difference

    print_difference(call.out, found)


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
