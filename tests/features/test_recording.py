"""An agent's work is recorded as it happens."""

import subprocess
import sys
import textwrap

import pytest

from runfold import DuplicateWithDifferentContent, InvalidEvent, Ledger, Run, Thread

OPTIONS = [
    {"id": "howto", "description": "a how-to question", "pros": ["common"], "cons": ["vague"], "confidence": 0.8},
    {"id": "bug", "description": "a bug report", "action_type": "delegate", "action_params": {"to": "engineering"}},
]


@pytest.mark.row("RV-01", "RV-29", "CV-07", "RV-02")
def test_a_thread_has_an_agent_a_user_and_a_title_and_may_be_put_away(ledger: Ledger, thread: Thread) -> None:
    view = thread.view()
    assert (view.agent_id, view.user_id, view.title, view.state, view.last_run_at) == ("support", "u_1", "Orders", "open", None)
    thread.rename("Lost orders")
    run = thread.start_run()
    thread.archive("solved")
    view = thread.view()
    assert (view.title, view.state, view.last_run_at) == ("Lost orders", "archived", run.view().created_at)
    thread.restore()
    thread.delete("asked to")
    assert thread.view().state == "deleted"
    assert ledger.now.run(run.id).status == "running"  # a tombstone erases nothing


@pytest.mark.row("RV-03", "RV-72")
def test_a_run_is_there_from_its_first_moment_with_all_it_was_asked_for(thread: Thread) -> None:
    run = thread.create_run(
        {"ticket": 42},
        goal={"id": "support", "description": "Answer tickets"},
        request_config={"model": "gpt-4o"},
        background=True,
        callback_url="https://example.com/done",
        metadata={"channel": "mail"},
    )
    view = run.view()
    assert (view.status, view.input, view.agent_id, view.background) == ("created", {"ticket": 42}, "support", True)
    assert (view.metadata, view.thread_id, view.version) == ({"channel": "mail"}, thread.id, 1)
    assert view.goal is not None
    assert view.goal.id == "support"
    run.start(agent_version="2.1")
    run.complete({"answer": "in the post"})
    view = run.view()
    assert (view.status, view.stop_reason, view.output) == ("completed", "end_turn", {"answer": "in the post"})
    assert view.last_event_at > view.created_at


def test_a_goal_carries_its_criteria_and_constraints(ledger: Ledger, thread: Thread) -> None:
    goal = {
        "id": "support",
        "criteria": [{"id": "polite", "description": "is polite", "metric": "llm_judge", "weight": 0.5}],
        "constraints": [{"id": "cheap", "kind": "hard", "category": "cost", "check": "cost < 1"}],
    }
    run = thread.start_run(goal=goal)
    run.violate_constraint("cheap", "hard", "two euros spent", details={"spent": "2 EUR"})
    kept = run.view().goal
    assert kept is not None
    assert (kept.criteria[0].metric, kept.constraints[0].kind) == ("llm_judge", "hard")
    (violated,) = ledger.events(types=["constraint.violated"])
    assert (violated.context.goal_id, violated.context.run_id) == ("support", run.id)


@pytest.mark.row("RV-06", "CM-12")
def test_messages_of_every_role_keep_their_parts_in_order(run: Run) -> None:
    parts = [
        {"type": "text", "text": "Where is this?"},
        {"type": "file", "media_type": "image/png", "url": "https://example.com/box.png", "name": "box.png"},
        {"type": "reasoning", "text": "a box", "signature": "sig"},
        {"type": "source", "url": "https://example.com/faq", "title": "FAQ"},
        {"type": "data", "data": {"order": 7}, "name": "order"},
    ]
    run.add_message("user", parts)
    for role in ("developer", "system", "assistant", "tool", "reasoning"):
        run.add_message(role, role)
    run.add_message("activity", [{"type": "data", "data": {"progress": 0.5}}], activity_type="progress")
    run.add_message("assistant", "I looked it up.", author="human:ada")  # a person may answer as the agent
    messages = run.messages()
    assert [part.model_dump(exclude_none=True) for part in messages[0].content] == parts
    assert [message.role for message in messages] == [
        "user",
        "developer",
        "system",
        "assistant",
        "tool",
        "reasoning",
        "activity",
        "assistant",
    ]
    assert messages[-1].author == "human:ada"


