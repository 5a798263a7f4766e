"""`runfold check`: is what is stored what was written?"""

from typing import TYPE_CHECKING, Any

import typer

from runfold.cli.call import Call
from runfold.errors import Damage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runfold.maintenance.checking import Finding
    from runfold.store.history import History

DAMAGE = Damage.exit_code
MOST_SHOWN = 1000
"""Findings that are named one by one; the rest is counted."""


def check(call: Call) -> None:
    """Read the whole log and look for damage; exit 5 if there is any.

    Positions from 1 to the head without a hole, versions that follow each other in every stream, times that never go
    back, events that stand in the stream and thread they belong to, payloads that are valid for their type and schema
    version, event ids that are unique, and the database's own guards in place. Then the receipts of the read models:
    that every event up to where each of them is was applied to it, and once. It names the histories that the ledger has had,
    and whether the database lacks what the mark file saw of the present one.
    """
    import itertools
    import time

    from runfold.cli.progress import progress_bar
    from runfold.maintenance.checking import LogCheck
    from runfold.projector.auditing import receipt_findings

    began = time.monotonic()
    found: list[Finding] = []
    count = 0
    with call.ledger() as ledger:
        log_check = LogCheck(ledger.recorder.reader)
        with progress_bar(call.err, "Checking", "events") as told:
            log_check.progress = lambda done: told(done, log_check.head, "")
            found_in = log_check.findings(), receipt_findings(ledger.recorder.store), _history(ledger.history)
            for finding in itertools.chain(*found_in):
                count += 1
                if count <= MOST_SHOWN:
                    found.append(finding)
        lineage = [epoch.as_json() for epoch in ledger.lineage()]
    seconds = time.monotonic() - began
    facts: dict[str, Any] = {
        "ok": not count,
        "as_of": log_check.head,
        "events": log_check.events,
        "seconds": round(seconds, 3),
        "lineage": lineage,
    }
    _answer(call, facts, found, count)
    if count:
        raise typer.Exit(DAMAGE)


def _history(history: "History") -> "Iterator[Finding]":
    """What the mark file saw of the present history, and the database lacks."""
    from runfold.errors import UsageError
    from runfold.maintenance.checking import Finding

    try:
        parting = history.parted()
    except UsageError as error:
        fact, _, step = str(error).partition("; ")
        yield Finding("mark", fact, step)
        return
    if parting:
        step = "open the ledger as a role that was granted runfold_app: a new history then begins, and consumers are told"
        yield Finding("history", parting.fact, step, parting.common_position)


def _answer(call: Call, facts: dict[str, Any], found: "list[Finding]", count: int) -> None:
    if call.json:
        call.answer({**facts, "damages": count, "findings": [finding.as_json() for finding in found]})
        return
    from runfold.cli.terminal import counted, shown

    for finding in found:
        call.out.print(shown(f"{finding.kind}: {finding.fact}", "red"), soft_wrap=True)
        call.out.print(shown(f"    {finding.next_step}", "dim"), soft_wrap=True)
    if count > len(found):
        call.out.print(f"… and {count - len(found):,} more", style="red")
    for epoch in (epoch for epoch in facts["lineage"] if epoch["from_position"] or epoch["lost_position"]):
        lost = f", and the one before it went to {epoch['lost_position']} at least" if epoch["lost_position"] else ""
        began = f"history {epoch['epoch']} began {epoch['began_at']} ({epoch['reason']})"
        call.out.print(f"{began} after position {epoch['from_position']}{lost}", soft_wrap=True)
    verdict = counted(count, "damage") if count else "no damage"
    call.out.print(
        f"{verdict} in {counted(facts['events'], 'event')}, as of position {facts['as_of']} ({facts['seconds']:.1f} s)",
        style="bold red" if count else "bold green",
        soft_wrap=True,
    )
