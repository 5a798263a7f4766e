"""Rollouts of the Codex CLI in the ledger."""

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from runfold.domain.usage import UsageRecorded
from runfold.importers.importing import import_paths
from tests.importers.codex.rollouts import Rollout, bare, fork, implicit, spawning, whole
from tests.importers.conftest import told


def test_grown_in_steps_or_at_once_by_two_tenants_it_is_the_same(tenants: Any, tmp_path: Path) -> None:
    once, grown = tenants("once"), tenants("grown")
    forked = fork(whole(), "019b0000-0000-7000-8000-0000000000f1", 20)
    forked.begin("019b0000-0000-7000-8000-0000000000u1", "Rather not.")
    rollouts = [whole(), implicit(), bare(), forked]
    for step in range(1, 9):
        for rollout in rollouts:
            rollout.write(tmp_path, len(rollout.lines) * step // 8)
        tally = import_paths(grown, "codex", [tmp_path])
        assert tally.problems == []
    at_once = import_paths(once, "codex", [tmp_path])
    assert (at_once.threads, at_once.runs, at_once.messages, at_once.tool_calls, at_once.approvals) == (3, 7, 26, 6, 1)
    assert told(grown) == told(once)
    assert (import_paths(once, "codex", [tmp_path]).events, import_paths(grown, "codex", [tmp_path]).events) == (0, 0)


def test_how_runs_and_calls_ended_is_what_the_lines_say(tenants: Any, tmp_path: Path) -> None:
    ledger = tenants("ends")
    import_paths(ledger, "codex", [whole().write(tmp_path), implicit().write(tmp_path), bare().write(tmp_path)])
    ledger.fold()
    threads = {row.external_ref: row.thread_id for row in ledger.now.threads().items}
    assert {
        ref: [ledger.run(run_id).view().status for run_id in ledger.thread(thread_id).tree().nodes]
        for ref, thread_id in threads.items()
    } == {
        whole().session_id: ["completed", "cancelled", "completed"],
        implicit().session_id: ["completed", "cancelled"],
        bare().session_id: ["running"],
    }
    calls = {call.provider_call_id: call for call in ledger.now.tool_calls().items}
    assert {name: call.status for name, call in calls.items()} == {
        "call_1": "failed",
        "call_2": "succeeded",
        "call_3": "cancelled",
        "call_a": "succeeded",
        "call_b": "failed",
        "call_z": "succeeded",
    }
    assert calls["call_1"].error_code == "exit_1"
    (approval,) = ledger.now.approvals().items
    (vote,) = ledger.now.approval(approval.approval_id).votes
    assert (approval.status, vote.voter, vote.comment) == ("denied", "human:user", None)


def test_usage_is_that_of_each_call_and_repeats_add_nothing(tenants: Any, tmp_path: Path) -> None:
    ledger = tenants("usage")
    tally = import_paths(ledger, "codex", [whole().write(tmp_path)])
    used = [item.event for item in ledger.subscribe(follow=False) if isinstance(item.event, UsageRecorded)]
    assert [(use.tokens.input_tokens, use.tokens.output_tokens, use.tokens.total_tokens) for use in used] == [
        (1000, 50, 1050),
        (1500, 70, 1570),
    ]
    first = used[0]
    assert (first.provider, first.model) == ("openai", "gpt-5.2-codex")
    assert (first.tokens.cache_read_input_tokens, first.tokens.reasoning_output_tokens) == (400, 20)
    assert (tally.input_tokens, tally.output_tokens) == (2500, 120)


def test_a_packed_rollout_is_found_in_its_folder(tenants: Any, tmp_path: Path) -> None:
    (tmp_path / "rollout-a.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(whole().text().encode()))
    (tmp_path / "history.jsonl").write_text('{"session_id": "a", "ts": 1, "text": "hello"}\n')
    tally = import_paths(tenants("packed"), "codex", [tmp_path])
    assert (tally.threads, tally.runs, tally.problems) == (1, 3, [])


def test_a_spawned_agent_hangs_from_its_call(tenants: Any, tmp_path: Path) -> None:
    ledger, (parent, child) = tenants("spawned"), spawning()
    import_paths(ledger, "codex", [child.write(tmp_path), parent.write(tmp_path)])
    called = next(item for item in ledger.subscribe(follow=False) if item.type == "tool.called")
    _, spawned = ledger.thread(called.thread_id).tree().nodes.values()
    assert spawned.parent is not None
    assert (spawned.parent.kind, spawned.parent.at_version) == ("spawned_by", called.version)
    assert [message.text for message in ledger.thread(called.thread_id).messages() if message.role == "user"] == ["Ask somebody."]


@pytest.mark.parametrize(
    ("turns", "left"), [(1, ["One.", "Done: One.", "Two.", "Done: Two."]), (2, ["One.", "Done: One."]), (3, [])]
)
def test_a_rollback_is_a_branch_and_the_thread_goes_on_with_it(tenants: Any, tmp_path: Path, turns: int, left: list[str]) -> None:
    rollout = Rollout()
    rollout.meta()
    for number, words in enumerate(("One.", "Two.", "Three.")):
        rollout.begin(f"019b0000-0000-7000-8000-0000000000r{number}", words)
        rollout.answer(f"Done: {words}")
        rollout.end(f"019b0000-0000-7000-8000-0000000000r{number}")
    rollout.event("thread_rolled_back", num_turns=turns)
    rollout.begin("019b0000-0000-7000-8000-0000000000r9", "One.")
    ledger = tenants(f"rolled-back-{turns}")
    assert import_paths(ledger, "codex", [rollout.write(tmp_path)]).problems == []
    thread_id = next(iter(ledger.subscribe(follow=False))).thread_id
    assert [message.text for message in ledger.thread(thread_id).messages()] == [*left, "One."]


def test_files_that_come_one_by_one_in_any_order_hold_the_same(tenants: Any, tmp_path: Path) -> None:
    """Kinds of branches and the times of copies may differ with what was at hand first; nothing is counted otherwise."""
    forked = fork(whole(), "019b0000-0000-7000-8000-0000000000f1", 20)
    forked.begin("019b0000-0000-7000-8000-0000000000u1", "Rather not.")
    forked.tokens((9, 1), (2509, 121))
    forked.answer("As you like.")
    forked.end("019b0000-0000-7000-8000-0000000000u1")
    parent, child = spawning()
    parent.session_id = "019b0000-0000-7000-8000-0000000000b0"
    for rollout in (parent, child):
        text = rollout.text().replace(whole().session_id, parent.session_id)
        rollout.lines = [json.loads(line) for line in text.splitlines()]
    files = [rollout.write(tmp_path) for rollout in (whole(), forked, parent, child)]
    found = []
    for number, order in enumerate(([0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2])):
        ledger = tenants(f"order-{number}")
        for at in order:
            assert import_paths(ledger, "codex", [files[at]]).problems == []
        assert import_paths(ledger, "codex", files).problems == []
        assert import_paths(ledger, "codex", files).events == 0
        kinds = {
            "message.added",
            "tool.called",
            "tool.succeeded",
            "tool.failed",
            "tool.cancelled",
            "usage.recorded",
            "run.completed",
        }
        found.append([(stream, kind, data) for stream, kind, data, _ in told(ledger) if kind in kinds])
    for other in found[1:]:
        assert [set(found[0]) - set(other), set(other) - set(found[0])] == [set(), set()]