@pytest.mark.row("LT-54", "LT-71")
def test_everything_has_one_place_in_the_ledger_and_one_in_its_run(ledger: Ledger, run: Run) -> None:
    for number in range(5):
        run.add_message("user", str(number))
    recorded = ledger.events(run_id=run.id)
    assert [found.version for found in recorded] == [1, 2, 3, 4, 5, 6, 7]
    assert [found.position for found in recorded] == [2, 3, 4, 5, 6, 7, 8]


@pytest.mark.row("LT-55", "RV-05")
def test_a_message_is_revised_and_never_overwritten(ledger: Ledger, run: Run) -> None:
    message = run.add_message("assistant", "It is loost.")
    message.revise("It is lost.", reason="typo")
    assert [shown.text for shown in run.messages()] == ["It is lost."]
    assert [shown.text for shown in run.messages(at_version=3)] == ["It is loost."]
    assert [found.type for found in ledger.events(types=["message.*"])] == ["message.added", "message.revised"]


@pytest.mark.row("RV-71", "CM-04", "LT-105")
def test_a_message_that_streams_keeps_what_came_before_the_client_left(run: Run) -> None:
    message = run.add_message("assistant", streaming=True)
    message.append_text("Your order ", offset=0)
    message.append_text("is on", offset=11)
    message.append_text("is on", offset=11)  # sent again by a retry
    run.cancel("the client went away", stop_reason="client_disconnected")
    (shown,) = run.messages()
    assert (shown.text, shown.streaming) == ("Your order is on", True)
    assert (run.view().status, run.view().stop_reason) == ("cancelled", "client_disconnected")


@pytest.mark.row("RV-07", "RV-55")
def test_a_tool_call_is_kept_to_the_letter_and_may_be_answered_by_a_later_run(ledger: Ledger, thread: Thread, run: Run) -> None:
    text = '{"order":  7.0}'
    call = run.call_tool("track", text, provider_call_id="call_0")
    again = run.call_tool("track", text, provider_call_id="call_0")  # providers use their ids again
    assert call != again
    assert call.start(execution_key="exec_1") == "exec_1"
    call.succeed({"where": "Kassel"})
    again.fail("timeout", code="timeout", retriable=True)
    first, second = ledger.now.tool_calls(run_id=run.id).items
    assert (first.arguments_text, first.arguments, first.status, first.result) == (
        text,
        {"order": 7.0},
        "succeeded",
        {"where": "Kassel"},
    )
    assert second.error is not None
    assert (second.status, second.error.code) == ("failed", "timeout")
    open_call = run.call_tool("track")
    later = thread.start_run()
    later.tool_call(open_call.id).succeed({"where": "Köln"})


@pytest.mark.row("HV-05", "HV-06", "HV-07", "HV-08", "HV-09", "HV-10")
def test_a_decision_is_recorded_with_its_options_outcome_and_judgement(ledger: Ledger, run: Run) -> None:
    run.enter_node("classify")
    decision = run.decide(
        "classify the ticket",
        options=OPTIONS,
        chosen="howto",
        reasoning="it asks how",
        decision_type="path_choice",
        constraints=["polite"],
        context={"words": 12},
    )
    decision.outcome(success=True, result="howto", summary="matched the how-to pattern", tokens_used=80, latency_ms=900)
    run.complete()
    decision.evaluate(better_option_id="bug", why_better="it was one", outcome_quality=0.4, goal_aligned=False)
    problem = run.report_problem("warning", "misrouted", decision_id=decision.id, suggested_fix="ask once more")
    problem.resolve("rerouted by hand")
    events = [found.event for found in ledger.events(types=["decision.*", "problem.*"])]
    made, outcome, judged, reported, resolved = (event.model_dump() for event in events)
    assert (made["node_id"], made["ordinal"], made["chosen_option_id"], made["decision_type"]) == (
        "classify",
        1,
        "howto",
        "path_choice",
    )
    assert [option["confidence"] for option in made["options"]] == [0.8, 0.5]
    assert (outcome["outcome"]["tokens_used"], outcome["outcome"]["latency_ms"]) == (80, 900)
    assert (judged["better_option_id"], judged["outcome_quality"]) == ("bug", 0.4)
    assert (reported["severity"], reported["decision_id"], resolved["resolution"]) == ("warning", decision.id, "rerouted by hand")


