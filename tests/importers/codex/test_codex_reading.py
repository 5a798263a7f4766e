"""What is read of rollouts of the Codex CLI, without a ledger: who said what, what was asked, what was used."""

import json
from typing import Any

import pytest

from runfold.importers.codex.kinds import OF_LINES, OF_TYPES
from runfold.importers.codex.path import key_of
from runfold.importers.tally import Note, Problem
from runfold.importers.turns.turn import UNTOLD, Answered, Asked, CallEnded, Chosen, Compacted, Finished, Said, Session, Used
from tests.importers.codex.rollouts import Rollout, reading
from tests.importers.counted import counts_of


def begun(**meta: Any) -> Rollout:
    """A rollout with a turn under way."""
    rollout = Rollout()
    rollout.meta(**meta)
    rollout.begin("turn-1", "Do it.")
    return rollout


def facts(session: Session, kind: type) -> list[tuple[str, Any]]:
    """All facts of one kind, with who is behind them."""
    return [
        (step.actor, step.fact) for turn in session.turns.values() for step in turn.steps.values() if isinstance(step.fact, kind)
    ]


def words(session: Session) -> list[tuple[str, str, str]]:
    """Every message: whose, its role, and its text."""
    return [(actor, said.role, "".join(getattr(part, "text", "") for part in said.parts)) for actor, said in facts(session, Said)]


@pytest.mark.parametrize(
    "made",
    [
        "<environment_context>\n<cwd>/work</cwd>\n</environment_context>",
        "<user_instructions>\nBe short.\n</user_instructions>",
        "# AGENTS.md instructions for /work\n\n<INSTRUCTIONS>Be short.</INSTRUCTIONS>",
        "# AGENTS.md instructions\n\n<INSTRUCTIONS>\nBe short.\n</INSTRUCTIONS>",
        "<turn_aborted>\n  The user interrupted.\n</turn_aborted>",
        "<subagent_notification>{}</subagent_notification>",
        "<some_newer_fragment>of a later version</some_newer_fragment>",
        '<in-app-browser-context source="ambient-ui-state">a tab</in-app-browser-context>',
        "<current-datetime>2026-03-01</current-datetime>\n",
    ],
)
def test_what_the_client_puts_under_the_role_of_the_user_is_its_own(made: str) -> None:
    rollout = begun()
    rollout.say("user", made)
    (session,) = reading(rollout.text())
    assert words(session)[1:] == [("service:codex", "user", made)]


@pytest.mark.parametrize(
    ("kinds", "by"),
    [
        (["agents_md.instructions", "environments.environment_context"], "service:codex"),
        (["components.of_a_later_version"], "service:codex"),
        (["user.text"], "human:user"),
        (["user.text", "environments.environment_context"], "human:user"),
        (["images.unsupported"], "human:user"),
        (["unknown"], "human:user"),
        (["agents_md.instructions", None], "human:user"),
        ([], "human:user"),
        ("agents_md.instructions", "human:user"),
    ],
)
def test_whose_a_message_is_stands_in_the_kinds_of_its_content(kinds: Any, by: str) -> None:
    rollout = begun()
    content = [{"type": "input_text", "text": "Whose is it?"}]
    rollout.item(
        "message", role="user", content=content, internal_chat_message_metadata_passthrough={"content_item_kinds": kinds}
    )
    (session,) = reading(rollout.text())
    assert words(session)[1:] == [(by, "user", "Whose is it?")]


@pytest.mark.parametrize(
    "typed",
    ["Use <b>bold</b>, please.", "<div>what is this?</div>", "environment_context", "<my-tag>a</my-tag> is what?", "<a-b>"],
)
def test_what_a_person_typed_is_theirs_whatever_it_looks_like(typed: str) -> None:
    rollout = Rollout()
    rollout.meta()
    rollout.begin("turn-1", typed)
    (session,) = reading(rollout.text())
    assert words(session) == [("human:user", "user", typed)]


