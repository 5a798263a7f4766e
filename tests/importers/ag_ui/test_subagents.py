"""Sub-agents, activities that change, encrypted reasoning and newer types of events come in, and go out again."""

import json
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.agui.checker import check
from runfold.importers.ag_ui.request import LISTED
from runfold.importers.ag_ui.subagents import NOT_STARTED
from runfold.importers.importing import import_paths

from .chats import Event, called, finished, said, started

SUB = {"subagentRunId": "s1"}


def made(ledger: Ledger, folder: Path, *events: Event) -> list[str]:
    """The runs that come of a stream, which is imported twice."""
    file = folder / "e.json"
    file.write_text(json.dumps([started(), *events, finished()]))
    assert check([started(), *events, finished()]) is None
    assert import_paths(ledger, "ag-ui", [file]).problems == []
    assert import_paths(ledger, "ag-ui", [file]).events == 0
    return [recorded.stream for recorded in ledger.events(types=["run.created"])]


def of(run: str, *events: Event) -> list[Event]:
    return [{**event, "subagentRunId": run} for event in events]


@pytest.mark.row("AG-01")
def test_a_sub_agent_is_a_run_of_its_own_with_what_is_attributed_to_it(ledger: Ledger, tmp_path: Path) -> None:
    text = said("m2", "I ", "look")
    run_id, sub_id, inner_id = made(
        ledger,
        tmp_path,
        *said("m1", "Wait"),
        {"type": "SUBAGENT_STARTED", **SUB, "name": "looker", "description": "looks"},
        *of("s1", text[0]),
        *text[1:],
        {"type": "SUBAGENT_STARTED", "subagentRunId": "s2", "name": "finder", "parentSubagentRunId": "s1"},
        {"type": "SUBAGENT_ERROR", "subagentRunId": "s2", "message": "lost", "code": "gone"},
        *of(
            "s1",
            *called("c1", "find", '{"a": 1}'),
            {"type": "TOOL_CALL_RESULT", "messageId": "x", "toolCallId": "c1", "content": "y"},
        ),
        {"type": "SUBAGENT_FINISHED", **SUB, "result": {"n": 1}},
        *said("m3", "Done"),
    )
    run, sub, inner = ledger.run(run_id), ledger.run(sub_id), ledger.run(inner_id)
    assert [message.text for message in run.messages()] == ["Wait", "Done"]
    assert [message.text for message in sub.messages() if message.text] == ["I look", "y"]
    view, inside = sub.view(), inner.view()
    assert view.parent is not None
    assert inside.parent is not None
    assert inside.error is not None
    assert (view.parent.run_id, view.parent.kind, view.agent_id, view.status, view.output) == (
        run_id,
        "spawned_by",
        "looker",
        "completed",
        {"n": 1},
    )
    assert (inside.parent.run_id, inside.status, inside.error.code) == (sub_id, "failed", "gone")
    assert {event["type"] for event in run.ag_ui()} >= {"SUBAGENT_STARTED", "SUBAGENT_FINISHED", "SUBAGENT_ERROR"}
    assert check(run.ag_ui()) is None


