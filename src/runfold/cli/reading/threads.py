"""`runfold threads`, `thread`, `tree`, `heads` and `head`."""

from typing import Annotated, Any

import typer

from runfold.cli.calling.call import Call, pinned
from runfold.cli.calling.identity import WhoOrActor, actor_for
from runfold.cli.calling.lists import answer, asking, page_of, print_page
from runfold.cli.calling.options import At, Fold, HappenedAt, ThreadId

_NEWEST = ("created_position", "desc")


def threads(
    call: Call,
    *,
    before: Annotated[
        int | None, typer.Option("--before", min=1, hidden=True, help="Only threads created before this position, newest first.")
    ] = None,
    at: At = None,
    happened_at: HappenedAt = None,
    fold: Fold = False,
    **asked: Any,
) -> None:
    """List threads, the last active first: by agent, user, state, activity …

    In JSON each item has its metadata.
    """
    if before is not None:
        from runfold.queries.lists.paging import cursor_of

        asked |= {"order_by": "created_position", "order": "desc", "cursor": cursor_of(["threads", *_NEWEST, before, ""])}
    with asking(call, "threads", fold=fold, at=at, happened_at=happened_at) as reading:
        page = page_of(reading.threads, {**asked, "content": call.json})
    if call.json:
        answer(call, page)
        return
    from runfold.terminal.tables import thread_table

    print_page(call, thread_table(page.items), page, "thread")


def thread(
    call: Call,
    thread_id: ThreadId,
    at: At = None,
    happened_at: HappenedAt = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="The conversation of this run instead of a head's.")
    ] = None,
    head: Annotated[
        str, typer.Option("--head", metavar="NAME", help="The conversation of the run that this head points at.")
    ] = "main",
    role: Annotated[
        list[str] | None, typer.Option("--role", metavar="ROLE", help="Only messages of this role. May be repeated.")
    ] = None,
    as_seen: Annotated[
        bool,
        typer.Option(
            "--as-seen", help="Only what the model saw: after its memory was cut the summary, what was kept, and what followed."
        ),
    ] = False,
    own: Annotated[bool, typer.Option("--own", help="Only messages of the run itself, not of its ancestors.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Cut nothing, and show whatever else happened to the runs: steps, decisions, usage …")
    ] = False,
) -> None:
    """Show a thread's conversation at any moment, on any branch: when, who, and what was said, called and allowed.

    The conversation of a run follows its path from the root: the messages of its ancestors up to where it left them, each in
    its nearest revision. Other branches are not shown. With --role or --own, tool calls are left out.
    """
    from runfold.errors import UsageError
    from runfold.terminal.conversation import Conversation

    with call.ledger() as ledger:
        reading = pinned(call, ledger, at, happened_at)
        view = reading.thread(thread_id)
        if run is None and view.heads and head not in view.heads:
            names = ", ".join(sorted(view.heads))
            raise UsageError(f"{thread_id} has no head {head!r} at position {reading.up_to}; it has {names}", head=head)
        run_id = run or view.heads.get(head)
        history = reading.history(run_id, thread_id) if run_id else None
        found = Conversation.of(thread_id, history, reading.up_to, full=full)
        if as_seen and (role or own):
            raise UsageError("--as-seen is what the model saw of all; leave out --role and --own")
        if as_seen:
            found = found.as_seen()
        if run_id and (role or own):
            messages = reading.messages(thread_id, run_id, role=role, own=own)
            found = found.only(messages)
    if call.json:
        call.answer({**found.as_json(), "thread": view.model_dump(mode="json")})
        return
    from runfold.terminal.console import print_fitted, print_whole
    from runfold.terminal.text import counted, one_line, shown

    call.out.print(shown(one_line(view.title or view.id), "bold"), soft_wrap=True)
    if view.superseded_by:
        call.out.print(shown(f"superseded by {', '.join(view.superseded_by)}", "yellow"), soft_wrap=True)
    call.out.print(f"{' → '.join(found.path) or 'no run yet'}\n", style="dim", soft_wrap=True)
    (print_whole if full else print_fitted)(call.out, found.drawn())
    call.out.print(f"\n{counted(len(found.messages), 'message')} as of position {found.as_of}", style="dim")


def tree(call: Call, thread_id: ThreadId, at: At = None, happened_at: HappenedAt = None) -> None:
    """Draw a thread's tree of runs: kinds, states, heads and positions.

    A run that continues another is drawn below it; branches and sub-agents are drawn inside the run they come from.
    """
    from runfold.terminal.tree import ThreadTree

    with call.ledger() as ledger:
        found = ThreadTree.of(pinned(call, ledger, at, happened_at), thread_id)
    if call.json:
        call.answer(found.as_json())
        return
    from runfold.terminal.console import print_whole
    from runfold.terminal.text import counted

    print_whole(call.out, found.drawn())
    call.out.print(f"{counted(len(found.runs), 'run')} as of position {found.as_of}; ↓ continues the run above it", style="dim")


def heads(call: Call, thread_id: ThreadId, at: At = None, happened_at: HappenedAt = None) -> None:
    """List a thread's heads: the names that point at its runs, and how each was moved there.

    A head follows the runs that continue, resume or retry its run; a branch does not move it.
    """
    with call.ledger() as ledger:
        reading = pinned(call, ledger, at, happened_at)
        found = reading.heads(thread_id)
    if call.json:
        items = [{**head.model_dump(mode="json"), "has_followed": head.has_followed} for head in found]
        call.answer({"as_of": reading.up_to, "thread_id": thread_id, "items": items})
        return
    from runfold.terminal.console import print_whole
    from runfold.terminal.tables import head_table
    from runfold.terminal.text import counted

    print_whole(call.out, head_table(found))
    call.out.print(f"{counted(len(found), 'head')} as of position {reading.up_to}", style="dim")


def head(
    call: Call,
    *,
    thread_id: ThreadId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The head to create or move.")],
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run of this thread that it should point at.")],
    expected: Annotated[
        str | None, typer.Option("--expected", metavar="RUN", help="Refuse unless the head points at this run.")
    ] = None,
    rewind: Annotated[bool, typer.Option("--rewind", help="Record the move as a rewind of the conversation.")] = False,
    who: WhoOrActor = None,
) -> None:
    """Point a head of a thread at a run: create it, or move it.

    `runfold thread` shows the head `main` unless --run or --head is given, and the next run of the thread continues it.
    """
    actor = actor_for(call, who)
    with call.ledger() as ledger:
        thread = ledger.thread(thread_id)
        was = thread.tree().heads
        if name in was or name == "main" or expected is not None:
            reason: Any = "rewound" if rewind else "checked_out"
            receipt = thread.move_head(name, run_id, expected=expected, reason=reason, actor=actor)
        else:
            receipt = thread.name_head(name, run_id, actor=actor)
        now = next(head for head in ledger.now.heads(thread_id) if head.name == name)
    if call.json:
        call.answer(
            {
                "position": receipt.position,
                "appended": receipt.appended,
                "thread_id": thread_id,
                "from_run_id": was.get(name),
                "head": now.model_dump(mode="json"),
            }
        )
        return
    from runfold.terminal.text import shown

    before = f", no longer at {was[name]}" if name in was and was[name] != run_id else ""
    call.out.print(shown(f"{name} is at {now.run_id}{before}"), soft_wrap=True)
    done = f"recorded at position {receipt.position}" if receipt.appended else "it already pointed there; nothing was added"
    call.out.print(done, style="dim")
