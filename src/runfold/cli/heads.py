"""`runfold heads` and `head`: the names that point at runs of a thread."""

from typing import Annotated, Any

import typer

from runfold.cli.call import Call, pinned
from runfold.cli.identity import Who, whoever
from runfold.cli.threads import At, ThreadId

_HOW = {"named": "named", "checked_out": "moved", "rewound": "rewound"}


def heads(call: Call, thread_id: ThreadId, at: At = None) -> None:
    """List a thread's heads: the names that point at its runs, and how each came to where it is.

    A head follows by itself the runs that continue, resume or retry its run; a branch leaves it where it is.
    """
    with call.ledger() as ledger:
        reading = pinned(ledger, at)
        found = reading.heads(thread_id)
    if call.json:
        items = [{**head.model_dump(mode="json"), "has_followed": head.has_followed} for head in found]
        call.answer({"as_of": reading.up_to, "thread_id": thread_id, "items": items})
        return
    from runfold.cli.terminal import counted, print_whole, table

    rows = [
        (
            head.name,
            head.run_id,
            "followed" if head.has_followed else "by hand",
            f"{_HOW[head.placed.how]} at {head.placed.position} by {head.placed.by}" if head.placed else "never",
        )
        for head in found
    ]
    print_whole(call.out, table(("name", "run", "came there", "put by hand"), rows))
    call.out.print(f"{counted(len(rows), 'head')} as of position {reading.up_to}", style="dim")


def head(
    call: Call,
    *,
    thread_id: ThreadId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The head: a new name, or one to move.")],
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run of this thread that it shall point at.")],
    expected: Annotated[
        str | None, typer.Option("--expected", metavar="RUN", help="Refuse to move it from anywhere but this run.")
    ] = None,
    rewind: Annotated[bool, typer.Option("--rewind", help="Record that the conversation was taken back.")] = False,
    who: Who = None,
) -> None:
    """Let a name point at a run of a thread: a new name, or one that is there already, which is moved.

    Without --run or --head, `runfold thread` shows the head `main`, and the next run of the thread continues it.
    """
    actor = whoever(call, who)
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
    from runfold.cli.terminal import shown

    before = f", no longer at {was[name]}" if name in was and was[name] != run_id else ""
    call.out.print(shown(f"{name} is at {now.run_id}{before}"), soft_wrap=True)
    done = f"recorded at position {receipt.position}" if receipt.appended else "it was there already; nothing was added"
    call.out.print(done, style="dim")
