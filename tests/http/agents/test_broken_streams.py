"""Streams of agents that break AG-UI's rules: each violation is recorded by name, and the client is never left hanging."""

from typing import Any

import httpx2
import pytest

from runfold import Ledger
from runfold.domain.problem import ProblemReported
from tests.http.agents.talking import Event, asked, kinds, run, user
from tests.waiting import until

START, END = {"type": "RUN_STARTED"}, {"type": "RUN_FINISHED"}


def text(id: str, *deltas: str) -> list[Event]:
    said = [{"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": delta} for delta in deltas]
    return [
        {"type": "TEXT_MESSAGE_START", "messageId": id, "role": "assistant"},
        *said,
        {"type": "TEXT_MESSAGE_END", "messageId": id},
    ]


def call(id: str, *deltas: str) -> list[Event]:
    said = [{"type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": delta} for delta in deltas]
    return [
        {"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": "t"},
        *said,
        {"type": "TOOL_CALL_END", "toolCallId": id},
    ]


LEFT_OUT: dict[str, list[Event]] = {
    "run-started-first": [*text("m0", "lost")],
    "one-run-started": [START, START],
    "run-started-names-the-run": [{**START, "threadId": "another", "runId": "another"}],
    "text-is-open": [START, {"type": "TEXT_MESSAGE_CONTENT", "messageId": "mx", "delta": "?"}],
    "text-once": [START, *text("m1", "a"), *text("m1", "b")],
    "text-ends-before-run": [START, *text("m1", "a")[:-1]],
    "reasoning-is-open": [START, {"type": "REASONING_MESSAGE_END", "messageId": "mx"}],
    "call-is-open": [START, {"type": "TOOL_CALL_ARGS", "toolCallId": "cx", "delta": "?"}],
    "call-ends-before-run": [START, *call("c1", "{")[:-1]],
    "result-has-its-call": [START, {"type": "TOOL_CALL_RESULT", "messageId": "r", "toolCallId": "cx", "content": "42"}],
    "state-delta-applies": [START, {"type": "STATE_DELTA", "delta": [{"op": "remove", "path": "/nothing"}]}],
    "step-is-open": [START, {"type": "STEP_FINISHED", "stepName": "s"}],
    "step-once": [START, *[{"type": "STEP_STARTED", "stepName": "s"}] * 2, {"type": "STEP_FINISHED", "stepName": "s"}],
    "step-ends-before-run": [START, {"type": "STEP_STARTED", "stepName": "s"}],
    "activity-is-known": [
        START,
        {"type": "ACTIVITY_DELTA", "messageId": "a", "activityType": "plan", "patch": [{"op": "add", "path": "/x", "value": 1}]},
    ],
    "activity-delta-applies": [
        START,
        {"type": "ACTIVITY_SNAPSHOT", "messageId": "a", "activityType": "plan", "content": {}},
        {"type": "ACTIVITY_DELTA", "messageId": "a", "activityType": "plan", "patch": [{"op": "remove", "path": "/x"}]},
    ],
    "sub-agent-is-known": [START, {"type": "SUBAGENT_FINISHED", "subagentRunId": "sx"}],
    "nothing-after-the-end": [START, END, *text("late", "lost")],
}
FATAL: dict[str, list[Any]] = {
    "event-has-a-type": [START, *text("m1", "kept"), "what?"],
    "event-has-its-fields": [START, *text("m1", "kept"), {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m1", "delta": 7}],
    "interrupt-ids-differ": [
        START,
        *text("m1", "kept"),
        {**END, "outcome": {"type": "interrupt", "interrupts": [{"id": "i", "reason": "confirmation"}] * 2}},
    ],
    "expires-at-is-a-time": [
        START,
        *text("m1", "kept"),
        {**END, "outcome": {"type": "interrupt", "interrupts": [{"id": "i", "reason": "confirmation", "expiresAt": "soon"}]}},
    ],
    "too-many-violations": [START, *text("m1", "kept"), *[{"type": "TEXT_MESSAGE_END", "messageId": "mx"}] * 120],
    "incomplete": [START, *text("m1", "kept")],
    "agent_failed": [START, *text("m1", "kept"), {"raise": "it fell over"}],
}


def scripted(number: int, script: list[Any]) -> Event:
    return asked(f"r{number}", user(f"u{number}", "go"), thread_id=f"t{number}", forwardedProps={"script": script})


@pytest.mark.row("RV-60", "RV-61", "RV-64", "RV-65", "RV-66", "RV-67", "RV-68", "RV-70")
def test_what_can_be_left_out_is_and_its_rule_is_recorded(agents: httpx2.Client, ledger: Ledger) -> None:
    for number, (rule, script) in enumerate(LEFT_OUT.items()):
        whole = (
            script if END in script else [*script, *([] if rule != "run-started-first" else [START]), *text("fine", "fine"), END]
        )
        events = run(agents, "/agents/scripted", scripted(number, whole))
        assert (events[0]["type"], events[-1]["type"]) == ("RUN_STARTED", "RUN_FINISHED"), rule
        run_id = events[0]["metadata"]["runfold"]["stream"]
        expected = {rule} | ({"text-is-open"} if rule == "text-once" else set())
        until_recorded(ledger, run_id, expected)


def until_recorded(ledger: Ledger, run_id: str, rules: set[str]) -> None:
    """Wait until these rules are recorded as broken: what comes after a run's end is recorded after the client was told of it."""
    until(lambda: rules_of(ledger, run_id) == rules, otherwise=lambda: f"{rules_of(ledger, run_id)}, and not {rules}")


def rules_of(ledger: Ledger, run_id: str) -> set[str | None]:
    """The rules that are recorded as broken."""
    return {each.event.root_cause for each in ledger.events(run_id=run_id) if isinstance(each.event, ProblemReported)}


@pytest.mark.row("RV-62", "RV-63")
def test_what_makes_the_rest_meaningless_fails_the_run_and_keeps_what_came(agents: httpx2.Client, ledger: Ledger) -> None:
    for number, (code, script) in enumerate(FATAL.items()):
        events = run(agents, "/agents/scripted", scripted(number, script))
        assert kinds(events).count("RUN_ERROR") == 1, code
        assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", code)
        found = ledger.run(events[0]["metadata"]["runfold"]["stream"])
        view = found.view()
        assert (view.status, view.error.code if view.error else None) == ("failed", code)
        assert "kept" in [message.text for message in found.messages()]


@pytest.mark.row("RV-69")
def test_events_of_types_that_nobody_knows_pass_and_are_kept(agents: httpx2.Client) -> None:
    kept = [
        {"type": "HOLOGRAM", "beam": [1, {"x": True}]},
        {"type": "RAW", "event": {"a": 1}, "source": "s"},
        {"type": "CUSTOM", "name": "mine", "value": 7},
    ]
    events = run(agents, "/agents/scripted", scripted(1, [START, *kept, END]))
    shown = [{name: value for name, value in event.items() if name != "metadata"} for event in events[1:-1]]
    assert shown == kept
    again = run(agents, "/agents/scripted", scripted(1, [START, *kept, END]))
    assert again[-1]["type"] == "RUN_FINISHED"


@pytest.mark.row("RV-68")
def test_former_events_of_thinking_are_reasoning(agents: httpx2.Client) -> None:
    script = [
        START,
        {"type": "THINKING_START"},
        {"type": "THINKING_TEXT_MESSAGE_START"},
        {"type": "THINKING_TEXT_MESSAGE_CONTENT", "delta": "hm"},
        {"type": "THINKING_TEXT_MESSAGE_END"},
        {"type": "THINKING_END"},
        END,
    ]
    events = run(agents, "/agents/scripted", scripted(1, script))
    said = ["REASONING_START", *(f"REASONING_MESSAGE_{phase}" for phase in ("START", "CONTENT", "END")), "REASONING_END"]
    assert kinds(events) == ["RUN_STARTED", *said, "RUN_FINISHED"]


def test_chunks_are_whole_messages(agents: httpx2.Client) -> None:
    script = [
        START,
        {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m1", "role": "assistant", "delta": "a"},
        {"type": "TEXT_MESSAGE_CHUNK", "delta": "b"},
        {"type": "TOOL_CALL_CHUNK", "toolCallId": "c1", "toolCallName": "t", "parentMessageId": "m1", "delta": "{"},
        {"type": "TOOL_CALL_CHUNK", "toolCallId": "c1", "delta": "}"},
        END,
    ]
    events = run(agents, "/agents/scripted", scripted(1, script))
    said = "".join(event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT")
    args = "".join(event["delta"] for event in events if event["type"] == "TOOL_CALL_ARGS")
    assert (said, args, events[-1]["type"]) == ("ab", "{}", "RUN_FINISHED")