@pytest.mark.row("HV-13")
def test_a_second_outcome_is_a_correction_that_carries_the_first(ledger: Ledger, run: Run) -> None:
    decision = run.decide("go", options=OPTIONS, chosen="howto")
    decision.outcome(success=True, tokens_used=80)
    run.complete()
    decision.correct_outcome(success=False, tokens_used=90, reason="it came back")
    (corrected,) = ledger.events(types=["decision.outcome_corrected"])
    event = corrected.event.model_dump()
    assert (event["previous"]["tokens_used"], event["replacement"]["tokens_used"]) == (80, 90)


def test_steps_and_model_calls_have_a_start_and_an_end(ledger: Ledger, run: Run) -> None:
    step = run.start_step("draft", node_id="writer")
    call = run.start_model_call(provider="openai", request_model="gpt-4o")
    call.finish(response_model="gpt-4o-2024-08-06", finish_reasons=["stop"], ttft_ns=120_000_000)
    step.finish()
    broken = run.start_step("send")
    broken.finish(error="mailbox full")
    finished = [found.event.model_dump() for found in ledger.events(types=["step.finished"])]
    assert [event["ok"] for event in finished] == [True, False]
    with pytest.raises(DuplicateWithDifferentContent):
        step.finish(error="after all not")
    run.mark_stuck("identical_tool_calls", "search, three times")
    assert run.view().status == "stuck"


@pytest.mark.row("CV-09")
def test_usage_is_one_record_a_model_call_and_unreported_is_not_zero(ledger: Ledger, run: Run) -> None:
    run.usage(provider="openai", model="gpt-4o", input_tokens=812, output_tokens=64, model_call_id="mcall_1")
    second = run.usage(provider="anthropic", model="claude", input_tokens=10, cache_read_input_tokens=0, raw={"input": 10})
    run.report_cost("0.00273", "USD", provider="openai")
    run.complete()
    second.correct(reason="the bill says so", input_tokens=12)
    used = [found.event.model_dump() for found in ledger.events(types=["usage.recorded"])]
    assert [event["tokens"]["input_tokens"] for event in used] == [812, 10]
    assert [event["tokens"]["cache_read_input_tokens"] for event in used] == [None, 0]
    (corrected,) = (found.event.model_dump() for found in ledger.events(types=["usage.corrected"]))
    assert (corrected["corrected"]["input_tokens"], corrected["replacement"]["input_tokens"]) == (10, 12)
    (cost,) = (found.event.model_dump(mode="json") for found in ledger.events(types=["usage.cost_reported"]))
    assert (cost["amount"], cost["currency"], cost["source"]) == ("0.00273", "USD", None)
    with pytest.raises(InvalidEvent, match="exceed total_tokens"):
        run.usage(input_tokens=10, output_tokens=5, total_tokens=14)


@pytest.mark.row("RV-72")
def test_a_process_that_is_killed_loses_nothing_it_had_recorded(database, ledger: Ledger, thread: Thread) -> None:
    story = textwrap.dedent("""
        import os, sys
        from runfold import Ledger
        ledger = Ledger.open(sys.argv[1])
        run = ledger.thread(sys.argv[2]).start_run({"prompt": "hi"}, run_id="run_killed")
        run.add_message("assistant", streaming=True, message_id="msg_1").append_text("half a sen")
        os.kill(os.getpid(), 9)
    """)
    died = subprocess.run([sys.executable, "-c", story, database.url, thread.id], check=False)
    assert died.returncode == -9
    run = ledger.run("run_killed")
    assert (run.view().input, run.view().status) == ({"prompt": "hi"}, "running")
    assert [message.text for message in run.messages()] == ["half a sen"]
