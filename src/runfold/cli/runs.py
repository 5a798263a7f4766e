"""`runfold run`: one run at a glance, now or at any version or moment."""

from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.call import Call, pinned
from runfold.cli.threads import At

if TYPE_CHECKING:
    from runfold.history.views import RunView, ToolCallView


def run(
    call: Call,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `runfold tree` shows it.")],
    version: Annotated[
        int | None, typer.Option("--version", min=1, metavar="N", help="As it was at this version of its stream.")
    ] = None,
    at: At = None,
) -> None:
    """Show a run: its state, what it counts, and its tool calls.

    Its events, one by one, are `runfold events --run RUN`.
    """
    from runfold.errors import UsageError

    with call.ledger() as ledger:
        reading = pinned(ledger, at)
        view = reading.run(run_id, version)
        if version is not None and version > view.version:
            raise UsageError(f"{run_id} is at version {view.version}, and has no version {version} yet", version=view.version)
        calls = reading.at(min(view.position, reading.up_to)).tool_calls(run_id)
    if call.json:
        tool_calls = [tool_call.model_dump(mode="json") for tool_call in calls]
        call.answer({"as_of": reading.up_to, **view.model_dump(mode="json"), "tool_calls_made": tool_calls})
        return
    _print(call, view, calls)
    call.out.print(f"\nversion {view.version}, as of position {reading.up_to}", style="dim")


def _print(call: Call, view: "RunView", calls: "list[ToolCallView]") -> None:
    from runfold.cli.terminal import counted, one_line, print_whole, shown, table
    from runfold.domain.values import json_text

    parent = view.parent
    facts = {
        "status": f"{view.status} ({view.stop_reason})" if view.stop_reason not in {None, view.status} else view.status,
        "thread": view.thread_id,
        "agent": view.agent_id,
        "parent": f"{parent.kind} {parent.run_id} at version {parent.at_version}" if parent else "none: a root",
        "goal": f"{view.goal.id}: {view.goal.description}" if view.goal else None,
        "attempt": str(view.attempt),
        "worker": view.worker,
        "workflow": view.workflow_id,
        "waits for": ", ".join(view.waiting_for) or None,
        "input": None if view.input is None else one_line(json_text(view.input)),
        "output": None if view.output is None else one_line(json_text(view.output)),
        "error": f"{view.error.code}: {one_line(view.error.message)}" if view.error else None,
        "holds": f"{counted(view.messages, 'message')}, {counted(view.tool_calls, 'tool call')} ({view.open_tool_calls} open), "
        f"{counted(view.decisions, 'decision')}, {counted(view.problems, 'problem')}",
        "created": f"{view.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "last event": f"{view.last_event_at:%Y-%m-%d %H:%M:%S} UTC",
    }
    call.out.print(shown(view.id, "bold"))
    for name, value in facts.items():
        if value is not None:
            call.out.print(shown(f"  {name:<11}{value}"), soft_wrap=True)
    if calls:
        rows = [(made.requested_position, made.name, made.status, one_line(made.arguments_text, 60), made.id) for made in calls]
        call.out.print()
        print_whole(call.out, table(("#position", "tool", "status", "arguments", "id"), rows, wraps="arguments"))
