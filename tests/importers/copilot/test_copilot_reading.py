"""What is read of events of the Copilot CLI, without a ledger."""

from collections.abc import Iterable
from typing import Any

import pytest

from runfold.importers.copilot.kinds import INSIDE, OF_EVENTS
from runfold.importers.formats.copilot import FORMAT
from runfold.importers.sources import SourceFile
from runfold.importers.tally import Note, Problem
from runfold.importers.turns.turn import UNTOLD, Answered, Asked, CallEnded, Chosen, Compacted, Finished, Said, Session, Used
from tests.importers.copilot.sessions import Events, whole
from tests.importers.counted import counts_of


def reading(*texts: str, told: list[Problem | Note] | None = None) -> list[Session]:
    """The sessions in files."""
    files = [SourceFile(f"{n}/events.jsonl", None, len(text), text.encode()) for n, text in enumerate(texts)]
    reports: list[Problem | Note] = [] if told is None else told
    sessions = [source.record.args[0] for source in FORMAT.read(files, reports.append)]  # type: ignore[attr-defined]
    assert all(isinstance(session, Session) for session in sessions)
    return sessions


def steps(sessions: Iterable[Session]) -> dict[tuple[str, str, str], Any]:
    """All that was read, by thread, run and step."""
    found: dict[tuple[str, str, str], Any] = {}
    for session in sessions:
        for run_id, turn in session.turns.items():
            found[session.thread_id, run_id, ""] = (turn.parent, turn.kind, turn.agent_id, turn.rewound)
            found.update({(session.thread_id, run_id, step.id): (step.fact, step.actor) for step in turn.steps.values()})
    return found


def facts(session: Session, kind: type) -> list[tuple[str, Any]]:
    """All facts of one kind, with who is behind them."""
    return [
        (step.actor, step.fact) for turn in session.turns.values() for step in turn.steps.values() if isinstance(step.fact, kind)
    ]


@pytest.mark.parametrize("with_ids", [True, False])
def test_what_was_read_of_the_first_lines_stays(with_ids: bool) -> None:
    events = whole(with_ids=with_ids)
    at_once = steps(reading(events.text()))
    for lines in range(1, len(events.records)):
        before = steps(reading(events.text(lines)))
        assert before == {name: at_once[name] for name in before}, f"after {lines} lines"


def test_a_file_twice_events_twice_or_beside_its_beginning_is_read_once() -> None:
    events = whole()
    at_once = steps(reading(events.text()))
    half, doubled = events.text(20), "".join(line * 2 for line in events.text().splitlines(keepends=True))
    for texts in ((events.text(), events.text()), (half, events.text()), (events.text(), half), (doubled,)):
        assert steps(reading(*texts)) == at_once


def test_runs_end_as_the_events_say() -> None:
    (session,) = reading(whole().text())
    ends = [(actor, end.status, end.message, end.code) for actor, end in facts(session, Finished)]
    assert ends == [
        ("agent:copilot", "completed", None, "error"),
        ("agent:copilot:explore", "completed", None, "error"),
        ("service:copilot", "completed", None, "error"),
        ("human:user", "cancelled", "user_initiated", "error"),
        ("agent:copilot", "failed", "Too many requests", "rate_limit"),
        ("service:copilot", "completed", None, "error"),
    ]
    assert [(turn.kind, turn.agent_id) for turn in session.turns.values()][:2] == [
        ("continues", "copilot"),
        ("spawned_by", "copilot:explore"),
    ]


def test_tokens_are_those_of_each_shutdown_and_of_no_call() -> None:
    (session,) = reading(whole().text())
    used = [fact for _, fact in facts(session, Used)]
    assert [(fact.model, fact.tokens["input_tokens"], fact.tokens["cache_read_input_tokens"]) for fact in used] == [
        ("claude-sonnet", 1000, 800),
        ("gpt-5", 50, 0),
        ("claude-sonnet", 200, 0),
    ]
    assert {fact.raw["of"] for fact in used} == {"the session since it was begun or resumed"}
    assert (counts_of(session).input_tokens, counts_of(session).output_tokens) == (1250, 75)