def test_a_call_that_failed_as_its_completed_item_says_did_not_succeed() -> None:
    """Files of 2026 have no event of its own for that, and the output that follows does not say it."""
    rollout = begun()
    rollout.call("call_1", name="mcp__docs__search")
    error = {"type": "McpToolCall", "id": "call_1", "server": "docs", "status": "failed", "error": {"message": "no such page"}}
    rollout.event("item_completed", turn_id="turn-1", item=error)
    rollout.output("call_1", "no such page")
    rollout.event("item_completed", turn_id="turn-1", item="call_1")
    told: list[Problem | Note] = []
    (session,) = reading(rollout.text(), told=told)
    assert [(ended.outcome, ended.code, ended.message) for _, ended in facts(session, CallEnded)] == [
        ("failed", "mcp_error", "no such page")
    ]
    assert [str(problem.reason) for problem in told if isinstance(problem, Problem)] == [
        "item: is 'call_1', not an object; left out"
    ]


def test_what_an_editor_adds_to_a_prompt_is_the_editors() -> None:
    context = "# Context from my IDE setup:\n\n## Active file: a.py"
    for from_event in (True, False):
        rollout = Rollout()
        rollout.meta()
        rollout.begin("turn-1")
        whole = f"{context}\n\n## My request for Codex:\nMend it.\n"
        rollout.event("user_message", message=whole) if from_event else rollout.prompt(whole)
        (session,) = reading(rollout.text())
        assert words(session) == [("service:codex", "user", context), ("human:user", "user", "Mend it.")]


@pytest.mark.parametrize(
    ("source", "by"),
    [
        ("cli", "human:user"),
        ("vscode", "human:user"),
        ("mcp", "service:mcp-client"),
        ({"subagent": "review"}, "agent:codex"),
        ({"internal": "memory_consolidation"}, "service:codex"),
        ({"custom": "chatgpt"}, "human:user"),
    ],
)
def test_whose_prompts_they_are_depends_on_who_opened_the_session(source: Any, by: str) -> None:
    (session,) = reading(begun(source=source).text())
    assert words(session) == [(by, "user", "Do it.")]


@pytest.mark.parametrize(
    ("opened_by", "by"),
    [
        ("user", "human:user"),
        ("subagent", "agent:codex"),
        ("guardian_review", "service:codex"),
        ("memory_consolidation", "service:codex"),
        (None, "human:user"),
    ],
)
def test_whose_prompts_they_are_stands_in_what_the_session_is_for(opened_by: str | None, by: str) -> None:
    (session,) = reading(begun(thread_source=opened_by).text())
    assert words(session) == [(by, "user", "Do it.")]


def test_an_event_before_its_item_or_after_it_or_alone_is_one_message() -> None:
    rollout = begun()
    for order in ("item", "event"), ("event", "item"), ("event",), ("item",):
        for kind in order:
            text = f"Said by {' and '.join(order)}."
            rollout.say("assistant", text) if kind == "item" else rollout.event("agent_message", message=text)
    (session,) = reading(rollout.text())
    assert [text for _, role, text in words(session) if role == "assistant"] == [
        "Said by item and event.",
        "Said by event and item.",
        "Said by event.",
        "Said by item.",
    ]


@pytest.mark.parametrize("reason", ["interrupted", "replaced", "review_ended", "budget_limited"])
def test_an_aborted_turn_is_cancelled_for_the_reason_that_is_told(reason: str) -> None:
    rollout = begun()
    rollout.event("turn_aborted", turn_id="turn-1", reason=reason)
    (session,) = reading(rollout.text())
    assert facts(session, Finished) == [
        ("human:user" if reason == "interrupted" else "service:codex", Finished("cancelled", "cancelled", reason))
    ]


def test_a_turn_is_found_without_looking_through_all_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rollout, made, looked_at = begun(), key_of, [0]
    for number in range(2, 100):
        rollout.end(f"turn-{number - 1}")
        rollout.begin(f"turn-{number}", "And then?")

    def counting(turn_id: str) -> str:
        looked_at[0] += 1
        return made(turn_id)

    monkeypatch.setattr("runfold.importers.codex.path.key_of", counting)
    (session,) = reading(rollout.text())
    assert (len(session.turns), len(facts(session, Finished))) == (99, 98)
    assert looked_at[0] < 1_000


