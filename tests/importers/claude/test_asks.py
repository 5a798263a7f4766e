"""What a person was asked by a call of Claude Code, and what they said to it: their own words and no others."""

from typing import Any

import pytest

from runfold.importers.claude.asks import Ask, asks_of

REJECTED = (
    "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the "
    "new_string was NOT written to the file). "
)
SAID = REJECTED + "To tell you how to proceed, the user said:\n"
APPROVED = "User has approved your plan. You can now start coding."
QUESTION = {
    "question": "Which colours?",
    "header": "Colour",
    "multiSelect": True,
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}, {"label": "Grey"}],
}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A block that calls a tool."""
    return {"type": "tool_use", "id": "t", "name": name, "input": arguments}


def result(content: str, *, is_error: bool = False, **line: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A block that answers it, and its line."""
    block = {"type": "tool_result", "tool_use_id": "t", "content": content, "is_error": is_error}
    return block, {"type": "user", "message": {"content": [block]}, **line}


def asked(name: str, arguments: dict[str, Any], *answer: Any, **line: Any) -> Ask:
    """The only thing that a call asked."""
    (ask,) = asks_of(call(name, **arguments), result(*answer, **line) if answer or line else None)
    return ask


def questioned(answers: Any, question: dict[str, Any] = QUESTION, **more: Any) -> Ask:
    """A question with its answer."""
    whole = {"questions": [question], "answers": {question["question"]: answers}, **more}
    return asked("AskUserQuestion", {"questions": [question]}, "answered", toolUseResult=whole)


@pytest.mark.parametrize(
    ("answers", "chosen", "words"),
    [
        ("Red, Blue", ("option-1", "option-2"), "Red, Blue"),
        (["Blue", "Red"], ("option-1", "option-2"), "Red, Blue"),
        ("Grey", ("option-3",), "Grey"),
        ("Red, something dark", ("option-1", "own-words"), "Red, something dark"),
        ("something dark", ("own-words",), "something dark"),
        ("(no option selected)", (), None),
    ],
)
def test_the_chosen_options_of_a_question_are_all_that_were_chosen(
    answers: Any, chosen: tuple[str, ...], words: str | None
) -> None:
    ask = questioned(answers)
    assert (ask.verdict, ask.chosen, ask.answer, ask.intent) == ("granted", chosen, words, "Which colours?")
    assert [option["id"] for option in ask.options if option["id"] != "own-words"] == ["option-1", "option-2", "option-3"]


def test_notes_beside_an_answer_are_the_persons_comment() -> None:
    ask = questioned("Red", annotations={"Which colours?": {"notes": "But softly.", "preview": "x"}})
    assert (ask.chosen, ask.comment) == (("option-1",), "But softly.")


def test_an_answer_that_only_the_results_sentence_holds_is_found_there() -> None:
    sentence = 'User has answered your questions: "Which colours?"="Red, Blue". You can now continue with the answers.'
    assert asked("AskUserQuestion", {"questions": [QUESTION]}, sentence).chosen == ("option-1", "option-2")


def test_a_question_that_nobody_answered_is_open() -> None:
    ask = asked("AskUserQuestion", {"questions": [QUESTION]})
    assert (ask.verdict, ask.chosen, ask.comment) == (None, (), None)


@pytest.mark.parametrize("content", [REJECTED + "STOP what you are doing.", "User declined to answer questions"])
def test_a_question_that_was_declined_is_denied_without_a_choice(content: str) -> None:
    ask = asked("AskUserQuestion", {"questions": [QUESTION]}, content, is_error=content.startswith("The user"))
    assert (ask.verdict, ask.chosen, ask.comment) == ("denied", (), None)


def test_the_clients_request_to_clarify_is_no_word_of_the_person() -> None:
    content = (
        SAID + 'The user wants to clarify these questions.\n    Questions asked:\n- "Which colours?"\n  (No answer provided)'
    )
    ask = asked("AskUserQuestion", {"questions": [QUESTION]}, content, is_error=True)
    assert (ask.verdict, ask.comment) == ("denied", None)


