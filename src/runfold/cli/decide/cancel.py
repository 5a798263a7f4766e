"""`runfold cancel`: many runs cancelled, by name or by what they are of."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.options import Comment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runfold.handles.ledgers.cancelling import CancelledRun

_SEVERAL = "May be repeated."


def cancel(
    call: Call,
    run_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="The runs' ids, as `runfold runs --active` shows them.")
    ] = None,
    thread: Annotated[
        list[str] | None, typer.Option("--thread", metavar="THREAD", help=f"Only runs in this thread. {_SEVERAL}")
    ] = None,
    agent: Annotated[
        list[str] | None, typer.Option("--agent", metavar="AGENT", help=f"Only runs of this agent. {_SEVERAL}")
    ] = None,
    user: Annotated[
        list[str] | None, typer.Option("--user", metavar="USER", help=f"Only runs in threads of this user. {_SEVERAL}")
    ] = None,
    goal: Annotated[
        list[str] | None, typer.Option("--goal", metavar="GOAL", help=f"Only runs towards this goal. {_SEVERAL}")
    ] = None,
    status: Annotated[
        list[str] | None, typer.Option("--status", metavar="STATUS", help=f"Only runs with this status. {_SEVERAL}")
    ] = None,
    comment: Comment = None,
    force: Annotated[
        bool, typer.Option("--force", help="Cancel at once what a worker holds, instead of asking it to stop.")
    ] = False,
    wait: Annotated[
        str, typer.Option("--wait", metavar="DURATION", help="How long to wait for workers that were asked to stop.")
    ] = "5s",
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="How many at most, 1 to 1000.")] = 100,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would come of it; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before cancelling what the options find.")] = False,
) -> None:
    """Cancel runs, named or found among those that have not ended.

    A run that a worker holds is asked to stop, and is cancelling until the worker has heard of it. Each run goes by itself: one
    that cannot be found fails no other, and what has ended stays as it is. Exit 3 if one that was named is not there.
    """
    from runfold.errors import RunNotFound

    asked = {"thread_id": thread, "agent_id": agent, "user_id": user, "goal_id": goal, "status": status}
    choice: Any = {name: value for name, value in asked.items() if value}
    with call.ledger() as ledger:
        if choice:
            from runfold.cli.calling.folding import catch_up

            catch_up(call, ledger, ["run_summaries"])
        given = run_ids or None
        if not dry_run and choice and not given:
            given, choice = _confirmed(call, ledger.cancel_runs(None, dry_run=True, limit=limit, **choice), yes=yes), {}
        if given == []:
            found: list[CancelledRun] = []
        else:
            how: Any = {"reason": comment, "force": force, "wait": wait, "dry_run": dry_run, "limit": limit}
            found = ledger.cancel_runs(given, **how, **choice)
    if call.json:
        call.answer({"items": [each.model_dump(mode="json") for each in found], "dry_run": dry_run})
    else:
        _print(call, found, dry_run=dry_run)
    if any(each.outcome == "not_found" for each in found):
        raise typer.Exit(RunNotFound.exit_code)


def _confirmed(call: Call, found: "Sequence[CancelledRun]", *, yes: bool) -> list[str]:
    """Return the ids of what was found, once that is confirmed. Raises UsageError where it is not."""
    from runfold.errors import UsageError
    from runfold.terminal.text import counted

    if found and not yes and not call.is_confirmed(f"Cancel {counted(len(found), 'run')}?"):
        raise UsageError("nothing was cancelled; give --yes to cancel without being asked")
    return [each.run_id for each in found]


def _print(call: Call, found: "Sequence[CancelledRun]", *, dry_run: bool) -> None:
    from runfold.terminal.text import counted, shown

    for each in found:
        call.out.print(shown(f"{each.run_id}  {each.outcome.replace('_', ' ')}"), soft_wrap=True)
    note = "; nothing was changed" if dry_run else ""
    call.out.print(f"{counted(len(found), 'run')}{note}", style="dim")