@pytest.mark.parametrize("kind", ["task_complete", "turn_aborted", "error"])
def test_the_end_of_another_turn_ends_none_and_is_noted(kind: str) -> None:
    rollout, told = begun(), list[Problem | Note]()
    rollout.event(kind, turn_id="turn-0", reason="interrupted", message="out of tokens")
    (session,) = reading(rollout.text(), told=told)
    assert facts(session, Finished) == []
    assert [str(note) for note in told] == [
        f"events of the kind {kind!r} for turns that are not told of: no end was imported (in rollout-0.jsonl:6)"
    ]


def test_an_error_ends_the_turn_with_its_code_and_a_retry_does_not() -> None:
    rollout = begun()
    rollout.event("stream_error", message="Reconnecting... 1/5")
    rollout.event("error", message="You've hit your usage limit.", codex_error_info="usage_limit_exceeded")
    rollout.event("task_complete", turn_id="turn-1", last_agent_message=None)
    (session,) = reading(rollout.text())
    ((_, end),) = facts(session, Finished)
    assert (end.status, end.code, end.message) == ("failed", "usage_limit_exceeded", "You've hit your usage limit.")


def test_tokens_are_what_was_added_and_never_the_sum() -> None:
    rollout = begun()
    rollout.tokens((100, 10), (100, 10))
    rollout.tokens((100, 10), (100, 10))
    rollout.tokens((200, 20), (300, 30))
    rollout.event("token_count", info=None, rate_limits={})
    rollout.tokens((0, 0), (300, 30))
    rollout.event("token_count", info={"total_token_usage": {"input_tokens": 350, "output_tokens": 35, "total_tokens": 385}})
    rollout.tokens((1, 1), (351, 36), reasoning=7)
    told: list[Problem | Note] = []
    (session,) = reading(rollout.text(), told=told)
    used = [fact.tokens for _, fact in facts(session, Used)]
    assert [(tokens["input_tokens"], tokens["output_tokens"]) for tokens in used] == [(100, 10), (200, 20), (50, 5), (1, 1)]
    assert used[-1]["reasoning_output_tokens"] is None
    assert [(problem.line, "exceed" in problem.reason) for problem in told if isinstance(problem, Problem)] == [(12, True)]


@pytest.mark.parametrize("odd", [12.5, "n/a", -1, True, {"a": 1}])
def test_an_odd_count_is_a_problem_and_the_rest_of_the_line_goes_in(odd: Any) -> None:
    rollout = begun()
    rollout.tokens((100, 10), (100, 10))
    rollout.lines[-1]["payload"]["info"]["last_token_usage"]["output_tokens"] = odd
    told: list[Problem | Note] = []
    (session,) = reading(rollout.text(), told=told)
    ((_, used),) = facts(session, Used)
    assert (used.tokens["input_tokens"], used.tokens["output_tokens"]) == (100, None)
    (problem,) = told
    assert isinstance(problem, Problem)
    assert (problem.line, problem.reason.partition(":")[0]) == (6, "last_token_usage.output_tokens")


def test_one_id_of_a_provider_in_two_turns_is_two_calls() -> None:
    rollout = begun()
    for number in (1, 2):
        if number == 2:
            rollout.end("turn-1")
            rollout.begin("turn-2", "Again.")
        rollout.call("shell:0", f"ls {number}")
        rollout.output("shell:0", "Exit code: 0\nOutput:\nfine")
    (session,) = reading(rollout.text())
    assert (counts_of(session).tool_calls, counts_of(session).messages) == (2, 4)


def test_a_call_that_was_asked_about_and_ran_was_granted_by_who_is_asked() -> None:
    for reviewer, by in ((None, "human:user"), ("guardian_subagent", "agent:guardian")):
        rollout = Rollout()
        rollout.meta()
        rollout.begin("turn-1", "Do it.", **({} if reviewer is None else {"approvals_reviewer": reviewer}))
        rollout.call("call_1", "rm a")
        rollout.event("exec_approval_request", call_id="call_1", turn_id="turn-1", command=["rm", "a"], reason="outside")
        rollout.event("exec_command_end", call_id="call_1", exit_code=0, aggregated_output="")
        rollout.output("call_1", "Exit code: 0\nOutput:\n")
        (session,) = reading(rollout.text())
        ((_, asked),) = facts(session, Asked)
        assert (asked.action, asked.arguments, asked.message) == ("shell", ["rm", "a"], "outside")
        assert [(actor, fact.granted) for actor, fact in facts(session, Answered)] == [(by, True)]


