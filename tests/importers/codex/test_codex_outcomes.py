"""How a call of the Codex CLI ended: what its output, or the event at its end, states."""

import json
from typing import Any

import pytest

from runfold.importers.codex.outcomes import Outcome, of_event, of_item, of_output

PERSON = "human:user"


@pytest.mark.parametrize(
    ("output", "how", "code"),
    [
        (json.dumps({"output": "ok", "metadata": {"exit_code": 0, "duration_seconds": 0.1}}), "succeeded", None),
        (json.dumps({"output": "no", "metadata": {"exit_code": 127}}), "failed", "exit_127"),
        ("Exit code: 0\nWall time: 0.1 seconds\nOutput:\nExit code: 9\n", "succeeded", None),
        ("Exit code: 124\nWall time: 10 seconds\nOutput:\ncommand timed out", "failed", "exit_124"),
        ("Chunk ID: 4a\nWall time: 0.2 seconds\nProcess exited with code 2\nOutput:\nno", "failed", "exit_2"),
        ("Chunk ID: 4a\nWall time: 10.0 seconds\nProcess running with session ID 7\nOutput:\n", "succeeded", None),
        ("the log says Exit code: 3", "succeeded", None),
        ({"content": "no such file", "success": False}, "failed", "tool_error"),
        ({"content": "done", "success": True}, "succeeded", None),
        ([{"type": "input_text", "text": "seen"}], "succeeded", None),
        ("failed to parse function arguments: missing field `command`", "failed", "tool_error"),
        ("unsupported call: frob", "failed", "tool_error"),
        ("aborted", "cancelled", None),
        ("aborted by user after 1.2s", "cancelled", None),
        ("Transaction rejected by user 4711, retry.", "succeeded", None),
        ("Denied by user agent rules", "succeeded", None),
        ("rejected by user-agent", "succeeded", None),
        ("Chunk ID: 4a\nProcess running with session ID 7\nOutput:\nfetch blocked by CORS policy", "succeeded", None),
        ("Wall time: 1 s\nOutput:\nThe order was rejected due to unacceptable risk", "succeeded", None),
        (None, "succeeded", None),
        (12, "succeeded", None),
    ],
)
def test_an_output_says_how_the_call_ended(output: Any, how: str, code: str | None) -> None:
    outcome = of_output(output)
    assert outcome.how == how
    if code is not None:
        assert outcome.code == code


@pytest.mark.parametrize(
    ("output", "by", "comment"),
    [
        ("exec command rejected by user", PERSON, None),
        ("patch rejected by user", PERSON, None),
        ("rejected by user", PERSON, None),
        ("err: command denied by the user.\n", PERSON, None),
        ("exec command rejected by user: not on a Friday", PERSON, "not on a Friday"),
        ("approval policy is Never; reject command — you should not ask for escalated permissions", "service:policy", ...),
        ("`rm -rf /` rejected: blocked by policy", "service:policy", ...),
        ("This action was rejected due to unacceptable risk.\nReason: it deletes.", "agent:guardian", ...),
    ],
)
def test_a_refusal_is_that_of_who_refused_and_the_clients_sentence_is_no_comment(output: str, by: str, comment: Any) -> None:
    outcome = of_output(output)
    assert (outcome.how, outcome.by) == ("refused", by)
    assert outcome.comment == (output if comment is ... else comment)


@pytest.mark.parametrize(
    ("kind", "event", "how"),
    [
        ("exec_command_end", {"exit_code": 0, "aggregated_output": "a"}, "succeeded"),
        ("exec_command_end", {"exit_code": 1, "aggregated_output": "a"}, "failed"),
        ("exec_command_end", {"exit_code": -1, "status": "declined"}, "refused"),
        ("patch_apply_end", {"success": False, "stderr": "no"}, "failed"),
        ("mcp_tool_call_end", {"result": {"Ok": {"content": [], "isError": False}}}, "succeeded"),
        ("mcp_tool_call_end", {"result": {"Ok": {"content": [], "isError": True}}}, "failed"),
        ("mcp_tool_call_end", {"result": {"Err": "gone"}}, "failed"),
    ],
)
def test_an_event_says_how_the_call_ended(kind: str, event: dict[str, Any], how: str) -> None:
    outcome = of_event(kind, event)
    assert isinstance(outcome, Outcome)
    assert outcome.how == how


@pytest.mark.parametrize(
    ("item", "how", "code"),
    [
        ({"type": "CommandExecution", "status": "completed", "exit_code": 0}, "succeeded", None),
        ({"type": "CommandExecution", "status": "failed", "exit_code": 2}, "failed", "exit_2"),
        ({"type": "CommandExecution", "status": "declined"}, "refused", None),
        ({"type": "CommandExecution", "status": "inProgress"}, None, None),
        ({"type": "FileChange", "status": "completed"}, "succeeded", None),
        ({"type": "FileChange", "status": "failed", "stderr": "no such line"}, "failed", None),
        ({"type": "FileChange", "status": "declined"}, "refused", None),
        ({"type": "FileChange"}, None, None),
        ({"type": "McpToolCall", "status": "completed", "result": {"content": []}}, "succeeded", None),
        ({"type": "McpToolCall", "status": "failed", "result": {"content": [], "isError": True}}, "failed", None),
        ({"type": "McpToolCall", "status": "failed", "error": {"message": "gone"}}, "failed", "mcp_error"),
        ({"type": "McpToolCall", "status": "inProgress"}, None, None),
        ({"type": "DynamicToolCall", "status": "failed", "error": "gone"}, "failed", None),
        ({"type": "DynamicToolCall", "status": "completed"}, None, None),
        ({"type": "AgentMessage"}, None, None),
        ({"type": ["McpToolCall"], "status": []}, None, None),
    ],
)
def test_an_item_that_is_completed_says_how_its_call_ended(item: dict[str, Any], how: str | None, code: str | None) -> None:
    outcome = of_item(item)
    assert (outcome and outcome.how) == how
    assert code is None or (outcome is not None and outcome.code == code)


@pytest.mark.parametrize(
    ("words", "by"),
    [
        ("`rm -rf /` rejected: blocked by policy", "service:policy"),
        ("exec command rejected by user", PERSON),
        ("This action was rejected due to unacceptable risk.", "agent:guardian"),
        ("", "service:codex"),
        ("aborted", "service:codex"),
    ],
)
@pytest.mark.parametrize("kind", ["exec_command_end", "patch_apply_end"])
def test_what_was_declined_is_refused_by_whom_its_words_say(kind: str, words: str, by: str) -> None:
    outcome = of_event(kind, {"status": "declined", "exit_code": -1, "success": False, "stderr": words})
    assert outcome is not None
    assert (outcome.how, outcome.by) == ("refused", by)


def test_a_call_of_mcp_that_the_client_says_was_rejected_is_nobodys_refusal() -> None:
    outcome = of_event("mcp_tool_call_end", {"result": {"Err": "user rejected MCP tool call"}})
    assert outcome is not None
    assert (outcome.how, outcome.code, outcome.by) == ("failed", "denied", "service:codex")


def test_an_event_without_its_code_says_nothing() -> None:
    assert of_event("exec_command_end", {"exit_code": "n/a"}) is None
    assert of_event("patch_apply_end", {"success": "yes"}) is None


def test_long_outputs_take_no_longer_than_their_length() -> None:
    for output in ("x" * 1_000_000, "a " * 500_000, "Exit code: " * 90_000, "rejected by the " * 60_000, "{" * 500_000):
        assert of_output(output).how == "succeeded"