@pytest.mark.parametrize(
    ("kind", "source", "granted", "by"),
    [
        ("approved", "human_response", True, "human:user"),
        ("approved", None, True, "service:copilot"),
        ("approved-for-session", "human_response", True, "human:user"),
        ("approved", "assisted_approval", True, "agent:assisted-approval"),
        ("approved-for-location", "authorization_carry_forward", True, "service:carried-forward"),
        ("denied-by-rules", None, False, "service:rules"),
        ("denied-interactively-by-user", None, False, "human:user"),
        ("denied-by-permission-request-hook", None, False, "service:hook"),
        ("denied-by-content-exclusion-policy", "host_policy", False, "service:content-exclusion-policy"),
        ("denied-no-approval-rule-and-could-not-request-from-user", "unattended_fallback", False, "service:unattended-fallback"),
        ("cancelled", None, False, "service:copilot"),
    ],
)
def test_who_decided_is_who_the_event_names(kind: str, source: str | None, granted: bool, by: str) -> None:
    events = Events()
    events.start()
    events.say("Do it.")
    events.reply("", ("toolu_1", "bash"))
    events.ask("p1", "toolu_1", kind, source)
    (session,) = reading(events.text())
    ((actor, answered),) = facts(session, Answered)
    assert (answered.granted, actor) == (granted, by)
    ((_, asked),) = facts(session, Asked)
    assert (asked.action, asked.arguments["fullCommandText"]) == ("bash", "do toolu_1")
    assert asked.call_id is not None


def test_a_permission_without_an_answer_is_closed_with_a_turn_that_ended_well() -> None:
    events = Events()
    events.start()
    events.say("Do both.")
    events.reply("", ("toolu_1", "bash"), ("toolu_2", "bash"))
    for call in ("toolu_1", "toolu_2"):
        events.add("permission.requested", requestId=call, permissionRequest={"kind": "shell", "toolCallId": call})
    events.run("toolu_1")
    events.reply("Done.")
    events.over(0)
    (session,) = reading(events.text())
    answers = [(actor, fact.granted, fact.comment) for actor, fact in facts(session, Answered)]
    assert answers == [("service:copilot", True, UNTOLD), ("service:copilot", False, UNTOLD)]
    assert facts(session, Finished)[-1][1].status == "completed"


def test_a_session_that_ends_in_a_turn_leaves_it_open_unless_it_says_that_it_failed() -> None:
    for kind, statuses in (("routine", []), ("error", ["failed"])):
        events = Events()
        events.start()
        events.say("Do it.")
        events.reply("", ("toolu_1", "bash"))
        events.shut(kind, gpt_5=(10, 5, 0))
        (session,) = reading(events.text())
        assert len(session.turns) == 1
        assert [end.status for _, end in facts(session, Finished)] == statuses
        assert len(facts(session, Used)) == 1


def test_what_the_client_wrote_before_a_prompt_is_no_turn_that_ended() -> None:
    events = Events()
    events.start()
    events.add("system.message", role="system", content="You are Copilot.")
    events.add("session.idle")
    (session,) = reading(events.text())
    assert facts(session, Finished) == []
    events.say("Do it.")
    events.reply("Done.")
    events.add("session.idle")
    (session,) = reading(events.text())
    assert (len(session.turns), [actor for actor, _ in facts(session, Finished)]) == (1, ["agent:copilot"])


def test_totals_after_a_notice_are_a_run_with_it_and_the_next_prompt_is_one_of_its_own() -> None:
    events = Events()
    events.start()
    events.say("Do it.")
    events.reply("Done.")
    events.over(0)
    events.add("system.notification", content="A shell ended.", kind={"type": "shell_completed"})
    events.shut(gpt_5=(10, 5, 0))
    events.say("Thanks.")
    (session,) = reading(events.text())
    assert [[type(step.fact).__name__ for step in turn.steps.values()] for turn in session.turns.values()][1:] == [
        ["Said", "Noted", "Used", "Finished"],
        ["Noted", "Said"],
    ]