def test_what_a_policy_forbids_was_asked_of_nobody() -> None:
    rollout = begun()
    rollout.call("call_1", "rm -rf /")
    rollout.output("call_1", "`rm -rf /` rejected: blocked by policy")
    (session,) = reading(rollout.text())
    assert facts(session, Asked) == []
    assert [(actor, end.outcome, end.code) for actor, end in facts(session, CallEnded)] == [
        ("service:policy", "failed", "denied_by_policy")
    ]


def test_what_was_declined_where_nobody_is_asked_no_person_refused() -> None:
    rollout = Rollout()
    rollout.meta()
    rollout.begin("turn-1", "Do it.", approval_policy="never")
    rollout.call("call_1", "rm a")
    rollout.event("exec_command_end", call_id="call_1", status="declined", exit_code=-1)
    (session,) = reading(rollout.text())
    assert facts(session, Answered) == []
    assert [(actor, end.code) for actor, end in facts(session, CallEnded)] == [("service:policy", "denied_by_policy")]


def test_what_the_reviewing_agent_says_is_its_vote() -> None:
    rollout = begun()
    rollout.call("call_1", "curl evil")
    review = {"id": "g1", "target_item_id": "call_1", "turn_id": "turn-1", "action": {"type": "command", "command": "curl evil"}}
    rollout.event("guardian_assessment", status="in_progress", **review)
    rollout.event("guardian_assessment", status="denied", rationale="It leaks.", risk_level="high", **review)
    rollout.output("call_1", "This action was rejected due to unacceptable risk.\nReason: It leaks.")
    (session,) = reading(rollout.text())
    assert len(facts(session, Asked)) == 1
    assert [(actor, fact.granted, fact.comment) for actor, fact in facts(session, Answered)] == [
        ("agent:guardian", False, "It leaks.")
    ]
    assert counts_of(session).tool_errors == 1


def test_what_is_asked_and_never_answered_is_closed_with_a_turn_that_ended_well() -> None:
    rollout = begun()
    rollout.event("guardian_assessment", id="g1", status="in_progress", action={"type": "network_access"})
    rollout.answer("I go without.")
    rollout.end("turn-1")
    (session,) = reading(rollout.text())
    assert [(actor, fact.granted, fact.comment) for actor, fact in facts(session, Answered)] == [("service:codex", False, UNTOLD)]


def test_what_the_agent_asks_its_person_is_an_approval_and_a_decision_with_all_that_was_chosen() -> None:
    options = [{"label": "Red", "description": "like fire"}, {"label": "Blue"}]
    questions = [{"id": name, "question": f"Which {name}?", "options": options} for name in ("colour", "size", "shape")]
    rollout = begun()
    rollout.item("function_call", name="request_user_input", call_id="call_1", arguments=json.dumps({"questions": questions}))
    answers = {"colour": {"answers": ["Red", "Blue"]}, "size": {"answers": ["as large as it goes"]}}
    rollout.output("call_1", json.dumps({"answers": answers}))
    rollout.end("turn-1")
    (session,) = reading(rollout.text())
    assert [asked.message for _, asked in facts(session, Asked)] == ["Which colour?", "Which size?", "Which shape?"]
    assert [(actor, fact.granted, fact.response) for actor, fact in facts(session, Answered)] == [
        ("human:user", True, {"answer": "Red, Blue"}),
        ("human:user", True, {"answer": "as large as it goes"}),
        ("service:codex", False, None),
    ]
    colour, size = (fact for _, fact in facts(session, Chosen))
    assert (colour.chosen, colour.also_chosen) == ("option-1", ("option-2",))
    assert next(option["description"] for option in size.options if option["id"] == size.chosen) == "as large as it goes"


