"""`runfold sweep` and `reactors`: what happens by itself, done now, and how it stands."""

from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.folding import catch_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runfold.delivery.sweeper import Sweeper
    from runfold.ledger import Ledger

_MODELS = ("run_progress", "approval_queue")


def sweep(
    call: Call,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what is due; change nothing.")] = False,
) -> None:
    """Do now what is due by itself: approvals expire, lost leases end, and what else RUNFOLD_SWEEP says.

    `runfold work` and `runfold serve` do the same all the time, and what they are at is left to them. Each thing happens once,
    whoever does it, in the name of system:sweeper. Folds the read models that it goes by first.
    """
    from runfold.delivery.sweeper import sweepers
    from runfold.delivery.sweeper_rules import RULES

    with call.ledger() as ledger:
        catch_up(call, ledger, _MODELS)
        found = sweepers(ledger, RULES)
        if dry_run:
            _list(call, found)
        else:
            _do(call, ledger, found)


def _list(call: Call, found: "Sequence[Sweeper]") -> None:
    due = [(sweeper, each) for sweeper in found for each in sweeper.find()]
    if call.json:
        items = [
            {"does": sweeper.does, "subject": each.subject, "since": each.since.isoformat(), "tenant_id": each.tenant_id}
            for sweeper, each in due
        ]
        call.answer({"due": items})
        return
    from runfold.terminal.text import counted, shown

    for sweeper, each in due:
        call.out.print(shown(f"{each.since:%Y-%m-%d %H:%M:%S}  {_plain(sweeper.does):<17}  {each.subject}"), soft_wrap=True)
    call.out.print(f"{counted(len(due), 'thing')} due; nothing was changed")


def _do(call: Call, ledger: "Ledger", found: "Sequence[Sweeper]") -> None:
    from runfold.delivery.loop import ReactorLoop

    done = ReactorLoop(ledger.recorder.store, found).once()
    left = [sweeper.name for sweeper in found if sweeper.name not in done]
    counts = {sweeper.does: done[sweeper.name].get(sweeper.does, 0) for sweeper in found if sweeper.name in done}
    if call.json:
        call.answer({"done": counts, "left_to_workers": left})
        return
    for what, count in counts.items():
        call.out.print(f"{_plain(what):<17}  {count:>6,}")
    if left:
        call.note(f"a worker that runs does {', '.join(left)}; `runfold reactors` shows what it did")


def reactors(call: Call) -> None:
    """Show what happens by itself: who carries it out, what was done and when, and what has been due for how long."""
    with call.ledger() as ledger:
        found = ledger.reactors()
    if call.json:
        call.answer({"items": [status.model_dump(mode="json") for status in found]})
        return
    from runfold.terminal.console import print_whole
    from runfold.terminal.reactors import reactor_table
    from runfold.terminal.text import shown

    if not found:
        nobody = "nobody has carried out yet what happens by itself; `runfold work`, `runfold serve` and `runfold sweep` do"
        call.out.print(nobody, soft_wrap=True)
        return
    print_whole(call.out, reactor_table(found))
    for status in found:
        if status.error is not None:
            call.err.print(shown(f"{status.name}: {status.error}", "red"), soft_wrap=True)


def _plain(what: str) -> str:
    return what.replace("_", " ")