def test_a_plan_is_approved_as_it_is() -> None:
    ask = asked("ExitPlanMode", {"plan": "1. Do it"}, APPROVED, toolUseResult={"plan": "1. Do it", "isAgent": False})
    assert (ask.verdict, ask.chosen, ask.edited, ask.comment) == ("granted", ("approve",), None, None)


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (APPROVED, {"plan": "1. Do less", "planWasEdited": True}),
        (f"{APPROVED}\n\n## Approved Plan (edited by user):\n1. Do less", {}),
    ],
)
def test_a_plan_that_the_person_changed_is_approved_as_changed(content: str, whole: dict[str, Any]) -> None:
    ask = asked("ExitPlanMode", {"plan": "1. Do it"}, content, toolUseResult=whole)
    assert (ask.verdict, ask.edited) == ("granted", {"plan": "1. Do less"})


def test_words_that_came_with_an_approval_are_its_comment() -> None:
    assert asked("ExitPlanMode", {"plan": "1."}, APPROVED, userFeedback="And quickly.").comment == "And quickly."


def test_a_plan_that_was_rejected_has_the_persons_reason_alone() -> None:
    ask = asked("ExitPlanMode", {"plan": "1."}, SAID + "Too much.", is_error=True)
    assert (ask.verdict, ask.chosen, ask.comment) == ("denied", ("reject",), "Too much.")


def test_a_plan_that_waits_for_another_agent_asks_no_person() -> None:
    whole = {"plan": "1.", "awaitingLeaderApproval": True, "requestId": "r"}
    assert asks_of(call("ExitPlanMode", plan="1."), result("Submitted to the team lead.", toolUseResult=whole)) == []


def test_a_tool_that_a_person_refused_was_asked_for() -> None:
    ask = asked("Bash", {"command": "rm x"}, SAID + "Keep the file.", is_error=True)
    assert (ask.action, ask.reason, ask.verdict, ask.comment) == ("Bash", "tool_call", "denied", "Keep the file.")


@pytest.mark.parametrize(
    ("name", "content", "is_error"),
    [
        ("Bash", "done", False),
        ("Bash", "Exit code 1", True),
        ("Bash", "PreToolUse:Bash hook error: [guard]: no", True),
        ("Bash", "Permission to use Bash has been denied.", True),
        ("Bash", "[Request interrupted by user for tool use]", True),
        ("AskUserQuestion", "<tool_use_error>InputValidationError</tool_use_error>", True),
    ],
)
def test_what_ran_failed_or_was_forbidden_asked_nobody(name: str, content: str, *, is_error: bool) -> None:
    assert asks_of(call(name), result(content, is_error=is_error)) == []


@pytest.mark.parametrize(
    "content",
    [
        "[Request interrupted by user for tool use]",
        "PreToolUse:x hook error: [guard]: no",
        "Permission for this tool use was denied. Try a different approach.",
        "You are not in plan mode.",
    ],
)
def test_a_question_or_plan_whose_call_failed_or_was_stopped_has_no_verdict(content: str) -> None:
    for ask in (
        asked("AskUserQuestion", {"questions": [QUESTION]}, content, is_error=True),
        asked("ExitPlanMode", {"plan": "1."}, content, is_error=True),
    ):
        assert (ask.verdict, ask.chosen, ask.comment) == (None, (), None)


@pytest.mark.parametrize(
    "questions",
    [None, "Which?", [], [3], [{"question": ""}], [{"question": "Q", "options": "x"}], [{"question": 4}]],
)
def test_questions_of_another_form_ask_nothing(questions: Any) -> None:
    assert asks_of(call("AskUserQuestion", questions=questions), None) == []


def test_options_of_another_form_are_let_by() -> None:
    question = {"question": "Q", "options": ["Yes", {"label": 4}, None, {"label": "No", "description": []}]}
    ask = questioned("No", question)
    assert [option["label"] for option in ask.options] == ["Yes", "No"]
    assert ask.chosen == ("option-2",)


@pytest.mark.parametrize("record", [{}, {"name": 4}, {"name": "AskUserQuestion", "input": [1]}, {"name": "ExitPlanMode"}])
def test_a_call_of_any_form_is_judged_without_an_error(record: dict[str, Any]) -> None:
    asks_of(record, None)
    asks_of(record, result(SAID, is_error=True, toolUseResult=[1]))
    asks_of(record, result("ok", toolUseResult={"answers": [], "annotations": 3, "plan": 4}))
