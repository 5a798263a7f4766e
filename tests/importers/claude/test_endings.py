"""How a call or a turn of Claude Code ended: what its lines state, and nothing beyond."""

from typing import Any

import pytest

from runfold.importers.claude.endings import api_error, call_end, ends_turn, is_answer

REJECTED = (
    "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the "
    "new_string was NOT written to the file). "
)
STOP = REJECTED + "STOP what you are doing and wait for the user to tell you how to proceed."
SAID = REJECTED + "To tell you how to proceed, the user said:\n"
NOTE = (
    "\n\nNote: The user's next message may contain a correction or preference. Pay close attention — if they explain what "
    "went wrong or how they'd prefer you to work, consider saving that to memory for future sessions."
)
CLARIFY = (
    "The user wants to clarify these questions.\n    This means they may have additional information, context or questions "
    'for you.\n\n    Questions asked:\n- "Which?"\n  (No answer provided)'
)
DENIED = (
    "Permission for this tool use was denied. The tool use was rejected (eg. if it was a file edit, the new_string was NOT "
    "written to the file). "
)

PERSONS = {
    STOP: None,
    SAID + "Keep the file.": "Keep the file.",
    SAID + "Keep\n\nthe file." + NOTE: "Keep\n\nthe file.",
    SAID + "  \n": None,
    SAID + "Keep it.\n<system-reminder>x</system-reminder>": "Keep it.",
    SAID + CLARIFY: None,
    SAID + CLARIFY + "\n  User notes: neither of them": "neither of them",
    DENIED + "The user said:\nNot there.": "Not there.",
    "The agent proposed a plan that was rejected by the user. The user chose to stay in plan mode.\n\nRejected plan:\n1.": None,
    "User declined to answer questions": None,
}
"""What the agent is told where a person said no, and what of it the person typed."""

OTHERS = {
    "[Request interrupted by user for tool use]": ("cancelled", "person"),
    "[Request interrupted by user]": ("cancelled", "person"),
    "The user doesn't want to take this action right now. STOP what you are doing.": ("cancelled", "person"),
    "<tool_use_error>Cancelled: parallel tool call Bash(mkdir build) errored</tool_use_error>": ("cancelled", None),
    "<tool_use_error>Sibling tool call errored</tool_use_error>": ("cancelled", None),
    "half of it\n<error>Command was aborted before completion</error>": ("cancelled", None),
    "PreToolUse:Write hook error: [guard.py]: no secrets here": ("denied", "hook"),
    "Hook PreToolUse:Bash denied this tool": ("denied", "hook"),
    "PreToolUse:Edit hook returned blocking error\nno": ("denied", "hook"),
    "Permission to use Bash has been denied.": ("denied", "policy"),
    "Permission to use Bash with command rm -rf / has been denied.": ("denied", "policy"),
    "Permission to use Edit has been denied because Claude Code is running in don't ask mode.": ("denied", "policy"),
    "Permission for this action has been denied. Reason: it deletes. If you have other tasks": ("denied", "policy"),
    "Permission for this action was denied by the Claude Code auto mode classifier. Reason: [x]": ("denied", "policy"),
    "Claude requested permissions to use WebSearch, but you haven't granted it yet.": ("denied", "policy"),
    "This command requires approval": ("denied", "policy"),
    DENIED[:40] + " It requires approval, and this session has no approval surface": ("denied", "policy"),
    DENIED + "Try a different approach or report the limitation.": ("denied", None),
    "Exit code 1\nPermission denied by your permission settings": ("failed", None),
    "<tool_use_error>File has not been read yet.</tool_use_error>": ("failed", None),
    "PostToolUse:Edit hook error: [lint]: unused import": ("failed", None),
    "grep: The user doesn't want to proceed with this tool use": ("failed", None),
    "": ("failed", None),
}