@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize(("answer", "chosen"), [("Blue", "option-2"), ("Green", "own-words-2")])
def test_what_the_agent_asks_its_person_is_an_approval_and_a_decision_once(captured: bool, answer: str, chosen: str) -> None:
    events = Events()
    asked: dict[str, Any] = {"question": "Which colour?", "choices": ["Red", "Blue"]}
    events.start()
    events.say("Ask me.")
    request = {"toolCallId": "toolu_1", "name": "ask_user", "arguments": asked}
    events.add("assistant.message", messageId="m1", content="", toolRequests=[request])
    events.add("tool.execution_start", toolCallId="toolu_1", toolName="ask_user", arguments=asked)
    if captured:
        events.add("user_input.requested", requestId="r1", toolCallId="toolu_1", **asked)
        events.add("user_input.completed", requestId="r1", answer=answer, wasFreeform=False)
    events.done("toolu_1", f"User selected: {answer}")
    (session,) = reading(events.text())
    assert (counts_of(session).approvals, counts_of(session).decisions, counts_of(session).tool_errors) == (1, 1, 0)
    assert [(actor, fact.response) for actor, fact in facts(session, Answered)] == [("human:user", {"answer": answer})]
    assert [fact.chosen for _, fact in facts(session, Chosen)] == [chosen]


NOBODY = "The user is not available to respond and will review your work later. Work autonomously and make good decisions."


def asking(*answers: dict[str, Any], result: str | None, told: list[Problem | Note] | None = None) -> Session:
    """A turn in which the agent asks its person, what is told of an answer, and the end of the turn."""
    events = Events()
    asked: dict[str, Any] = {"question": "Which colour?", "choices": ["Red", "Blue"]}
    events.start()
    events.say("Ask me.")
    request = {"toolCallId": "toolu_1", "name": "ask_user", "arguments": asked}
    events.add("assistant.message", messageId="m1", content="", toolRequests=[request])
    for answer in answers:
        events.add("user_input.requested", requestId="r1", toolCallId="toolu_1", **asked)
        events.add("user_input.completed", requestId="r1", **answer)
    events.done("toolu_1", result, **({} if result is not None else {"message": "User skipped question"}))
    events.reply("Done.")
    events.over(0)
    (session,) = reading(events.text(), told=told)
    return session


@pytest.mark.parametrize(
    ("answers", "result"),
    [
        ([], NOBODY),
        ([], f"User responded: {NOBODY}"),
        ([{"answer": NOBODY, "wasFreeform": True}], f"User responded: {NOBODY}"),
        ([], "No answer came within ten minutes."),
    ],
)
def test_what_the_client_answers_where_nobody_is_there_is_no_persons_answer(answers: list[dict[str, Any]], result: str) -> None:
    session = asking(*answers, result=result)
    words = result.removeprefix("User responded: ")
    assert [(actor, fact.granted, fact.response) for actor, fact in facts(session, Answered)] == [
        ("service:copilot", True, {"answer": words})
    ]
    assert facts(session, Chosen) == []


def test_an_answer_that_is_not_told_is_nobodys() -> None:
    told: list[Problem | Note] = []
    session = asking({"answer": None}, result=None, told=told)
    assert [(actor, fact.granted, fact.comment) for actor, fact in facts(session, Answered)] == [
        ("service:copilot", False, UNTOLD)
    ]
    assert [str(problem) for problem in told] == [
        "0/events.jsonl:5: answer: is missing, so nobody's answer is told; the question stays open"
    ]
    session = asking({}, result="User selected: Blue")
    assert [(actor, fact.response) for actor, fact in facts(session, Answered)] == [("human:user", {"answer": "Blue"})]


@pytest.mark.parametrize("odd", [{}, {"approved": None}, {"approved": "yes"}])
def test_a_plan_of_which_no_verdict_is_told_was_neither_approved_nor_rejected_by_a_person(odd: dict[str, Any]) -> None:
    events, told = Events(), list[Problem | Note]()
    events.start()
    events.say("Plan it.")
    events.add("exit_plan_mode.requested", requestId="r1", summary="Two steps.")
    events.add("exit_plan_mode.completed", requestId="r1", **odd)
    events.add("exit_plan_mode.completed", requestId="r2", approved=True)
    events.reply("Done.")
    events.over(0)
    (session,) = reading(events.text(), told=told)
    assert [(actor, fact.granted) for actor, fact in facts(session, Answered)] == [("service:copilot", False)]
    assert [str(problem) for problem in told if isinstance(problem, Problem)] == [
        "0/events.jsonl:4: approved: is neither true nor false, so nobody's verdict is told; the request stays open",
        "0/events.jsonl:5: requestId: nothing is open that was asked as 'r2'; not imported",
    ]


