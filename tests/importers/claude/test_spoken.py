"""Sessions in which somebody said or forbade something: the same when imported at once and line by line."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.importers.importing import import_paths
from tests.databases import TestDatabase, fresh_database
from tests.importers.conftest import SessionFile, text, tool_use
from tests.importers.field.shown import CLIENT, PERSON, Shown

REJECTED = "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit). "
STOPPED = "[Request interrupted by user for tool use]"
QUESTION = {"question": "Which?", "multiSelect": True, "options": [{"label": "Red, dark"}, {"label": "Red"}, {"label": "Blue"}]}
QUESTIONS = {"questions": [QUESTION]}


def _queued(session: SessionFile, operation: str, content: str | None = None) -> None:
    said = {} if content is None else {"content": content}
    record = {"type": "queue-operation", "operation": operation, "timestamp": "2026-03-01T10:00:02.000Z", **said}
    session.records.append(record)


def words_beside_a_result_while_a_question_is_open(session: SessionFile) -> None:
    """Two calls at once; the result of one comes with words before the other's question is answered."""
    session.say("Paint.")
    session.reply("msg-1", tool_use("call-1"), tool_use("call-2", "AskUserQuestion", **QUESTIONS))
    result = {"type": "tool_result", "tool_use_id": "call-1", "content": "ok"}
    session.add("user", [result, text("And be quick.")])
    session.result("call-2", "answered", toolUseResult={"answers": {"Which?": "Red, dark, Blue"}})
    session.reply("msg-2", text("Done."))


def words_typed_in_an_older_file(session: SessionFile) -> None:
    """They were enqueued and removed, and stand nowhere else."""
    session.say("Work.")
    session.reply("msg-1", tool_use("call-1"))
    _queued(session, "enqueue", "Not the database.")
    _queued(session, "enqueue", "Take it back.")
    session.result("call-1", "ok")
    _queued(session, "remove")
    _queued(session, "popAll")
    session.reply("msg-2", text("Good."))


def a_plan_that_was_edited(session: SessionFile) -> None:
    """The person approved another plan than the one that was asked for."""
    session.say("Plan.")
    session.reply("msg-1", tool_use("call-1", "ExitPlanMode", plan="1. All"))
    whole = {"plan": "1. Half", "planWasEdited": True}
    session.result("call-1", "User has approved your plan.", toolUseResult=whole, userFeedback="Half is enough.")
    session.reply("msg-2", text("Half it is."))


def a_question_that_was_interrupted(session: SessionFile) -> None:
    """The person stopped the agent instead of answering, and went on."""
    session.say("Ask.")
    session.reply("msg-1", tool_use("call-1", "AskUserQuestion", **QUESTIONS))
    session.result("call-1", STOPPED, is_error=True)
    session.add("user", [text(STOPPED)])
    session.say("Never mind.")
    session.reply("msg-2", text("Well."))


def a_question_that_nobody_answered(session: SessionFile) -> None:
    """The next prompt came without an answer."""
    session.say("Ask.")
    session.reply("msg-1", tool_use("call-1", "AskUserQuestion", **QUESTIONS))
    session.say("Never mind.")
    session.reply("msg-2", text("Well."))


def a_plan_that_a_hook_forbade(session: SessionFile) -> None:
    """The question fell away before anybody saw it."""
    session.say("Plan.")
    session.reply("msg-1", tool_use("call-1", "ExitPlanMode", plan="1. All"))
    session.result("call-1", "PreToolUse:ExitPlanMode hook error: [guard]: not now", is_error=True)
    session.reply("msg-2", text("Later."))


def an_error_of_the_api_in_an_older_file(session: SessionFile) -> None:
    """The client wrote it as an answer; the session was taken up again."""
    session.say("Go.")
    session.reply("msg-1", tool_use("call-1"))
    session.result("call-1", "ok")
    words = 'API Error: 529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    synthetic = {"id": "x", "model": "<synthetic>", "stop_reason": "stop_sequence", "usage": {"input_tokens": 0}}
    session.add("assistant", [text(words)], message=synthetic)
    session.say("Again.")
    session.reply("msg-2", text("Done."))


def what_rules_and_hooks_forbade(session: SessionFile) -> None:
    """Each call was forbidden by somebody else, or cancelled with another."""
    session.say("Try.")
    session.reply("msg-1", *(tool_use(f"call-{number}") for number in range(4)))
    session.result("call-0", "Permission to use Bash has been denied.", is_error=True)
    session.result("call-1", "PreToolUse:Bash hook error: [guard]: no", is_error=True, toolDenialKind="permission-rule")
    session.result("call-2", "<tool_use_error>Cancelled: parallel tool call Bash(ls) errored</tool_use_error>", is_error=True)
    session.result("call-3", REJECTED + "To tell you how to proceed, the user said:\nNot so.", is_error=True)
    session.reply("msg-2", text("Well."))


def a_resumed_session(session: SessionFile) -> None:
    """The client wrote both the prompt and the answer of a resume."""
    session.say("Go.")
    session.reply("msg-1", text("Gone."))
    session.say("Continue from where you left off.", isMeta=True)
    synthetic = {"id": "x", "model": "<synthetic>", "stop_reason": "stop_sequence", "usage": {"input_tokens": 0}}
    session.add("assistant", [text("No response requested.")], message=synthetic, isApiErrorMessage=False)
    session.say("On.")
    session.reply("msg-2", text("Done."))