def test_a_sub_agent_that_nobody_started_is_a_problem_and_the_rest_goes_in(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "e.json"
    file.write_text(json.dumps([started(), {"type": "SUBAGENT_FINISHED", **SUB}, *said("m1", "Still here"), finished()]))
    (problem,) = import_paths(ledger, "ag-ui", [file]).problems
    assert "'s1' was not started" in problem.reason
    (created,) = ledger.events(types=["run.created"])
    assert [message.text for message in ledger.run(created.stream).messages()] == ["Still here"]


@pytest.mark.parametrize("apart", [False, True])
def test_the_next_turn_answers_a_call_of_a_sub_agent_that_waits(ledger: Ledger, tmp_path: Path, apart: bool) -> None:
    first = [
        started(),
        {"type": "SUBAGENT_STARTED", **SUB, "name": "looker"},
        *of("s1", *called("c1")),
        {"type": "SUBAGENT_FINISHED", **SUB, "outcome": {"type": "suspended"}},
        finished(),
    ]
    (tmp_path / "1.json").write_text(json.dumps(first))
    if apart:
        assert import_paths(ledger, "ag-ui", [tmp_path]).problems == []
    answer = {"id": "x", "role": "tool", "toolCallId": "c1", "content": "seen", **SUB}
    sent = {"threadId": "t", "runId": "r2", "messages": [answer]}
    (tmp_path / "2.json").write_text(json.dumps([started("r2", input=sent), *said("m2", "Done"), finished("r2")]))
    assert import_paths(ledger, "ag-ui", [tmp_path]).problems == []
    assert import_paths(ledger, "ag-ui", [tmp_path]).events == 0
    (called_in,), (ended,) = ledger.events(types=["tool.called"]), ledger.events(types=["tool.succeeded"])
    assert (ended.stream, ended.event.result) == (called_in.stream, "seen")  # type: ignore[attr-defined]


def test_what_a_sub_agent_is_asked_in_a_list_of_messages_no_person_says(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "e.json"
    listed = [{"id": "u1", "role": "user", "content": "Hello"}, {"id": "u2", "role": "user", "content": "Look it up", **SUB}]
    begun, over = {"type": "SUBAGENT_STARTED", **SUB, "name": "looker"}, {"type": "SUBAGENT_FINISHED", **SUB}
    file.write_text(json.dumps([started(), begun, {"type": "MESSAGES_SNAPSHOT", "messages": listed}, over, finished()]))
    told = import_paths(ledger, "ag-ui", [file])
    spoken = [(str(added.metadata.actor), added.event.content[0].text) for added in ledger.events(types=["message.added"])]  # type: ignore[attr-defined]
    assert spoken == [("human:user", "Hello"), ("agent:ag-ui", "Look it up")]
    assert list(told.reports.by_kind) == [LISTED]


def test_what_a_sub_agent_did_that_nobody_started_is_the_runs_own_and_noted(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "e.json"
    file.write_text(json.dumps([started(), *of("s1", *said("m1", "Hello")), finished()]))
    told = import_paths(ledger, "ag-ui", [file])
    assert {text: note.count for text, note in told.reports.by_kind.items()} == {NOT_STARTED: 3}
    assert told.problems == []


@pytest.mark.row("RV-54", "RV-67")
def test_each_change_of_an_activity_is_a_revision(ledger: Ledger, tmp_path: Path) -> None:
    about = {"messageId": "a1", "activityType": "PLAN"}
    (run_id,) = made(
        ledger,
        tmp_path,
        {"type": "ACTIVITY_SNAPSHOT", **about, "content": {"steps": []}},
        {"type": "ACTIVITY_DELTA", **about, "patch": [{"op": "add", "path": "/steps/0", "value": "x"}]},
        {"type": "ACTIVITY_SNAPSHOT", **about, "content": {"steps": ["other"]}, "replace": False},
        {"type": "ACTIVITY_SNAPSHOT", **about, "content": {"steps": ["x", "y"]}},
    )
    (message,) = ledger.run(run_id).messages()
    assert (message.revision, message.content[0].data, message.activity_type) == (3, {"steps": ["x", "y"]}, "PLAN")  # type: ignore[union-attr]
    shown = [event["content"] for event in ledger.run(run_id).ag_ui() if event["type"] == "ACTIVITY_SNAPSHOT"]
    assert len(shown) == 3


@pytest.mark.row("RV-69")
def test_what_the_ledger_has_no_event_for_is_kept_whole_and_given_back(ledger: Ledger, tmp_path: Path) -> None:
    kept = [
        {"type": "RAW", "event": {"n": None}, "source": "x"},
        {"type": "CUSTOM", "name": "mine", "value": [1], "metadata": {"own": 1}},
        {"type": "REASONING_ENCRYPTED_VALUE", "subtype": "message", "entityId": "m1", "encryptedValue": "…"},
        {"type": "NEWER_THAN_US", "x": {"y": 1}},
    ]
    (run_id,) = made(ledger, tmp_path, *said("m1", "Hello"), *kept)
    told = [event for event in ledger.run(run_id).ag_ui() if event["type"] in {event["type"] for event in kept}]
    assert all(event["metadata"]["runfold"]["position"] > 0 for event in told)
    for event in told:
        del event["metadata"]["runfold"]
    assert [{name: value for name, value in event.items() if value != {}} for event in told] == kept