def result(content: Any, *, is_error: bool | None = True, **line: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A result's block, and its line."""
    block = {"type": "tool_result", "tool_use_id": "t", "content": content}
    if is_error is not None:
        block["is_error"] = is_error
    return block, {"type": "user", "message": {"content": [block]}, **line}


@pytest.mark.parametrize("text", PERSONS)
def test_a_person_is_quoted_with_what_they_typed_and_no_more(text: str) -> None:
    end = call_end(*result(text))
    assert (end.verdict, end.by, end.actor, end.comment) == ("denied", "person", "human:user", PERSONS[text])


@pytest.mark.parametrize("text", OTHERS)
def test_who_stopped_or_forbade_a_call_is_what_its_result_says(text: str) -> None:
    end = call_end(*result([{"type": "text", "text": text}]))
    assert (end.verdict, end.by) == OTHERS[text]
    assert end.comment is None
    assert end.message == text


@pytest.mark.parametrize(
    ("kind", "text", "verdict", "code"),
    [
        ("user-rejected", STOP, "denied", "denied_by_person"),
        ("user-rejected", "no", "denied", "denied_by_person"),
        ("user-rejected", "This command requires approval", "denied", "denied_by_policy"),
        ("cancelled", "Cancelled: parallel tool call Bash(ls) errored", "cancelled", "tool_error"),
        ("user-rejected", "[Request interrupted by user for tool use]", "cancelled", "tool_error"),
        ("permission-rule", "guard: not here", "denied", "denied_by_policy"),
        ("permission-rule", "PreToolUse:Bash hook error: [g]: no", "denied", "denied_by_hook"),
        ("automode-blocked", "Blocked.", "denied", "denied_by_policy"),
        ("automode-unavailable", "x is temporarily unavailable", "denied", "denied_by_policy"),
        ("interrupted", "", "cancelled", "tool_error"),
        ("cancelled", "", "cancelled", "tool_error"),
        ("by-the-moon", "no", "denied", "denied"),
    ],
)
def test_a_stated_kind_of_denial_says_who_where_the_words_do_not(kind: str, text: str, verdict: str, code: str) -> None:
    end = call_end(*result(text, is_error=None, toolDenialKind=kind))
    assert (end.verdict, end.code) == (verdict, code)


def test_what_a_line_states_of_its_result_is_meant_of_none_where_it_holds_two() -> None:
    block, line = result("ok", is_error=False, toolDenialKind="user-rejected")
    line["message"]["content"].append({**block, "tool_use_id": "t2"})
    assert call_end(block, line).verdict == "succeeded"


def test_words_of_feedback_that_a_line_states_are_the_comment() -> None:
    assert call_end(*result(STOP, userFeedback="Use rg. ", toolDenialKind="user-rejected")).comment == "Use rg."


def test_a_stop_that_nobody_made_names_nobody() -> None:
    end = call_end(*result("[Request interrupted by user for tool use]", interruptedByShutdown=True))
    assert (end.verdict, end.by, end.actor) == ("cancelled", None, "service:claude-code")


@pytest.mark.parametrize("text", [STOP, "PreToolUse:Write hook error: x", "Permission to use Bash has been denied.", "ok"])
@pytest.mark.parametrize("is_error", [False, None])
def test_a_tool_that_answered_has_succeeded_whatever_its_text(text: str, *, is_error: bool | None) -> None:
    assert call_end(*result(text, is_error=is_error)).verdict == "succeeded"


def answer(text: str = "Done.", **line: Any) -> dict[str, Any]:
    """A line in an answer's place."""
    message = {"model": "<synthetic>", "stop_reason": "stop_sequence", "content": [{"type": "text", "text": text}]}
    return {"type": "assistant", "message": {**message, **line.pop("message", {})}, **line}


OVERLOADED = 'API Error: 529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}'


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (answer("The limit.", isApiErrorMessage=True, error="rate_limit", apiErrorStatus=429), "rate_limit"),
        (answer("Log in.", isApiErrorMessage=True, error="authentication_failed"), "authentication_failed"),
        (answer("No.", error="model_not_found"), "model_not_found"),
        (answer("Over.", isApiErrorMessage=True, error={"status": 529, "message": "Overloaded"}), "http_529"),
        (
            answer("Over.", isApiErrorMessage=True, error={"type": "error", "error": {"type": "overloaded_error"}}),
            "overloaded_error",
        ),
        (answer(OVERLOADED), "overloaded_error"),
        (answer("API Error: 529 Overloaded.", isApiErrorMessage=True), "http_529"),
        (answer("API Error: Request rejected (429)", isApiErrorMessage=True), "rate_limit"),
        (answer("API Error (529 {broken", isApiErrorMessage=True), "http_529"),
        (answer("Oops", isApiErrorMessage=True, apiErrorStatus=500), "http_500"),
        (answer("Claude AI usage limit reached|1760000000", isApiErrorMessage=True), "rate_limit"),
        (answer("Invalid API key · Please run /login", isApiErrorMessage=True), "authentication_failed"),
        (answer("Prompt is too long", isApiErrorMessage=True), "prompt_too_long"),
        (answer("API Error: Connection error."), "connection_error"),
        (answer("Something else", isApiErrorMessage=True), "api_error"),
        (answer("x", isApiErrorMessage=True, message={"model": "claude-1"}), "api_error"),
        (answer("x", error="server_error", message={"model": None}), "server_error"),
    ],
)
def test_an_error_of_the_api_has_the_code_that_is_stated(record: dict[str, Any], code: str) -> None:
    error = api_error(record)
    assert error is not None
    assert error.code == code
    assert error.message in record["message"]["content"][0]["text"]
    assert not is_answer(record)
    assert not ends_turn(record)


@pytest.mark.parametrize(
    "record",
    [
        answer("No response requested.", isApiErrorMessage=False),
        answer("No response requested."),
        answer("API Error: 529", message={"model": "claude-1"}),
        {"type": "user", "isApiErrorMessage": True},
        {"type": "assistant", "message": 4, "error": "x", "isApiErrorMessage": False},
        {},
    ],
)
def test_what_records_no_error_is_none(record: dict[str, Any]) -> None:
    assert api_error(record) is None


@pytest.mark.parametrize(
    ("more", "ends"),
    [
        ({"stop_reason": "end_turn"}, True),
        ({"stop_reason": "stop_sequence"}, True),
        ({"stop_reason": "tool_use"}, False),
        ({"stop_reason": None}, False),
        ({"stop_reason": "max_tokens"}, False),
        ({"stop_reason": ["end_turn"]}, False),
        ({"stop_reason": "end_turn", "content": [{"type": "tool_use", "id": "t", "name": "Bash"}]}, False),
        ({"stop_reason": "end_turn", "content": "Done."}, True),
    ],
)
def test_a_turn_ends_where_the_model_says_so_and_asks_for_no_tool(more: dict[str, Any], *, ends: bool) -> None:
    assert ends_turn(answer(message={"model": "claude-1", **more})) is ends
