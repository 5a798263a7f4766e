"""What goes out as AG-UI comes in again as it was: equal messages, calls and results, whatever the run came from."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.agui.checker import check
from runfold.history.path import History as Past
from runfold.importers.importing import import_paths
from runfold.store.reading.tenant_reader import TenantReader

from .runs import recorded_history


def told_of(ledger: Ledger, run_id: str, thread_id: str) -> tuple[list[Any], list[Any]]:
    """What was said along the path of a run, and what was called and came of it, without ids and times."""
    past = Past(TenantReader.of(ledger.recorder.reader, "default"), thread_id, run_id)
    messages = [(one.role, one.content) for one in past.messages() if one.activity_type != "REASONING_ENCRYPTED_VALUE"]
    calls = [
        (call.name, call.arguments_text, call.status, call.result, call.error and call.error.message)
        for call in past.tool_calls()
    ]
    return messages, calls


def come_in_again(ledger: Ledger, run_id: str, folder: Path) -> tuple[list[Any], list[Any]]:
    """Export a run, import it, and tell of the last run that came of it."""
    file = folder / f"{run_id}.jsonl"
    told = ledger.run(run_id).ag_ui()
    found = check(told)
    assert found is None or found.rule == "terminal", found
    alone = f"alone-{run_id}"  # a run without the others of its thread, to which it would be added
    for event in told:
        if "threadId" in event:
            event["threadId"] = alone
    file.write_text("".join(json.dumps(event) + "\n" for event in told))
    before = ledger.position()
    tally = import_paths(ledger, "ag-ui", [file])
    assert tally.problems == []
    if not told:
        return told_of(ledger, run_id, ledger.run(run_id).view().thread_id)
    made = list(ledger.events(types=["run.created"], after=before))
    own = [one for one in made if one.event.parent is None or one.event.parent.kind != "spawned_by"]
    assert import_paths(ledger, "ag-ui", [file]).events == 0
    return told_of(ledger, own[-1].stream, own[-1].thread_id)


@pytest.mark.row("AG-02")
@pytest.mark.parametrize("seed", [1])
def test_any_run_comes_in_again_as_it_was(ledger: Ledger, seed: int, tmp_path: Path) -> None:
    history = recorded_history(random.Random(seed), ledger, 100)  # noqa: S311  the same each time
    for run_id, thread_id in history.thread_of.items():
        before = told_of(ledger, run_id, thread_id)
        after = come_in_again(ledger, run_id, tmp_path)
        for one, other in zip(before, after, strict=True):
            assert one == other, run_id


@pytest.mark.parametrize(
    ("source", "pattern", "runs"),
    [
        ("claude-code", "claude-code/experiments-worktrees/*.gz", 3),
        ("tau2", "tau2-retail-gpt4o/chloe/*3trial*.gz", 3),
        ("ag-ui", "ag-ui-streams/Step0[249]*/*.gz", 4),
    ],
)
def test_a_real_run_comes_in_again_as_it_was(
    ledger: Ledger, trajectories: Path, tmp_path: Path, source: str, pattern: str, runs: int
) -> None:
    import_paths(ledger, source, sorted(trajectories.glob(pattern)))
    made = [(one.stream, one.thread_id) for one in ledger.events(types=["run.created"])]
    tried = made[:: max(1, len(made) // runs)]
    assert len(tried) >= min(3, runs)
    for run_id, thread_id in tried:
        before = told_of(ledger, run_id, thread_id)
        after = come_in_again(ledger, run_id, tmp_path)
        for one, other in zip(before, after, strict=True):
            assert one == other, run_id


@pytest.mark.parametrize("how", ["succeed", "fail", "cancel"])
def test_the_end_of_a_call_that_comes_long_after_its_answer_is_told_and_comes_in_again(
    ledger: Ledger, how: str, tmp_path: Path
) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    call = run.call_tool("search", arguments={"q": 1})
    run.add_message("tool", "found it", tool_call_id=call.id)
    run.add_message("assistant", "let me see")
    {"succeed": lambda: call.succeed({"n": 3}), "fail": lambda: call.fail("no"), "cancel": lambda: call.cancel("late")}[how]()
    run.complete()
    told, thread_id = run.ag_ui(), run.view().thread_id
    assert [event["messageId"] for event in told if event["type"] == "TOOL_CALL_RESULT"] == [run.messages()[0].id]
    assert come_in_again(ledger, run.id, tmp_path) == told_of(ledger, run.id, thread_id)
