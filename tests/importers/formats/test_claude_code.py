"""Sessions of Claude Code, made up: what becomes of each kind of line, and of a session that goes on after its import."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger, Thread
from runfold.domain.decision import DecisionMade
from runfold.domain.parts import DataPart, FilePart, ReasoningPart
from runfold.domain.usage import UsageRecorded
from runfold.importers.claude.reading import WORDS_OF_OTHERS
from runfold.importers.files import SourceFile
from runfold.importers.formats.claude_code import FORMAT
from runfold.importers.importing import import_paths
from runfold.importers.tally import Reports, Tally
from tests.importers.conftest import SessionFile, everything, text, tool_use

Importing = Callable[..., Tally]

REJECTED = "The user doesn't want to proceed with this tool use. The tool use was rejected."


def the_thread(ledger: Ledger) -> Thread:
    """The only thread there is."""
    ledger.fold("threads")
    (row,) = ledger.now.threads().items
    return ledger.thread(row.thread_id)


def words(ledger: Ledger) -> list[str]:
    """The conversation of the only thread."""
    return [message.text for message in the_thread(ledger).messages()]


def test_an_api_message_over_three_lines_is_one_message_and_used_its_last_usage(
    ledger: Ledger, importing: Importing, session: SessionFile
) -> None:
    session.say("Look around.")
    session.reply("msg-1", {"type": "thinking", "thinking": "Hm. ", "signature": "sig"}, output_tokens=1)
    session.reply("msg-1", text("I look."), output_tokens=2)
    session.reply("msg-1", tool_use("call-1", command="ls"), output_tokens=30)
    session.result("call-1", "a b c")
    tally = importing("claude-code", session.write())
    assert (tally.messages, tally.tool_calls, tally.input_tokens, tally.output_tokens) == (3, 1, 10, 30)
    _, agent, tool = the_thread(ledger).messages()
    assert agent.content[0] == ReasoningPart(text="Hm. ", signature="sig")
    assert (tool.role, tool.text) == ("tool", "a b c")
    (used,) = (item.event for item in ledger.events(types=["usage.recorded"]))
    assert isinstance(used, UsageRecorded)
    assert (used.tokens.output_tokens, used.tokens.cache_read_input_tokens, used.model) == (30, 100, "model-1")


def test_results_of_parallel_calls_make_no_branch(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.say("Do both.")
    first = session.reply("msg-1", tool_use("call-1"))
    second = session.reply("msg-1", tool_use("call-2"))
    session.result("call-1", "one", parent=first)
    answered = session.result("call-2", "two", parent=second)
    session.reply("msg-2", text("Done."), parent=answered)
    assert importing("claude-code", session.write()).runs == 1
    assert words(ledger) == ["Do both.", "", "one", "two", "Done."]


def test_going_back_is_a_branch_and_the_thread_goes_on_with_it(
    ledger: Ledger, importing: Importing, session: SessionFile
) -> None:
    session.say("Begin.")
    here = session.reply("msg-1", text("Begun."))
    session.say("Go left.")
    session.reply("msg-2", text("Left."))
    session.say("Go right.", parent=here)
    session.reply("msg-3", text("Right."))
    assert importing("claude-code", session.write()).runs == 3
    thread = the_thread(ledger)
    first, left, right = thread.tree().nodes
    parents = [node.parent for node in thread.tree().nodes.values() if node.parent is not None]
    assert [(parent.run_id, parent.kind) for parent in parents] == [(first, "continues"), (first, "branches")]
    assert words(ledger) == ["Begin.", "Begun.", "Go right.", "Right."]
    assert [message.text for message in thread.messages(at_run=left)] == ["Begin.", "Begun.", "Go left.", "Left."]
    assert {ledger.run(run).view().status for run in (left, right)} == {"completed"}


def test_a_sub_agent_is_a_run_that_its_call_spawned(
    ledger: Ledger, importing: Importing, session: SessionFile, tmp_path: Path
) -> None:
    session.say("Ask somebody.")
    session.reply("msg-1", tool_use("call-1", "Agent", prompt="Find it"))
    session.result("call-1", "Found.", toolUseResult={"agentId": "a1", "status": "completed"})
    session.reply("msg-2", text("Found."))
    session.write()
    agent = SessionFile(tmp_path / "agent-a1.jsonl")
    agent.say("Find it", isSidechain=True, agentId="a1")
    agent.reply("msg-9", text("It is here."), isSidechain=True, agentId="a1")
    agent.write()
    (tmp_path / "agent-a1.meta.json").write_text('{"agentType": "explorer", "description": "Find it"}')
    tally = importing("claude-code", tmp_path)
    assert (tally.threads, tally.runs, tally.messages) == (1, 2, 6)
    main, spawned = the_thread(ledger).tree().nodes.values()
    assert spawned.parent is not None
    assert (spawned.parent.kind, spawned.agent_id) == ("spawned_by", "claude-code:explorer")
    called = next(item for item in ledger.events(types=["tool.called"]) if item.stream == main.run_id)
    assert spawned.parent.at_version == called.version
    assert [message.text for message in ledger.run(spawned.run_id).messages()] == ["Find it", "It is here."]
    assert "It is here." not in words(ledger)


def test_a_sub_agent_that_no_call_names_belongs_to_the_main_run(
    ledger: Ledger, importing: Importing, session: SessionFile, tmp_path: Path
) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    session.path = tmp_path / "agent-warm.jsonl"
    session.say("Warm up")
    session.reply("msg-1", text("Ready."))
    session.write()
    tally = importing("claude-code", tmp_path)
    assert (tally.threads, tally.runs, tally.problems) == (1, 2, [])
    main, spawned = the_thread(ledger).tree().nodes.values()
    assert spawned.parent is not None
    assert (spawned.parent.run_id, ledger.run(main.run_id).view().messages) == (main.run_id, 0)


def test_side_lines_of_an_early_version_are_a_sub_agent(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.say("Ask somebody.")
    asked = session.reply("msg-1", tool_use("call-1", "Task"))
    session.say("Find it", parent=None, isSidechain=True)
    session.reply("msg-5", text("Here."), isSidechain=True)
    session.result("call-1", "Here.", parent=asked)
    assert importing("claude-code", session.write()).runs == 2
    assert words(ledger) == ["Ask somebody.", "", "Here."]


def _plan(session: SessionFile, number: int, *, approved: bool) -> None:
    call_id = f"plan-{number}"
    session.reply(f"msg-{number}", tool_use(call_id, "ExitPlanMode", plan="1. Do it"))
    session.result(call_id, "User has approved your plan." if approved else REJECTED, is_error=not approved)


def test_a_plan_is_rejected_and_then_approved(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.say("Plan it.")
    _plan(session, 1, approved=False)
    session.say("Now do.")
    _plan(session, 2, approved=True)
    session.reply("msg-3", text("Done."))
    tally = importing("claude-code", session.write())
    assert (tally.approvals, tally.decisions, tally.tool_errors) == (2, 2, 1)
    approvals = [ledger.now.approval(item.stream) for item in ledger.events(types=["approval.requested"])]
    assert [approval.status for approval in approvals] == ["denied", "granted"]
    assert {approval.votes[0].voter for approval in approvals} == {"human:user"}
    assert {approval.rule.approver_kinds for approval in approvals} == {("human",)}
    assert {approval.rule.requester_excluded for approval in approvals} == {None}
    made = [item.event for item in ledger.events(types=["decision.made"])]
    assert [event.chosen_option_id for event in made if isinstance(event, DecisionMade)] == ["reject", "approve"]
    first, second = the_thread(ledger).tree().nodes
    (rejected,), (approved,) = (ledger.now.tool_calls(run_id=run).items for run in (first, second))
    assert (rejected.status, approved.status) == ("failed", "succeeded")
    assert rejected.error is not None
    assert rejected.error.message == "the approval was denied"
    assert approvals[0].votes[0].comment is None, "the client wrote that sentence, and the person nothing"


def test_an_answered_question_is_a_decision_with_its_options(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    options = [{"label": "Red", "description": "like fire"}, {"label": "Blue"}]
    questions = [{"question": "Which colour?", "options": options}, {"question": "Which size?", "options": options}]
    session.reply("msg-1", tool_use("call-1", "AskUserQuestion", questions=questions), parent=None)
    answers = {"Which colour?": "Blue", "Which size?": "as large as it goes"}
    session.result("call-1", "answered", toolUseResult={"questions": questions, "answers": answers})
    tally = importing("claude-code", session.write())
    assert (tally.approvals, tally.decisions) == (2, 2)
    made = [item.event for item in ledger.events(types=["decision.made"]) if isinstance(item.event, DecisionMade)]
    assert [(event.intent, event.chosen_option_id) for event in made] == [
        ("Which colour?", "option-2"),
        ("Which size?", "own-words"),
    ]
    assert [option.description for option in made[0].options] == ["Red: like fire", "Blue"]
    assert made[1].options[-1].description.endswith("as large as it goes")


def test_a_tool_that_fails_by_itself_asked_nobody(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.reply("msg-1", tool_use("call-1"), parent=None)
    session.result("call-1", "Exit code 1", is_error=True)
    tally = importing("claude-code", session.write())
    assert (tally.tool_errors, tally.approvals) == (1, 0)


def test_a_rejected_tool_was_asked_for_and_denied(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.reply("msg-1", tool_use("call-1", "Edit", path="a.py"), parent=None)
    session.result("call-1", REJECTED, is_error=True)
    assert importing("claude-code", session.write()).approvals == 1
    (asked,) = ledger.events(types=["approval.requested"])
    view = ledger.now.approval(asked.stream)
    assert (view.action, view.status, view.arguments_text) == ("Edit", "denied", '{"path":"a.py"}')


def test_an_interrupted_session_is_cancelled_with_its_open_call(
    ledger: Ledger, importing: Importing, session: SessionFile
) -> None:
    session.say("Wait for ever.")
    session.reply("msg-1", tool_use("call-1", command="sleep inf"))
    session.add("user", [text("[Request interrupted by user for tool use]")])
    importing("claude-code", session.write())
    (run,) = the_thread(ledger).tree().nodes
    assert ledger.run(run).view().status == "cancelled"
    (call,) = ledger.now.tool_calls(run_id=run).items
    assert call.status == "cancelled"


def test_a_session_without_an_answer_is_running_and_turns_up_by_its_age(
    ledger: Ledger, importing: Importing, session: SessionFile
) -> None:
    session.say("Are you there?")
    importing("claude-code", session.write())
    (run,) = the_thread(ledger).tree().nodes
    view = ledger.run(run).view()
    assert (view.status, view.stop_reason) == ("running", None)


def test_what_the_client_wrote_by_itself_begins_no_run(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.say("Caveat: the messages below were generated", isMeta=True)
    session.say("<command-name>/clear</command-name>")
    assert importing("claude-code", session.write()).messages == 2
    (run,) = the_thread(ledger).tree().nodes
    assert ledger.run(run).view().status == "created"
    assert {message.author for message in the_thread(ledger).messages()} == {"service:claude-code"}


def test_images_and_unknown_parts_are_kept(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    session.add("user", [image, text("What is it?")])
    unknown = {"type": "server_tool_use", "id": "s", "name": "web", "input": {"q": 1}}
    session.reply("msg-1", unknown, text("A dot."))
    importing("claude-code", session.write())
    asked, answered = the_thread(ledger).messages()
    assert asked.content[0] == FilePart(media_type="image/png", data="iVBORw0KGgo=")
    assert answered.content[0] == DataPart(data=unknown, name="server_tool_use")


def test_lines_that_are_no_messages_are_let_by(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.records.append({"type": "summary", "summary": "Something", "leafUuid": "x"})
    session.records.append({"type": "dance", "sessionId": session.session_id})
    first = session.say("Hello.", parent=None)
    session.records.append({"type": "system", "uuid": "system-1", "parentUuid": first, "subtype": "turn_duration"})
    session.reply("msg-1", text("Hello."), parent="system-1")
    tally = importing("claude-code", session.write())
    assert (tally.messages, tally.runs, tally.problems) == (2, 1, [])
    assert [note.kind for note in tally.notes] == ["lines of type 'dance', which are no part of a conversation"]


def test_a_file_of_snapshots_alone_is_no_thread(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.records.append({"type": "file-history-snapshot", "snapshot": {}})
    tally = importing("claude-code", session.write())
    assert (tally.threads, tally.events, tally.problems) == (0, 0, [])


def test_a_session_that_grew_goes_on_in_a_run_that_continues_it(
    ledger: Ledger, importing: Importing, session: SessionFile
) -> None:
    session.say("One.")
    session.reply("msg-1", text("First."))
    session.say("Two.")
    session.reply("msg-2", tool_use("call-1"))
    session.result("call-1", "done")
    session.reply("msg-3", text("Second."))
    importing("claude-code", session.write(2))
    grown = importing("claude-code", session.write())
    assert (grown.messages, grown.skipped, grown.problems) == (6, 0, [])
    first, second = the_thread(ledger).tree().nodes.values()
    assert second.parent is not None
    assert (second.parent.run_id, second.parent.kind) == (first.run_id, "continues")
    assert words(ledger) == ["One.", "First.", "Two.", "", "done", "Second."]
    assert importing("claude-code", session.path).events == 0


def test_a_result_that_came_after_the_first_import_ends_its_call(
    ledger: Ledger, importing: Importing, session: SessionFile
) -> None:
    session.say("Begin.")
    session.reply("msg-1", tool_use("call-1"))
    session.result("call-1", "done")
    session.reply("msg-2", text("Done."))
    importing("claude-code", session.write(2))
    assert importing("claude-code", session.write()).problems == []
    (run,) = the_thread(ledger).tree().nodes
    (call,) = ledger.now.history(run).events(("tool.succeeded",))
    assert (call.stream, ledger.run(run).view().status) == (run, "completed")
    assert words(ledger) == ["Begin.", "", "done", "Done."]


def test_an_approval_that_was_open_at_the_first_import_is_granted_by_the_second(
    ledger: Ledger, importing: Importing, session: SessionFile
) -> None:
    session.say("Plan it.")
    _plan(session, 1, approved=True)
    session.reply("msg-2", text("Done."))
    importing("claude-code", session.write(2))
    (run,) = the_thread(ledger).tree().nodes
    assert ledger.run(run).view().status == "waiting"
    assert importing("claude-code", session.write()).problems == []
    assert ledger.run(run).view().status == "completed"
    (asked,) = ledger.events(types=["approval.requested"])
    assert ledger.now.approval(asked.stream).status == "granted"


def test_an_api_message_that_grew_is_revised_and_its_usage_corrected(
    ledger: Ledger, importing: Importing, session: SessionFile
) -> None:
    session.say("Talk.")
    session.reply("msg-1", text("One. "), output_tokens=1)
    session.reply("msg-1", text("Two."), output_tokens=9)
    importing("claude-code", session.write(2))
    assert importing("claude-code", session.write()).problems == []
    assert words(ledger) == ["Talk.", "One. Two."]
    (corrected,) = ledger.events(types=["usage.corrected"])
    assert corrected.as_json()["data"]["replacement"]["output_tokens"] == 9
    session.records.append({"type": "summary", "summary": "Talked"})
    assert importing("claude-code", session.write()).events == 1, "only that the changed source is in"


def test_a_rewind_after_the_first_import_leaves_the_ended_run(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.say("Begin.")
    here = session.reply("msg-1", text("Begun."))
    session.say("Go left.")
    session.reply("msg-2", text("Left."))
    session.say("Go right.", parent=here)
    session.reply("msg-3", text("Right."))
    importing("claude-code", session.write(4))
    assert importing("claude-code", session.write()).problems == []
    assert words(ledger) == ["Begin.", "Begun.", "Go right.", "Right."]


def test_growing_line_by_line_ends_with_the_same_conversation(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.say("One.")
    session.reply("msg-1", text("Look: "), tool_use("call-1"))
    session.result("call-1", "it")
    session.reply("msg-2", text("Well."))
    session.say("Two.")
    session.reply("msg-3", text("So."))
    for lines in range(1, len(session.records) + 1):
        assert importing("claude-code", session.write(lines)).problems == []
    assert words(ledger) == ["One.", "Look: ", "it", "Well.", "Two.", "So."]


def test_an_import_never_depends_on_which_files_came_first(
    ledger: Ledger, importing: Importing, session: SessionFile, tmp_path: Path
) -> None:
    session.say("Ask somebody.")
    session.reply("msg-1", tool_use("call-1", "Agent"))
    session.result("call-1", "Found.", toolUseResult={"agentId": "a1"})
    session.reply("msg-2", text("Found."))
    main = session.write()
    agent = SessionFile(tmp_path / "agent-a1.jsonl")
    agent.say("Find it")
    agent.reply("msg-9", text("Here."))
    importing("claude-code", agent.write())
    assert importing("claude-code", tmp_path).problems == []
    assert words(ledger) == ["Ask somebody.", "", "Found.", "Found."], (
        "the sub-agent's thread without its main line is superseded"
    )
    position = ledger.position()
    assert importing("claude-code", agent.path).events == importing("claude-code", main, agent.path).events == 0
    assert ledger.position() == position


@pytest.mark.fault("F1", "F2", "F3", "F5")
def test_bad_lines_are_named_and_the_rest_goes_in(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.say("Hello.")
    session.reply("msg-1", text("Hello."))
    lines = session.write().read_text().splitlines()
    bad = [
        '{"type": "user", "uuid": "x"',
        '{"type": "user", "type": "user"}',
        lines[0].replace('"Hello."', "true"),
        lines[0].replace('"uuid"', '"other"'),
        lines[0].replace('"Hello."', '[{"type": "tool_use"}]'),
        "[1]",
    ]
    session.path.write_text("\n".join([lines[0], *bad, lines[1]]) + "\n")
    tally = importing("claude-code", session.path)
    assert [problem.line for problem in tally.problems] == list(range(2, 2 + len(bad)))
    assert {problem.file for problem in tally.problems} == {str(session.path)}
    expected = (
        "is not JSON",
        "uuid: Field required",
        "message.content: is neither text nor a list of blocks",
        "uuid: Field required",
        "content.0: a tool_use block has no id",
        "type: is missing",
    )
    for part, problem in zip(expected, tally.problems, strict=True):
        assert part in problem.reason
    assert words(ledger) == ["Hello.", "Hello."]


def test_a_file_of_another_kind_is_one_problem(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text("this\nis\nnothing\n")
    tally = importing("claude-code", tmp_path)
    (problem,) = tally.problems
    assert "no line is one of Claude Code's" in problem.reason
    assert tally.as_json()["problems"] == 1


def test_a_result_that_no_call_asked_for_is_still_a_message(ledger: Ledger, importing: Importing, session: SessionFile) -> None:
    session.say("Hello.")
    session.result("call-unknown", "an answer")
    assert importing("claude-code", session.write()).problems == []
    assert words(ledger) == ["Hello.", "an answer"]


def test_the_same_session_gives_the_same_events_in_any_ledger(
    ledger: Ledger, importing: Importing, session: SessionFile, new_database: Callable[[], Any]
) -> None:
    session.say("Hello.")
    session.reply("msg-1", tool_use("call-1"))
    session.result("call-1", json.dumps({"a": [1, 2.5, None]}))
    importing("claude-code", session.write())
    with Ledger.open(new_database().url) as other:
        import_paths(other, "claude-code", [session.path])
        assert everything(other) == everything(ledger)


@pytest.mark.parametrize("kind", [*sorted(WORDS_OF_OTHERS), "skill_listing", None, ["teammate_mailbox"]])
def test_an_attachment_in_which_somebody_speaks_is_noted(kind: Any, session: SessionFile) -> None:
    session.say("Hello.", parent=None)
    attached = {"type": kind, "messages": [{"from": "dev-1", "text": "I am done."}]}
    session.records.append({"type": "attachment", "uuid": "attached-1", "parentUuid": None, "attachment": attached})
    reports, path = Reports(), session.write()
    files = [SourceFile(str(path), path, path.stat().st_size)]
    assert len([*FORMAT.read(files, reports.take)]) == 1
    wanted = [f"attachments of type {kind!r}, whose words are not imported"] if kind in [*WORDS_OF_OTHERS] else []
    assert ([*reports.by_kind], reports.problems) == (wanted, [])
