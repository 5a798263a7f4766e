"""`runfold demo`: record a small story, and show what a ledger of runs can tell."""

import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call

if TYPE_CHECKING:
    from runfold.demo_story import Cast
    from runfold.ledger import Ledger
    from runfold.queries.reading import Reading
    from runfold.terminal.conversation import Conversation

WIDTH = 100
PAGES = "/ui/threads/"
"""Where a thread is in a browser."""


def demo(
    call: Call,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=999_999, help="Another number tells the story of another customer.")
    ] = 7,
) -> None:
    """Record a small support story, then show its tree, and its conversation at two moments and on two branches.

    A person grants a refund with other arguments than the agent requested and denies a voucher, a branch revises a message,
    and a run is cancelled while it waits. Repeating the same seed records nothing.
    """
    from runfold.demo_story import AGENT, Cast, tell

    with call.ledger(actor=AGENT) as ledger:
        cast = Cast.of(seed, ledger.settings.tenant)
        appended = tell(ledger, cast)
        reading = ledger.now.at(ledger.position())
        before = _waiting_at(ledger, cast)
        if call.json:
            call.answer(_as_json(reading, before, cast, appended))
        else:
            _show(call, reading, before, cast, appended)


def _waiting_at(ledger: "Ledger", cast: "Cast") -> int:
    """The position at which the agent had asked for the refund, and nobody had decided."""
    (waiting,) = ledger.events(run_id=cast.id("run", "claim"), types=["run.waiting"], limit=1)
    return waiting.position


def _conversation(reading: "Reading", cast: "Cast", head: str) -> "Conversation":
    from runfold.terminal.conversation import Conversation

    run_id = reading.tree(cast.thread_id).heads[head]
    return Conversation.of(cast.thread_id, reading.history(run_id, cast.thread_id), reading.up_to)


def _as_json(reading: "Reading", before: int, cast: "Cast", appended: int) -> dict[str, Any]:
    from runfold.terminal.tree import ThreadTree

    return {
        "as_of": reading.up_to,
        "thread_id": cast.thread_id,
        "events_appended": appended,
        "totals": _totals(reading, cast),
        "tree": ThreadTree.of(reading, cast.thread_id).as_json(),
        "moments": [_conversation(moment, cast, "main").as_json() for moment in (reading.at(before), reading)],
        "branches": {head: _conversation(reading, cast, head).as_json() for head in ("main", "exchange")},
        "try_next": _try_next(cast, before),
    }


def _totals(reading: "Reading", cast: "Cast") -> dict[str, int]:
    types: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for recorded in reading.thread_events(cast.thread_id):
        types[recorded.type] += 1
        if recorded.type == "usage.recorded":
            for name, value in recorded.event.model_dump()["tokens"].items():
                tokens[name] += value or 0
    return {
        "events": types.total(),
        "runs": types["run.created"],
        "messages": types["message.added"],
        "revisions": types["message.revised"],
        "tool_calls": types["tool.called"],
        "decisions": types["decision.made"],
        "problems": types["problem.reported"],
        "approvals_granted": types["approval.granted"],
        "approvals_denied": types["approval.denied"],
        "approvals_withdrawn": types["approval.withdrawn"],
        "input_tokens": tokens["input_tokens"],
        "output_tokens": tokens["output_tokens"],
    }


def _try_next(cast: "Cast", before: int) -> list[str]:
    return [
        *_activation(),
        f"runfold thread {cast.thread_id} --at {before}",
        f"runfold thread {cast.thread_id} --head exchange",
        f"runfold events --thread {cast.thread_id} --type 'approval.*'",
        "runfold serve --open",
    ]


def _activation() -> list[str]:
    """What lets the shell find the command, where it does not find the one that was called."""
    called = Path(sys.argv[0])
    found = shutil.which("runfold")
    activate = called.with_name("activate")
    if called.name != "runfold" or not activate.exists() or (found and Path(found).resolve() == called.resolve()):
        return []
    return [f"source {os.path.relpath(activate)}"]


def _show(call: Call, reading: "Reading", before: int, cast: "Cast", appended: int) -> None:
    from runfold.terminal.console import print_fitted, print_whole
    from runfold.terminal.conversation import beside
    from runfold.terminal.text import counted
    from runfold.terminal.tree import ThreadTree

    out = call.out
    totals = _totals(reading, cast)
    new = f"{appended} of them new" if appended else "none of them new: the same seed is the same story"
    out.print(f"{counted(totals['events'], 'event')}, {new}.", style="bold", soft_wrap=True)
    kinds = [counted(totals[f"{noun}s"], noun.replace("_", " ")) for noun in ("run", "message", "tool_call", "decision")]
    approvals = [f"{totals[f'approvals_{how}']} {how}" for how in ("granted", "denied", "withdrawn")]
    out.print(f"{', '.join(kinds)}; approvals: {', '.join(approvals)}", style="dim", soft_wrap=True)
    out.print()
    print_whole(out, ThreadTree.of(reading, cast.thread_id).drawn())
    width = min(out.width, WIDTH)
    then = _conversation(reading.at(before), cast, "main")
    now = _conversation(reading, cast, "main")
    other = _conversation(reading, cast, "exchange")
    out.print("\nOne conversation at two moments", style="bold")
    print_fitted(
        out, beside((f"at position {before}, nobody has decided yet", then), (f"now, at position {reading.up_to}", now), width)
    )
    out.print("\nOne thread on two branches", style="bold")
    print_fitted(out, beside(("head main", now), ("head exchange", other), width))
    out.print("\nTry next", style="bold")
    *commands, browser = _try_next(cast, before)
    for line in commands:
        out.print(f"  {line}", style="cyan", soft_wrap=True)
    out.print(f"\nIn a browser, at any moment and on each branch: {browser}", soft_wrap=True)
    out.print(f"  the story is at {PAGES}{cast.thread_id}", style="dim", soft_wrap=True)
