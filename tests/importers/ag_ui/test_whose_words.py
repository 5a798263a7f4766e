"""What a ledger gives out as AG-UI's events comes in again as the words, and the verdicts, of those whose they were."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runfold import Ledger
from runfold.domain.approval_events import ApprovalVoteCast
from runfold.domain.message import MessageAdded
from runfold.importers.importing import import_paths

SPEAKERS = ("human:user", "agent:dev-1", "service:hook")


def _imported(told: Ledger, run_id: str, other: Ledger, folder: Path) -> Ledger:
    file = folder / f"{run_id}.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in told.run(run_id).ag_ui()))
    assert import_paths(other, "ag-ui", [file]).problems == []
    return other


def _said(ledger: Ledger) -> dict[str, tuple[str, str, str | None]]:
    """Each message's role, whose it is, and its author, by its words. What an agent says, an importer says in its own name."""
    found = {}
    for recorded in ledger.subscribe(types=["message.added"], follow=False):
        added = recorded.event
        assert isinstance(added, MessageAdded)
        actor = str(recorded.metadata.actor)
        is_agent = added.role == "assistant" and actor.startswith("agent:")
        found[str(added.content)] = (added.role, "agent" if is_agent else actor, added.author)
    return found


def test_a_message_that_goes_out_comes_in_as_who_said_it(tenants: Callable[[str], Ledger], tmp_path: Path) -> None:
    told = tenants("told")
    thread = told.create_thread(agent_id="a")
    first = thread.create_run()
    cases: list[tuple[Any, str, str | None]] = [
        (role, actor, author)
        for role, actor in itertools.product(("user", "assistant"), SPEAKERS)
        for author in (None, actor, "somebody")
    ]
    for number, (role, actor, author) in enumerate(cases):  # a client sends these
        first.add_message(role, f"before {number}", actor=actor, **({} if author is None else {"author": author}))
    first.start()
    for number, (role, actor, author) in enumerate(cases):  # and is told of these
        first.add_message(role, f"within {number}", actor=actor, **({} if author is None else {"author": author}))
    first.complete()
    second = thread.start_run(parent=first.id, kind="continues")
    second.add_message("assistant", "And this.", actor="agent:x")
    second.complete()
    for run in (first, second):  # the second one's events have all that was said as its past
        found = _said(_imported(told, run.id, tenants(f"of {run.id}"), tmp_path))
        assert found == {words: whose for words, whose in _said(told).items() if words in found}
        assert len(found) == 2 * len(cases) + (run is second)


def test_a_verdict_that_goes_out_comes_in_as_who_gave_it(tenants: Callable[[str], Ledger], tmp_path: Path) -> None:
    told = tenants("voted")
    for voter, verdict in itertools.product(("human:user", "service:policy", "agent:guardian"), ("grant", "deny")):
        run = told.create_thread(agent_id="a").start_run()
        call = run.call_tool("pay", {"amount": 5})
        approval = run.request_approval(
            "pay", arguments={"amount": 5}, call_id=call.id, approver_kinds=None, requester_excluded=None
        )
        getattr(approval, verdict)(actor=voter)
        run.add_message("assistant", "So be it.")
        run.complete()
        other = _imported(told, run.id, tenants(f"{voter} {verdict}"), tmp_path)
        votes = [recorded for recorded in other.subscribe(follow=False) if isinstance(recorded.event, ApprovalVoteCast)]
        assert [str(vote.metadata.actor) for vote in votes] == [voter]
