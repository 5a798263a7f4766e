"""Conversations of AG-UI, made up: what becomes of the events, and of what a client repeats."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger, Thread
from runfold.domain.parts import DataPart, FilePart
from runfold.importers.ag_ui.streams import AGAIN, NOT_STARTED
from runfold.importers.tally import Tally
from tests.importers.formats.chats import FINISHED, STARTED, Chat, Events, call, interrupted, result, text, user

Importing = Callable[..., Tally]


@pytest.fixture
def chat(tmp_path: Path) -> Chat:
    return Chat(tmp_path)


def the_thread(ledger: Ledger) -> Thread:
    """The only thread there is."""
    ledger.fold("threads")
    (row,) = ledger.now.threads().items
    return ledger.thread(row.thread_id)


def words(ledger: Ledger) -> list[tuple[str, str]]:
    """The conversation of the only thread."""
    return [(message.role, message.text) for message in the_thread(ledger).messages()]


def test_deltas_are_one_message_and_a_turn_is_a_run(ledger: Ledger, importing: Importing, chat: Chat) -> None:
    used = [{"model": "m", "inputTokens": 7, "outputTokens": 9, "totalTokens": 16, "reasoningTokens": 4}]
    chat.turn([STARTED, *text("m1", "Hel", "", "lo"), {**FINISHED, "usage": used}], user("Hi"))
    tally = importing("ag-ui", chat.folder)
    assert (tally.threads, tally.runs, tally.messages) == (1, 1, 2)
    assert (tally.input_tokens, tally.output_tokens) == (7, 9)
    assert words(ledger) == [("user", "Hi"), ("assistant", "Hello")]


def test_what_a_client_repeats_is_in_once(ledger: Ledger, importing: Importing, chat: Chat) -> None:
    chat.turn([STARTED, *text("m1", "Hello"), FINISHED], user("Hi"))
    repeated = {"id": "m1", "role": "assistant", "content": "Hello"}
    chat.turn([STARTED, *text("m1", "Fine"), FINISHED], user("Hi"), repeated, user("Hi"))
    assert importing("ag-ui", chat.folder).runs == 2
    assert words(ledger) == [("user", "Hi"), ("assistant", "Hello"), ("user", "Hi"), ("assistant", "Fine")]
    first, second = the_thread(ledger).tree().nodes.values()
    assert second.parent is not None
    assert (second.parent.run_id, second.parent.kind) == (first.run_id, "continues")


def test_a_tool_of_the_client_is_answered_in_the_next_turn(ledger: Ledger, importing: Importing, chat: Chat) -> None:
    chat.turn([STARTED, *call("c1", "where", "{}"), *call("c2", "weather", '{"in":', '"x"}'), FINISHED], user("Hi"))
    function = {"name": "where", "arguments": "{}"}
    other = {"name": "weather", "arguments": '{"in": "x"}'}
    called = {"role": "assistant", "toolCalls": [{"id": "c1", "function": function}, {"id": "c2", "function": other}]}
    answered = {"role": "tool", "toolCallId": "c1", "content": "here"}
    chat.turn([STARTED, result("c2", "rain"), *text("m1", "Wet."), FINISHED], user("Hi"), called, answered)
    tally = importing("ag-ui", chat.folder)
    assert (tally.problems, tally.tool_calls) == ([], 2)
    assert [role for role, _ in words(ledger)] == ["user", "assistant", "tool", "tool", "assistant"]
    assert len(ledger.events(types=["tool.succeeded"])) == 2
    first, _ = the_thread(ledger).tree().nodes
    where, weather = ledger.now.tool_calls(run_id=first).items
    assert where.message_id == weather.message_id
    assert weather.arguments == {"in": "x"}


@pytest.mark.row("AG-06")
def test_an_interrupt_is_answered_by_the_run_that_resumes(ledger: Ledger, importing: Importing, chat: Chat) -> None:
    chat.turn([STARTED, interrupted("i1", responseSchema={"type": "object"})], user("Set me up"))
    answer = {"interruptId": "i1", "status": "resolved", "payload": {"response": "ada"}}
    chat.turn([STARTED, *text("m1", "Hello ada"), FINISHED], user("Set me up"), resume=[answer])
    assert importing("ag-ui", chat.folder).approvals == 1
    asked, voted, granted = ledger.events(types=["approval.*"])
    assert asked.as_json()["data"]["reason"] == "input_required"
    assert voted.as_json()["data"]["response"] == {"response": "ada"}
    assert granted.type == "approval.granted"
    _, second = the_thread(ledger).tree().nodes.values()
    assert second.parent is not None
    assert second.parent.kind == "resumes"


def test_an_interrupt_without_an_answer_leaves_its_run_waiting_until_there_is_one(
    ledger: Ledger, importing: Importing, chat: Chat
) -> None:
    chat.turn([STARTED, interrupted("i1")], user("Set me up"))
    importing("ag-ui", chat.folder)
    (first,) = the_thread(ledger).tree().nodes
    assert ledger.run(first).view().status == "waiting"
    chat.turn([STARTED, FINISHED], user("Set me up"), resume=[{"interruptId": "i1", "payload": {"response": "ada"}}])
    assert importing("ag-ui", chat.folder).problems == []
    assert ledger.run(first).view().status == "completed"


APPROVAL = {"reason": "tool_call", "toolCallId": "c1"}


def test_an_approved_call_that_is_announced_again_is_one_call_and_uses_its_approval(
    ledger: Ledger, importing: Importing, chat: Chat
) -> None:
    chat.turn([STARTED, *call("c1", "delete", '{"file": "a"}'), interrupted("i1", **APPROVAL)], user("Delete a"))
    resume = [{"interruptId": "i1", "payload": {"approved": True}}]
    again = [*call("c1", "delete", '{"file":"a"}'), result("c1", "gone")]
    chat.turn([STARTED, *again, FINISHED], user("Delete a"), resume=resume)
    tally = importing("ag-ui", chat.folder)
    assert (tally.problems, tally.tool_calls) == ([], 1)
    assert [(note.kind, note.count) for note in tally.notes] == [(AGAIN, 1)]
    assert [item.type for item in ledger.events(types=["tool.*"])] == ["tool.called", "tool.succeeded"]
    assert [item.type for item in ledger.events(types=["approval.*"])][-1] == "approval.consumed"


def test_what_was_allowed_in_time_there_is_in_time_here_and_nothing_is_claimed_of_who_might_have(
    ledger: Ledger, importing: Importing, chat: Chat
) -> None:
    long_ago = {**APPROVAL, "expiresAt": "2020-01-01T00:00:00Z"}
    chat.turn([STARTED, *call("c1", "delete", '{"file": "a"}'), interrupted("i1", **long_ago)], user("Delete a"))
    again = [*call("c1", "delete", '{"file":"a"}'), result("c1", "gone")]
    chat.turn([STARTED, *again, FINISHED], user("Delete a"), resume=[{"interruptId": "i1", "payload": {"approved": True}}])
    assert importing("ag-ui", chat.folder).problems == []
    types = [item.type for item in ledger.events(types=["approval.*"])]
    assert types == ["approval.requested", "approval.vote_cast", "approval.granted", "approval.consumed"]
    rule = ledger.events(types=["approval.requested"])[0].as_json()["data"]["rule"]
    assert rule == {"quorum": 1, "eligible": []}
    assert {ledger.run(run_id).view().status for run_id in the_thread(ledger).tree().nodes} == {"completed"}


def test_a_call_with_other_arguments_than_were_approved_is_a_problem(ledger: Ledger, importing: Importing, chat: Chat) -> None:
    chat.turn([STARTED, *call("c1", "delete", '{"file": "a"}'), interrupted("i1", **APPROVAL)], user("Delete a"))
    resume = [{"interruptId": "i1", "payload": {"approved": True}}]
    chat.turn([STARTED, *call("c1", "delete", '{"file": "b"}'), FINISHED], resume=resume)
    (problem,) = importing("ag-ui", chat.folder).problems
    assert "other arguments than were approved" in problem.reason
    assert "approval.consumed" not in [item.type for item in ledger.events(types=["approval.*"])]


@pytest.mark.row("AG-09")
def test_edited_arguments_are_what_may_be_done(ledger: Ledger, importing: Importing, chat: Chat) -> None:
    chat.turn([STARTED, *call("c1", "delete", '{"file": "a"}'), interrupted("i1", **APPROVAL)], user("Delete a"))
    resume = [{"interruptId": "i1", "payload": {"approved": True, "editedArgs": {"file": "b"}}}]
    chat.turn([STARTED, *call("c1", "delete", '{"file": "b"}'), result("c1", "gone"), FINISHED], resume=resume)
    assert importing("ag-ui", chat.folder).problems == []
    (asked,) = ledger.events(types=["approval.requested"])
    assert ledger.now.approval(asked.stream).effective_arguments_text == '{"file":"b"}'


@pytest.mark.parametrize("answer", [{"payload": {"approved": False}}, {"status": "cancelled"}])
def test_a_refusal_makes_the_call_fail(ledger: Ledger, importing: Importing, chat: Chat, answer: dict[str, Any]) -> None:
    chat.turn([STARTED, *call("c1", "delete", "{}"), interrupted("i1", **APPROVAL)], user("Delete a"))
    chat.turn([STARTED, *text("m1", "I leave it."), FINISHED], resume=[{"interruptId": "i1", **answer}])
    assert importing("ag-ui", chat.folder).problems == []
    assert [item.type for item in ledger.events(types=["tool.*"])] == ["tool.called", "tool.failed"]


@pytest.mark.parametrize("said", ["no", 0, None, {}])
def test_an_answer_that_is_neither_yes_nor_no_decides_nothing(
    ledger: Ledger, importing: Importing, chat: Chat, said: Any
) -> None:
    chat.turn([STARTED, *call("c1", "delete", "{}"), interrupted("i1", **APPROVAL)], user("Delete a"))
    chat.turn([STARTED, *text("m1", "I see."), FINISHED], resume=[{"interruptId": "i1", "payload": {"approved": said}}])
    (problem,) = importing("ag-ui", chat.folder).problems
    assert "resume.0.payload.approved: is " in problem.reason
    assert {item.type for item in ledger.events(types=["approval.*"])}.isdisjoint({"approval.granted", "approval.vote_cast"})


def test_new_input_in_place_of_an_answer_withdraws_the_question(ledger: Ledger, importing: Importing, chat: Chat) -> None:
    chat.turn([STARTED, interrupted("i1")], user("Set me up"))
    chat.turn([STARTED, *text("m1", "Sure."), FINISHED], user("Set me up"), user("Never mind"))
    assert importing("ag-ui", chat.folder).problems == []
    assert [item.type for item in ledger.events(types=["approval.*"])] == ["approval.requested", "approval.withdrawn"]


def test_state_is_kept_whole_and_patched(ledger: Ledger, importing: Importing, chat: Chat) -> None:
    patch = [{"op": "add", "path": "/b", "value": 2}]
    chat.turn([STARTED, {"type": "STATE_DELTA", "delta": patch}, FINISHED], user("Hi"), state={"a": 1})
    chat.turn([STARTED, {"type": "STATE_DELTA", "delta": [{"op": "remove", "path": "/a"}]}, FINISHED], state={"a": 1, "b": 2})
    assert importing("ag-ui", chat.folder).problems == []
    first, second = the_thread(ledger).tree().nodes
    assert ledger.run(first).state() == {"a": 1, "b": 2}
    assert ledger.run(second).state() == {"b": 2}


def test_raw_and_custom_events_are_activities_and_images_are_files(ledger: Ledger, importing: Importing, chat: Chat) -> None:
    image = {"type": "binary", "mimeType": "image/png", "data": "iVBORw0KGgo="}
    raw = {"type": "RAW", "event": {"n": 1}, "source": "usage"}
    chat.turn([STARTED, raw, FINISHED], {"role": "user", "content": [{"type": "text", "text": "What?"}, image]})
    assert importing("ag-ui", chat.folder).messages == 2
    asked, activity = the_thread(ledger).messages()
    assert asked.content[1] == FilePart(media_type="image/png", data="iVBORw0KGgo=")
    assert (activity.role, activity.activity_type) == ("activity", "RAW")
    assert activity.content == (DataPart(data=raw, name="RAW"),)


def test_chunks_reasoning_and_steps(ledger: Ledger, importing: Importing, chat: Chat) -> None:
    events: Events = [
        STARTED,
        {"type": "STEP_STARTED", "stepName": "think"},
        {"type": "REASONING_MESSAGE_CHUNK", "messageId": "m1", "delta": "Hm"},
        {"type": "STEP_FINISHED", "stepName": "think"},
        {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m2", "role": "assistant", "delta": "We"},
        {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m2", "delta": "ll"},
        {"type": "TOOL_CALL_CHUNK", "toolCallId": "c1", "toolCallName": "look", "delta": "{}"},
        FINISHED,
    ]
    chat.turn(events, user("Hi"))
    assert importing("ag-ui", chat.folder).problems == []
    assert words(ledger)[1:] == [("reasoning", "Hm"), ("assistant", "Well"), ("assistant", "")]
    assert [item.type for item in ledger.events(types=["step.*"])] == ["step.started", "step.finished"]


def test_a_run_that_failed_has_failed_and_one_whose_events_break_off_goes_on(
    ledger: Ledger, importing: Importing, chat: Chat
) -> None:
    chat.turn([STARTED, {"type": "RUN_ERROR", "message": "no model", "code": "model"}], user("Hi"))
    chat.turn([STARTED, text("m1", "So")[0], text("m1", "So")[1]])
    importing("ag-ui", chat.folder)
    first, second = (ledger.run(run).view() for run in the_thread(ledger).tree().nodes)
    assert first.error is not None
    assert (first.status, first.error.code) == ("failed", "model")
    assert (second.status, second.stop_reason) == ("running", None)
    assert ("assistant", "So") in words(ledger)


def test_a_turn_without_a_response_goes_on_when_that_is_there(ledger: Ledger, importing: Importing, chat: Chat) -> None:
    chat.turn(None, user("Hi"))
    importing("ag-ui", chat.folder)
    (run,) = the_thread(ledger).tree().nodes
    assert ledger.run(run).view().status == "running"
    chat.turns = 0
    chat.turn([STARTED, *text("m1", "Hello"), FINISHED], user("Hi"))
    importing("ag-ui", chat.folder)
    assert ledger.run(run).view().status == "completed"
    assert words(ledger) == [("user", "Hi"), ("assistant", "Hello")]


def test_bad_events_are_named_and_the_rest_goes_in(ledger: Ledger, importing: Importing, chat: Chat) -> None:
    bad: Events = [
        {"type": "DANCE"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "never", "delta": "x"},
        {"type": "TOOL_CALL_RESULT", "toolCallId": "never", "content": "x"},
        {"type": "STATE_DELTA", "delta": [{"op": "remove", "path": "/none"}]},
        {"no": "type"},
    ]
    chat.turn([STARTED, *bad, *text("m1", "Still here"), FINISHED], user("Hi"), {"role": "stranger"})
    tally = importing("ag-ui", chat.folder)
    assert sorted(problem.reason.partition(":")[0] for problem in tally.problems) == [
        "5.type",
        "delta",
        "messages.1.role",
        "toolCallId",
    ]
    assert {note.kind for note in tally.notes} >= {"events of type 'DANCE', which AG-UI does not have", NOT_STARTED}
    assert [said for said in words(ledger) if said[0] == "assistant"] == [("assistant", "x"), ("assistant", "Still here")]
    assert importing("ag-ui", chat.folder).events == 0


def test_a_captured_stream_is_read_too(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    lines = [f"id: {index}\ndata: {json.dumps(event)}\n" for index, event in enumerate([STARTED, *text("m1", "Hi"), FINISHED])]
    (tmp_path / "run.sse").write_text("\n".join(lines))
    assert importing("ag-ui", tmp_path).problems == []
    assert words(ledger) == [("assistant", "Hi")]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_event_in_several_lines_of_a_frame_is_one_wherever_the_capture_is_cut(
    ledger: Ledger, importing: Importing, tmp_path: Path, end: str
) -> None:
    path, lines = tmp_path / "run.sse", list[str]()
    for number, event in enumerate([STARTED, *text("m1", "Hi"), FINISHED]):
        lines += [f"id: {number}", *(f"data: {line}" for line in json.dumps(event, indent=1).split("\n")), ""]
    whole = end.join([*lines, ""])
    for size in [*range(60, len(whole), 97), len(whole)]:
        path.write_bytes(whole[:size].encode())
        assert importing("ag-ui", path).problems == []
    assert words(ledger) == [("assistant", "Hi")]
    assert len(ledger.events(types=["run.completed"])) == 1


def test_a_run_that_names_an_earlier_parent_is_a_branch(ledger: Ledger, importing: Importing, chat: Chat) -> None:
    chat.turn([STARTED, *text("m1", "One"), FINISHED], user("Hi"))
    chat.turn([STARTED, *text("m2", "Two"), FINISHED], parentRunId="r1")
    chat.turn([STARTED, *text("m3", "Three"), FINISHED], parentRunId="r1")
    importing("ag-ui", chat.folder)
    first, _, third = the_thread(ledger).tree().nodes.values()
    assert third.parent is not None
    assert (third.parent.run_id, third.parent.kind) == (first.run_id, "branches")
