"""Events of the Copilot CLI in the ledger."""

from pathlib import Path
from typing import Any

from runfold.importers.importing import import_paths
from tests.importers.conftest import told
from tests.importers.copilot.sessions import whole


def test_grown_in_steps_or_at_once_by_two_tenants_it_is_the_same(tenants: Any, tmp_path: Path) -> None:
    once, grown, events = tenants("once"), tenants("grown"), whole()
    for step in range(1, 13):
        events.write(tmp_path, len(events.records) * step // 12)
        assert import_paths(grown, "copilot", [tmp_path]).problems == []
    tally = import_paths(once, "copilot", [tmp_path])
    assert (tally.threads, tally.runs, tally.messages, tally.tool_calls) == (1, 6, 17, 6)
    assert (tally.tool_errors, tally.approvals, tally.decisions) == (1, 3, 1)
    assert told(grown) == told(once)
    assert (import_paths(once, "copilot", [tmp_path]).events, import_paths(grown, "copilot", [tmp_path]).events) == (0, 0)


def test_calls_and_approvals_say_who_decided_what(tenants: Any, tmp_path: Path) -> None:
    ledger = tenants("decided")
    whole().write(tmp_path)
    import_paths(ledger, "copilot", [tmp_path])
    ledger.fold()
    calls = {call.provider_call_id: call.status for call in ledger.now.tool_calls().items}
    assert calls == {
        "toolu_1": "succeeded",
        "toolu_2": "failed",
        "toolu_3": "succeeded",
        "toolu_4": "succeeded",
        "toolu_5": "cancelled",
        "ask": "succeeded",
    }
    votes = {row.approval_id: ledger.now.approval(row.approval_id).votes[0] for row in ledger.now.approvals().items}
    assert sorted((vote.voter, vote.verdict, vote.comment) for vote in votes.values()) == [
        ("human:user", "approve", None),
        ("human:user", "approve", None),
        ("human:user", "deny", "Keep it."),
    ]
    (thread,) = ledger.now.threads().items
    nodes = ledger.thread(thread.thread_id).tree().nodes.values()
    assert [node.agent_id for node in nodes if node.parent and node.parent.kind == "spawned_by"] == ["copilot:explore"]
