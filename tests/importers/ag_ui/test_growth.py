"""Files of AG-UI that are imported while they grow, in steps, twice, or in copies: the ledger is the same as at once."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.importers.tally import Tally
from tests.importers.ag_ui.chats import Agent, Event, answered, called, finished, requested, said, started, user, write

Importing = Callable[..., Tally]


def thread_named(ledger: Ledger, source_id: str) -> str:
    """The thread that was made of a conversation."""
    found = [
        item.stream for item in ledger.events(types=["thread.created"]) if item.as_json()["data"]["external_ref"] == source_id
    ]
    assert len(found) == 1
    return found[0]


def held(ledger: Ledger, source_id: str) -> list[Any]:
    """What a thread holds: its runs in order, with what was said, called and used in each."""
    ledger.fold()
    thread_id = thread_named(ledger, source_id)
    runs: list[Any] = []
    tree = ledger.thread(thread_id).tree().nodes
    order = {run_id: index for index, run_id in enumerate(tree)}
    for run_id, node in tree.items():
        run = ledger.run(run_id)
        used = [item.as_json()["data"]["tokens"] for item in ledger.now.run_events(run_id) if item.type == "usage.recorded"]
        runs.append(
            {
                "parent": node.parent and (order[node.parent.run_id], node.parent.kind),
                "status": run.view().status,
                "state": run.state(),
                "said": [(message.role, message.text) for message in run.messages() if message.run_id == run_id],
                "calls": [(call.name, call.status, call.result) for call in ledger.now.tool_calls(run_id=run_id).items],
                "used": used,
            }
        )
    return runs


def chat(agent: Agent, thread_id: str, turns: int) -> list[tuple[str, Any]]:
    """The files of a conversation."""
    files: list[tuple[str, Any]] = []
    for turn in range(1, turns + 1):
        asked = user("go on", f"u{turn}")
        files.append((f"{turn}.request.json", requested(f"r{turn}", *agent.client.messages, asked, thread_id=thread_id)))
        agent.client.messages.append(asked)
        stamped = [{**event, "timestamp": 1_750_000_000_000 + turn * 1000} for event in agent.run(f"r{turn}")]
        files.append((f"{turn}.events.json", [{**event, "threadId": thread_id} for event in stamped]))
    return files


def grow(path: Path, events: list[Event], sizes: list[int], importing: Importing) -> None:
    """Import a file of events, one a line, each time that it has grown: `sizes` are those in bytes."""
    whole = "".join(json.dumps(event) + "\n" for event in events)
    for size in [*sizes, len(whole)]:
        path.write_text(whole[:size])
        importing("ag-ui", path)


@pytest.mark.parametrize("seed", range(4))
def test_a_stream_that_is_cut_anywhere_and_continued_is_the_stream_at_once(
    ledger: Ledger, importing: Importing, tmp_path: Path, seed: int
) -> None:
    agent, chosen = Agent(100 + seed), random.Random(seed)  # noqa: S311
    once, steps = chat(agent, f"once-{seed}", 2), chat_again(100 + seed, f"steps-{seed}", 2)
    for name, content in once:
        write(tmp_path / "once" / name, content)
    importing("ag-ui", tmp_path / "once")
    (tmp_path / "steps").mkdir()
    for name, content in steps:
        path = tmp_path / "steps" / name
        if isinstance(content, dict):
            importing("ag-ui", write(path, content))
            continue
        size = sum(len(json.dumps(event)) + 1 for event in content)
        grow(path.with_suffix(".jsonl"), content, sorted(chosen.randrange(1, size) for _ in range(4)), importing)
    assert held(ledger, f"steps-{seed}") == held(ledger, f"once-{seed}")
    importing("ag-ui", tmp_path / "steps")  # records that this is all of it, and nothing else
    assert held(ledger, f"steps-{seed}") == held(ledger, f"once-{seed}")
    assert importing("ag-ui", tmp_path).events == 0


def chat_again(seed: int, thread_id: str, turns: int) -> list[tuple[str, Any]]:
    """The same conversation on another thread."""
    return chat(Agent(seed), thread_id, turns)


def test_a_file_that_is_imported_with_each_event_is_one_run_that_ends_when_it_says_so(
    ledger: Ledger, importing: Importing, tmp_path: Path
) -> None:
    events = [started(), *said("m", "Hel", "lo"), *called("c1"), answered("c1", "seen"), *said("m", "Bye"), finished()]
    statuses = []
    for count in range(1, len(events) + 1):
        importing("ag-ui", write(tmp_path / "events.json", events[:count]))
        (run,) = ledger.thread(thread_named(ledger, "t")).tree().nodes
        statuses.append(ledger.run(run).view().status)
    assert statuses == ["running"] * (len(events) - 1) + ["completed"]
    (run_held,) = held(ledger, "t")
    assert run_held["calls"] == [("look", "succeeded", "seen")]
    assert run_held["said"] == [("assistant", "Hello"), ("assistant", ""), ("tool", "seen"), ("assistant", "Bye")]


def test_a_copy_that_is_shorter_or_spaced_otherwise_is_the_same_run(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    events = [started(), *said("m", "Hello"), finished(usage=[{"inputTokens": 5, "outputTokens": 7}])]
    write(tmp_path / "a" / "events.json", events[:3])
    write(tmp_path / "b" / "events.json", events)
    (tmp_path / "c.json").write_text(json.dumps(events, indent=2))
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, events)))
    tally = importing("ag-ui", tmp_path)
    assert (tally.threads, tally.runs, tally.messages, tally.input_tokens) == (1, 1, 1, 5)
    assert importing("ag-ui", tmp_path / "d.jsonl").events == 0


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 0, 1)])
def test_the_order_in_which_files_are_named_makes_no_difference(
    ledger: Ledger, importing: Importing, tmp_path: Path, order: tuple[int, ...]
) -> None:
    paths = [write(tmp_path / name, content) for name, content in chat(Agent(7), "t", 2)]
    importing("ag-ui", *(paths[index] for index in order))
    assert [run["parent"] for run in held(ledger, "t")] == [None, (0, "continues")]
    assert [run["said"][0] for run in held(ledger, "t")] == [("user", "go on")] * 2
    assert importing("ag-ui", *paths).events == 0


def test_a_delta_clients_second_yes_in_a_later_import_is_a_second_message(
    ledger: Ledger, importing: Importing, tmp_path: Path
) -> None:
    for turn in (1, 2, 3):
        write(tmp_path / f"{turn}.request.json", requested(f"r{turn}", user("yes")))
        importing("ag-ui", tmp_path / f"{turn}.request.json")
        importing(
            "ag-ui", write(tmp_path / f"{turn}.json", [started(f"r{turn}"), *said(f"m{turn}", "Fine"), finished(f"r{turn}")])
        )
    runs = held(ledger, "t")
    assert [run["said"] for run in runs] == [[("user", "yes"), ("assistant", "Fine")]] * 3
    assert [run["parent"] for run in runs] == [None, (0, "continues"), (1, "continues")]


def test_one_interrupt_is_asked_in_one_import_and_answered_in_the_next(
    ledger: Ledger, importing: Importing, tmp_path: Path
) -> None:
    interrupt = {"id": "i1", "reason": "tool_call", "toolCallId": "c1"}
    asking = [started("r1"), *called("c1", "delete"), finished("r1", outcome={"type": "interrupt", "interrupts": [interrupt]})]
    importing("ag-ui", write(tmp_path / "1.json", asking))
    assert held(ledger, "t")[0]["status"] == "waiting"
    resume = [{"interruptId": "i1", "payload": {"approved": True}}]
    answer = [started("r2"), *called("c1", "delete"), answered("c1", "gone"), finished("r2")]
    write(tmp_path / "2.request.json", requested("r2", resume=resume))
    write(tmp_path / "2.json", answer)
    tally = importing("ag-ui", tmp_path / "2.request.json", tmp_path / "2.json")
    assert tally.problems == []
    assert [(run["status"], run["parent"]) for run in held(ledger, "t")] == [("completed", None), ("completed", (0, "resumes"))]
    assert [item.type for item in ledger.events(types=["tool.*"])] == ["tool.called", "tool.succeeded"]
    assert len(ledger.events(types=["approval.consumed"])) == 1
    assert importing("ag-ui", tmp_path).events == 1, "that this is all of it, and nothing else"
    assert importing("ag-ui", tmp_path).events == 0