@pytest.mark.parametrize(
    ("more", "by"),
    [
        ({}, "human:user"),
        ({"source": "user"}, "human:user"),
        ({"isAutopilotContinuation": True}, "service:copilot"),
        ({"crossSession": {"origin": "authenticated-cross-session", "integrity": "untrusted", "version": 1}}, "service:copilot"),
        ({"crossSession": True, "source": "user"}, "service:copilot"),
        ({"source": "skill-pdf"}, "service:copilot"),
        ({"source": "agent-reviewer"}, "agent:copilot:reviewer"),
    ],
)
def test_only_what_a_person_typed_is_a_persons(more: dict[str, Any], by: str) -> None:
    events = Events()
    events.start()
    events.say("Words.", **more)
    (session,) = reading(events.text())
    assert [actor for actor, _ in facts(session, Said)] == [by]


def test_an_answer_in_several_messages_asks_for_a_tool_where_one_of_them_does() -> None:
    events = Events()
    events.start()
    events.say("Do it.")
    events.turn(0)
    events.reply("First.", ("toolu_1", "bash"), chunkIndex=0, chunkCount=2)
    events.reply("Second.", chunkIndex=1, chunkCount=2)
    events.over(0)
    (session,) = reading(events.text())
    assert facts(session, Finished) == []
    events.run("toolu_1")
    events.turn(1)
    events.reply("Done.")
    events.over(1)
    (session,) = reading(events.text())
    assert [end.status for _, end in facts(session, Finished)] == ["completed"]


@pytest.mark.parametrize(
    ("source", "by"),
    [(None, "human:user"), ("human_response", "human:user"), ("moon", "human:user"), ("host_policy", "service:policy")],
)
def test_a_verdict_is_a_persons_only_where_its_source_says_nothing_else(source: str | None, by: str) -> None:
    events = Events()
    events.start()
    events.say("Do it.")
    events.reply("", ("toolu_1", "bash"))
    events.ask("p1", "toolu_1", "denied-interactively-by-user", source)
    (session,) = reading(events.text())
    assert [(actor, fact.granted) for actor, fact in facts(session, Answered)] == [(by, False)]


@pytest.mark.parametrize(
    ("code", "message", "asked", "ended"),
    [
        ("rejected", "The user rejected this tool call.", ["human:user"], []),
        ("rejected", "The tool call was rejected by the user.", ["human:user"], []),
        ("rejected", "A rule of user settings forbids it.", [], [("service:copilot", "denied")]),
        ("rejected", "Rejected by user-agent filter", [], [("service:copilot", "denied")]),
        ("denied", "Denied by preToolUse hook: no", [], [("service:hook", "denied_by_hook")]),
        ("denied", "Permission denied and could not request permission from user", [], [("service:copilot", "denied")]),
        ("timeout", "timed out", [], [("service:copilot", "timeout")]),
    ],
)
def test_a_refusal_in_a_result_alone_names_a_person_only_where_it_says_so(
    code: str, message: str, asked: list[str], ended: list[tuple[str, str]]
) -> None:
    events = Events()
    events.start()
    events.say("Do it.")
    events.reply("", ("toolu_1", "bash"))
    events.done("toolu_1", None, code=code, message=message)
    (session,) = reading(events.text())
    assert [actor for actor, _ in facts(session, Answered)] == asked
    assert [(actor, end.code) for actor, end in facts(session, CallEnded)] == ended
    assert counts_of(session).tool_errors == 1


@pytest.mark.parametrize(
    ("reason", "by"),
    [
        ("user_initiated", "human:user"),
        ("user initiated", "human:user"),
        ("user_abort", "service:copilot"),
        ("remote_command", "service:copilot"),
        ("autopilot_credit_limit", "service:copilot"),
    ],
)
def test_a_turn_was_stopped_by_the_person_only_where_it_was_they(reason: str, by: str) -> None:
    events = Events()
    events.start()
    events.say("Do it.")
    events.turn(0)
    events.add("abort", reason=reason)
    (session,) = reading(events.text())
    assert [(actor, end.status, end.message) for actor, end in facts(session, Finished)] == [(by, "cancelled", reason)]


def test_words_typed_while_the_agent_works_stay_in_its_turn() -> None:
    events = Events()
    events.start()
    events.say("Do it.")
    events.reply("", ("toolu_1", "bash"))
    events.say("But not there.", delivery="steering")
    events.run("toolu_1")
    (session,) = reading(events.text())
    assert len(session.turns) == 1
    assert [fact.role for _, fact in facts(session, Said)] == ["user", "assistant", "user", "tool"]
    assert facts(session, Finished) == []