def test_an_item_inside_its_payload_is_read_as_the_item() -> None:
    rollout = begun()
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Here."}]}
    rollout.line("response_item", {"item": message, "internal_chat_message_metadata_passthrough": {"turn_id": "turn-1"}})
    (session,) = reading(rollout.text())
    assert words(session)[-1] == ("agent:codex", "assistant", "Here.")


def test_a_compaction_is_one_event_with_its_summary_as_the_clients_words() -> None:
    rollout = begun()
    rollout.line("compacted", {"message": "So far: nothing.", "replacement_history": []})
    rollout.event("context_compacted")
    rollout.line("compacted", {"message": "", "replacement_history": [{"type": "compaction", "encrypted_content": "gCCC"}]})
    (session,) = reading(rollout.text())
    first, second = (fact for _, fact in facts(session, Compacted))
    assert first.summary_message_id in next(iter(session.turns.values())).steps
    assert second.summary_message_id is None
    assert words(session)[-1] == ("service:codex", "user", "So far: nothing.")


def test_kinds_that_are_not_known_are_one_note_each() -> None:
    rollout = begun()
    for _ in range(3):
        rollout.event("frobbed")
    rollout.item("hologram", content=[])
    rollout.line("weather", {"sun": True})
    rollout.item("ghost_snapshot", ghost_commit={})
    told: list[Problem | Note] = []
    reading(rollout.text(), told=told)
    assert [(type(item), item.line, item.count) for item in told if isinstance(item, Note)] == [
        (Note, 6, 3),
        (Note, 9, 1),
        (Note, 10, 1),
    ]
    assert len(told) == 3


@pytest.mark.parametrize(
    ("base", "notes"),
    [({"parts": ["Be kind."]}, 1), (["Be kind."], 1), ({"text": "Be kind."}, 0), ("Be kind.", 0), (None, 0), ({}, 0)],
)
def test_instructions_in_a_form_that_is_not_known_are_noted(base: Any, notes: int) -> None:
    rollout, told = Rollout(), list[Problem | Note]()
    rollout.meta(base_instructions=base)
    rollout.say("user", "Hello")
    reading(rollout.text(), told=told)
    assert [type(each) for each in told] == [Note] * notes


def test_a_file_that_is_no_rollout_is_one_problem_and_stops_no_other() -> None:
    rollout, told = begun(), list[Problem | Note]()
    other = "".join(json.dumps(line) + "\n" for line in (["thread.started"], ["turn.started"]))
    assert len(reading(other, rollout.text(), told=told)) == 1
    (problem,) = told
    assert "no line is one of a Codex rollout" in str(problem)


OTHER: dict[type, tuple[Any, str]] = {
    str: (7, "is 7, not a text; left out"),
    dict: ("words", "is 'words', not an object; left out"),
    list: ({"a": 1}, "is an object, not an array; left out"),
}


@pytest.mark.parametrize(
    ("kind", "type_", "name", "read_as"),
    [
        *((kind, None, name, read_as) for kind, kinds in OF_LINES.items() for name, read_as in kinds.items()),
        *((kind, type_, name, read_as) for (kind, type_), kinds in OF_TYPES.items() for name, read_as in kinds.items()),
    ],
)
def test_a_value_of_another_kind_is_told_of_once_and_the_rest_goes_in(
    kind: str, type_: str | None, name: str, read_as: type
) -> None:
    rollout, told = begun(), list[Problem | Note]()
    other, said = OTHER[read_as]
    rollout.line(kind, {**({} if type_ is None else {"type": type_}), name: other})
    rollout.say("assistant", "Done.")
    (session,) = reading(rollout.text(), told=told)
    assert [each.reason for each in told if isinstance(each, Problem)].count(f"{name}: {said}") == 1
    assert words(session)[-1][1:] == ("assistant", "Done.")


def test_instructions_in_the_first_line_are_noted() -> None:
    for instructions, notes in (("Be short.", 1), (None, 0), ("", 0)):
        rollout, told = Rollout(), list[Problem | Note]()
        rollout.meta(instructions=instructions)
        rollout.prompt("What is here?")
        reading(rollout.text(), told=told)
        kinds = [one.kind for one in told if isinstance(one, Note)]
        assert kinds.count("instructions in the first line of a session, which are not imported") == notes
