"""`runfold threads`, `thread` and `tree`: the conversations."""

from typing import Annotated

import typer

from runfold.cli.call import Call, pinned

At = Annotated[
    str | None,
    typer.Option("--at", metavar="P|TIME", help="As it stood at a position, or at a time of the store (2026-01-31T09:30:00Z)."),
]
ThreadId = Annotated[str, typer.Argument(metavar="THREAD", help="The thread's id, as `runfold threads` shows it.")]


def threads(
    call: Call,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")] = 20,
    before: Annotated[
        int | None, typer.Option("--before", min=1, metavar="P", help="Only those created before this position: the next page.")
    ] = None,
    at: At = None,
) -> None:
    """List threads, those created last first.

    A page that is full names the `--before` of the next one; in JSON that is `next_before`.
    """
    with call.ledger() as ledger:
        reading = pinned(ledger, at)
        found = reading.threads(limit, before)
    following = found[-1].created_position if len(found) == limit else None
    if call.json:
        items = [thread.model_dump(mode="json") for thread in found]
        call.answer({"as_of": reading.up_to, "items": items, "next_before": following})
        return
    from runfold.cli.terminal import counted, one_line, print_whole, table

    rows = [
        (
            thread.id,
            one_line(thread.title or "", 80),
            thread.agent_id,
            thread.state,
            thread.runs,
            f"{thread.last_run_at or thread.created_at:%Y-%m-%d %H:%M}",
            thread.created_position,
        )
        for thread in found
    ]
    print_whole(call.out, table(("id", "title", "agent", "state", "#runs", "last run (UTC)", "#created at"), rows, wraps="title"))
    more = f"; more: runfold threads --before {following}" if following else ""
    call.out.print(f"{counted(len(rows), 'thread')} as of position {reading.up_to}{more}", style="dim", soft_wrap=True)


def thread(
    call: Call,
    thread_id: ThreadId,
    at: At = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="As of this run, along its path, whatever the heads say.")
    ] = None,
    head: Annotated[str, typer.Option("--head", metavar="NAME", help="As of the run that this head points at.")] = "main",
) -> None:
    """Show a thread's conversation: at any moment, on any branch.

    The conversation of a run is its path from the root: what its ancestors said up to where it left them, with each
    message in its nearest wording. Other branches never show.
    """
    from runfold.cli.conversation import Conversation
    from runfold.errors import UsageError

    with call.ledger() as ledger:
        reading = pinned(ledger, at)
        view = reading.thread(thread_id)
        if run is None and view.heads and head not in view.heads:
            names = ", ".join(sorted(view.heads))
            raise UsageError(f"{thread_id} has no head {head!r} at position {reading.up_to}; it has {names}", head=head)
        run_id = run or view.heads.get(head)
        history = reading.history(run_id, thread_id) if run_id else None
        found = Conversation.of(thread_id, history, reading.up_to)
    if call.json:
        call.answer({**found.as_json(), "thread": view.model_dump(mode="json")})
        return
    from runfold.cli.terminal import counted, one_line, print_fitted, shown

    call.out.print(shown(one_line(view.title or view.id), "bold"), soft_wrap=True)
    call.out.print(f"{' → '.join(found.path) or 'no run yet'}\n", style="dim", soft_wrap=True)
    print_fitted(call.out, found.drawn())
    call.out.print(f"\n{counted(len(found.messages), 'message')} as of position {found.as_of}", style="dim")


def tree(call: Call, thread_id: ThreadId, at: At = None) -> None:
    """Draw a thread's tree of runs: kinds, states, heads and positions.

    A run that continues another stands below it; branches and sub-agents stand inside the run they come from.
    """
    from runfold.cli.tree import ThreadTree

    with call.ledger() as ledger:
        found = ThreadTree.of(pinned(ledger, at), thread_id)
    if call.json:
        call.answer(found.as_json())
        return
    from runfold.cli.terminal import counted, print_whole

    print_whole(call.out, found.drawn())
    call.out.print(
        f"{counted(len(found.runs), 'run')} as of position {found.as_of}; ↓ goes on from the run above it", style="dim"
    )