def test_one_tool_id_in_two_turns_is_two_calls() -> None:
    events = Events()
    events.start()
    for _ in range(2):
        events.say("Again.")
        events.reply("", ("bash_0", "bash"))
        events.run("bash_0")
        events.reply("Done.")
        events.over(0)
    (session,) = reading(events.text())
    assert (counts_of(session).runs, counts_of(session).tool_calls, counts_of(session).tool_errors) == (2, 2, 0)


def test_a_compaction_says_what_it_cut_and_by_what() -> None:
    events = Events()
    events.start()
    events.say("Do it.")
    events.add(
        "session.compaction_complete",
        success=True,
        preCompactionTokens=9000,
        postCompactionTokens=700,
        summaryContent="So far: nothing.",
        trigger="manual",
    )
    events.add("session.compaction_complete", success=False, error="no")
    (session,) = reading(events.text())
    ((_, fact),) = facts(session, Compacted)
    assert (fact.trigger, fact.tokens_before, fact.tokens_after) == ("manual", 9000, 700)
    assert fact.summary_message_id in next(iter(session.turns.values())).steps


def test_odd_values_are_problems_with_their_line_and_unknown_kinds_one_note() -> None:
    events = Events()
    events.start()
    events.say("Do it.")
    events.add("session.frobbed")
    events.add("session.frobbed")
    events.shut(gpt_5=(10, 5, 0))
    events.records[-1]["data"]["modelMetrics"]["gpt-5"]["usage"]["outputTokens"] = "n/a"
    events.records[1]["timestamp"] = "2026-04-01T09:00:00"
    told: list[Problem | Note] = []
    (session,) = reading(events.text() + "not json\n", told=told)
    problems = [(problem.line, problem.reason) for problem in told if isinstance(problem, Problem)]
    assert [line for line, _ in problems] == [2, 5, 6]
    assert "no time zone" in problems[0][1]
    assert "modelMetrics.gpt-5.usage.outputTokens: 'n/a': " in problems[1][1]
    assert [(note.line, note.count) for note in told if isinstance(note, Note)] == [(3, 2)]
    assert counts_of(session).input_tokens == 10


OTHER: dict[type, tuple[Any, str]] = {
    str: (7, "is 7, not a text; left out"),
    dict: ("words", "is 'words', not an object; left out"),
    list: ({"a": 1}, "is an object, not an array; left out"),
}


@pytest.mark.parametrize(
    ("event", "path", "kind"),
    [
        *((event, (name,), kind) for event, kinds in OF_EVENTS.items() for name, kind in kinds.items()),
        *(
            (event, (holder, name), kind)
            for event, inside in INSIDE.items()
            for holder, kinds in inside.items()
            for name, kind in kinds.items()
        ),
    ],
    ids=str,
)
def test_a_value_of_another_kind_is_told_of_and_read_as_absent(event: str, path: tuple[str, ...], kind: type) -> None:
    def read(value: Any) -> tuple[list[str], list[Session]]:
        events, told = Events(), list[Problem | Note]()
        events.start()
        events.say("Do it.")
        data = value if len(path) == 1 else {path[1]: value}
        events.add(event, **{path[0]: data})
        sessions = reading(events.text(), told=told)
        return [each.reason for each in told if isinstance(each, Problem)], sessions

    other, words = OTHER[kind]
    said, sessions = read(other)
    assert f"{'.'.join(path)}: {words}" in said
    absent, without = read(None)
    assert steps(sessions).keys() == steps(without).keys()
    assert not [reason for reason in absent if "left out" in reason]


def test_what_a_request_for_a_tool_and_a_record_itself_have_of_another_kind_is_told_of() -> None:
    events, told = Events(with_ids=False), list[Problem | Note]()
    events.start()
    events.add("assistant.message", content="", toolRequests=[{"toolCallId": 7, "name": "bash"}, {"name": ["bash"]}])
    events.records[-1] |= {"id": 12, "agentId": {}}
    reading(events.text(), told=told)
    assert [each.reason for each in told if isinstance(each, Problem)] == [
        "id: is 12, not a text; left out",
        "agentId: is an object, not a text; left out",
        "toolRequests.0.toolCallId: is 7, not a text; left out",
        "toolRequests.1.name: is an array, not a text; left out",
    ]