def a_command_for_the_agent(session: SessionFile) -> None:
    """A shell command and its output, then a command that the client wrote out for the agent, and a hook that sent it on."""
    session.say("<bash-input>git status</bash-input>")
    session.say("<bash-stdout>clean</bash-stdout><bash-stderr></bash-stderr>")
    command = "<command-message>review is running</command-message>\n<command-name>/review</command-name>"
    session.say(f"{command}\n<command-args>pull 12</command-args>")
    session.say("Review the pull request 12.", isMeta=True)
    session.reply("msg-1", text("Fine."))
    session.say("Stop hook feedback:\n- run the tests", isMeta=True)
    session.reply("msg-2", text("They pass."))


MODEL = [("model-1", 10, 5), ("model-1", 10, 5)]
RIGHT: dict[Callable[[SessionFile], None], dict[str, Any]] = {
    words_beside_a_result_while_a_question_is_open: {
        "said": [(PERSON, "Paint."), (PERSON, "And be quick."), (None, "Done.")],
        "votes": [(PERSON, "approve", None)],
        "choices": [["Red, dark", "Blue"]],
        "calls": [("succeeded", None, None), ("succeeded", None, None)],
        "ends": [("completed", None)],
    },
    words_typed_in_an_older_file: {
        "said": [(PERSON, "Work."), (PERSON, "Not the database."), (None, "Good.")],
        "order": ["user", "assistant", "tool", "user", "assistant"],
        "ends": [("completed", None)],
        "kinds": [],
    },
    a_plan_that_was_edited: {
        "votes": [(PERSON, "approve", "Half is enough.")],
        "agreed": ['{"plan":"1. Half"}'],
        "ends": [("completed", None)],
    },
    a_question_that_was_interrupted: {
        "votes": [],
        "choices": [],
        "calls": [("cancelled", None, None)],
        "asked": ["withdrawn"],
        "ended_by": [PERSON],
        "ends": [("cancelled", None), ("completed", None)],
        "typed": ["Ask.", "Never mind."],
    },
    a_question_that_nobody_answered: {
        "votes": [],
        "choices": [],
        "typed": ["Ask.", "Never mind."],
        "asked": ["withdrawn"],
        "ends": [("cancelled", None), ("completed", None)],
    },
    a_plan_that_a_hook_forbade: {
        "asked": ["withdrawn"],
        "votes": [],
        "choices": [],
        "codes": ["denied_by_hook"],
        "ends": [("completed", None)],
    },
    an_error_of_the_api_in_an_older_file: {
        "ends": [("failed", "overloaded_error"), ("completed", None)],
        "used": MODEL,
        "typed": ["Go.", "Again."],
    },
    what_rules_and_hooks_forbade: {
        "codes": ["denied_by_policy", "denied_by_hook", None, "approval_denied"],
        "ended_by": ["service:policy", "service:hook", CLIENT, PERSON],
        "votes": [(PERSON, "deny", "Not so.")],
        "ends": [("completed", None)],
    },
    a_command_for_the_agent: {
        "title": "/review pull 12",
        "typed": ["<bash-input>git status</bash-input>"],
        "ends": [("completed", None), ("completed", None)],
        "kinds": ["continues"],
    },
    a_resumed_session: {"used": MODEL, "typed": ["Go.", "On."], "kinds": ["continues"]},
}


@pytest.fixture(scope="module")
def database(admin_url: str, template: str) -> Iterator[TestDatabase]:
    """One database for all sessions."""
    with fresh_database(admin_url, template, "spoken") as made:
        yield made


@pytest.mark.parametrize("line_by_line", [False, True], ids=["at once", "line by line"])
@pytest.mark.parametrize("written", RIGHT, ids=lambda written: str(written.__name__))
def test_what_was_said_is_right_however_the_file_came(
    database: TestDatabase, tmp_path: Path, written: Callable[[SessionFile], None], *, line_by_line: bool
) -> None:
    session = SessionFile(tmp_path / "session.jsonl")
    written(session)
    settings = database.settings.model_copy(update={"tenant": f"{written.__name__}-{line_by_line}"})
    with Ledger.open(settings=settings) as ledger:
        for lines in range(1, len(session.records)) if line_by_line else ():
            assert import_paths(ledger, "claude-code", [session.write(lines)]).problems == []
        shown = Shown.after_import(ledger, session.write())
        assert (shown.tally.problems, len(shown.threads), shown.again()) == ([], 1, 0)
        right = RIGHT[written]
        assert {view: getattr(shown, view)() for view in right} == right


@pytest.mark.parametrize(
    ("stated", "agent", "by"),
    [
        ({}, None, PERSON),
        ({"promptSource": "sdk"}, None, "service:sdk"),
        ({"origin": {"kind": "cron"}}, None, "service:cron"),
        ({"isMeta": True}, None, PERSON),
        ({"agentId": "x", "isSidechain": True}, "x", CLIENT),
    ],
)
def test_a_session_is_opened_by_a_person_unless_a_program_or_an_agent_spoke_first(
    stated: dict[str, Any], agent: str | None, by: str, tmp_path: Path, tenants: Callable[[str], Ledger]
) -> None:
    session = SessionFile(tmp_path / ("session.jsonl" if agent is None else f"agent-{agent}.jsonl"))
    session.say("Look around.")
    session.reply("msg-1", text("I looked."))
    for record in session.records:
        record.update(stated)
    session.write()
    ledger = tenants(f"opened by {by} {len(stated)}")
    assert import_paths(ledger, "claude-code", [tmp_path]).problems == []
    assert [str(recorded.metadata.actor) for recorded in ledger.events(types=["thread.created"])] == [by]
    if by != PERSON:
        assert PERSON not in {str(recorded.metadata.actor) for recorded in ledger.subscribe(follow=False)}
