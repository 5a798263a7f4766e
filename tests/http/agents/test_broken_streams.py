"""Streams of agents that break AG-UI's rules: each violation is recorded by name, and the client is never left hanging."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from runfold import Ledger
from runfold.agui.rules import RULES
from runfold.domain.problem import ProblemReported
from runfold.http.agents import recorder
from tests.agui.streams import WRONG
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
    "first-event": [*text("m0", "lost")],
    "one-run-at-a-time": [START, START],
    "asked-run": [{**START, "threadId": "another", "runId": "another"}],
    "text-start": [START, {"type": "TEXT_MESSAGE_CONTENT", "messageId": "mx", "delta": "?"}],
    "id-once": [START, *text("m1", "a"), *text("m1", "b")],
    "text-end": [START, *text("m1", "a")[:-1]],
    "reasoning-start": [START, {"type": "REASONING_MESSAGE_END", "messageId": "mx"}],
    "call-start": [START, {"type": "TOOL_CALL_ARGS", "toolCallId": "cx", "delta": "?"}],
    "call-end": [START, *call("c1", "{")[:-1]],
    "result-of-call": [START, {"type": "TOOL_CALL_RESULT", "messageId": "r", "toolCallId": "cx", "content": "42"}],
    "state-patch": [START, {"type": "STATE_DELTA", "delta": [{"op": "remove", "path": "/nothing"}]}],
    "step-start": [START, {"type": "STEP_FINISHED", "stepName": "s"}],
    "step-once": [START, *[{"type": "STEP_STARTED", "stepName": "s"}] * 2, {"type": "STEP_FINISHED", "stepName": "s"}],
    "step-end": [START, {"type": "STEP_STARTED", "stepName": "s"}],
    "activity-known": [
        START,
        {"type": "ACTIVITY_DELTA", "messageId": "a", "activityType": "plan", "patch": [{"op": "add", "path": "/x", "value": 1}]},
    ],
    "activity-patch": [
        START,
        {"type": "ACTIVITY_SNAPSHOT", "messageId": "a", "activityType": "plan", "content": {}},
        {"type": "ACTIVITY_DELTA", "messageId": "a", "activityType": "plan", "patch": [{"op": "remove", "path": "/x"}]},
    ],
    "subagent-start": [START, {"type": "SUBAGENT_FINISHED", "subagentRunId": "sx"}],
    "after-the-end": [START, END, *text("late", "lost")],
}
FATAL: dict[str, list[Any]] = {
    "object": [START, *text("m1", "kept"), "what?"],
    "fields": [START, *text("m1", "kept"), {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m1", "delta": 7}],
    "interrupt-ids": [
        START,
        *text("m1", "kept"),
        {**END, "outcome": {"type": "interrupt", "interrupts": [{"id": "i", "reason": "confirmation"}] * 2}},
    ],
    "interrupt-expiry": [
        START,
        *text("m1", "kept"),
        {**END, "outcome": {"type": "interrupt", "interrupts": [{"id": "i", "reason": "confirmation", "expiresAt": "soon"}]}},
    ],
    "too-many": [START, *text("m1", "kept"), *[{"type": "TEXT_MESSAGE_END", "messageId": "mx"}] * 120],
    "incomplete": [START, *text("m1", "kept")],
    "agent_failed": [START, *text("m1", "kept"), {"raise": "it fell over"}],
}


def scripted(number: int, script: list[Any]) -> Event:
    return asked(f"r{number}", user(f"u{number}", "go"), thread_id=f"t{number}", forwardedProps={"script": script})


@pytest.mark.row("RV-60", "RV-61", "RV-64", "RV-65", "RV-66", "RV-67", "RV-68", "RV-70")
def test_what_can_be_left_out_is_and_its_rule_is_recorded(agents: httpx2.Client, ledger: Ledger) -> None:
    for number, (rule, script) in enumerate(LEFT_OUT.items()):
        whole = script if END in script else [*script, *([] if rule != "first-event" else [START]), *text("fine", "fine"), END]
        events = run(agents, "/agents/scripted", scripted(number, whole))
        assert (events[0]["type"], events[-1]["type"]) == ("RUN_STARTED", "RUN_FINISHED"), rule
        run_id = events[0]["metadata"]["runfold"]["stream"]
        expected = {rule} | ({"text-start"} if rule == "id-once" else set())
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


TAKEN = {
    "no-null": "null is no value",
    "outcome": "a run that ends otherwise has ended, and a sub-agent is over",
    "terminal": "such a run fails as incomplete",
    "span-start": "a message of reasoning says where its span is",
    "span-once": "a message of reasoning says where its span is",
    "span-end": "a message of reasoning says where its span is",
    "message-ids": "the second is the first, said again",
    "interrupt-call": "it is asked as a question about no call",
    "interrupt-schema": "it is asked as a question with any answer",
    "resume-all": "what answers an interrupt is for who asks for a run, and not for its agent to say",
}
"""The rules whose breaking takes nothing from what is recorded, and why."""


@pytest.mark.row("RV-61", "RV-70")
def test_what_is_left_out_or_taken_otherwise_is_named_by_the_checkers_rules(agents: httpx2.Client, ledger: Ledger) -> None:
    ended: list[tuple[str, str, str | None]] = []
    for number, (rule, _, script) in enumerate(WRONG):
        body = asked("r1", user("u1", "go"), thread_id=f"t1-{number}", forwardedProps={"script": _of_thread(script, number)})
        events = run(agents, "/agents/scripted", body)
        ended.append((rule, events[0]["metadata"]["runfold"]["stream"], events[-1].get("code")))
    named: dict[str, set[str | None]] = {}

    def all_named() -> bool:
        for rule, stream, code in ended:
            named.setdefault(rule, set()).update(rules_of(ledger, stream), {code})
        return {rule for rule, found in named.items() if rule not in found} == TAKEN.keys()

    until(all_named, otherwise=lambda: f"{named}")  # what comes after a run's end is recorded after the client was told of it
    assert set().union(*named.values()) <= {*RULES, "incomplete", "error", None}


def _of_thread(script: list[Any], number: int) -> list[Any]:
    """A script for a thread of its own."""
    return [
        {**each, "threadId": f"t1-{number}"} if isinstance(each, dict) and each.get("threadId") == "t1" else each
        for each in script
    ]


def test_every_rule_that_is_named_in_recording_stands_among_the_rules() -> None:
    named: set[str] = set()
    for source in Path(recorder.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in {
                "problem",
                "BrokenStreamError",
            }:
                named |= set(_rules(node.args[0]))
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "send" and len(node.args) == 2:
                named |= set(_rules(node.args[1]))
    assert {"text-start", "id-once", "state-patch", "too-many"} <= named <= RULES.keys(), named - RULES.keys()


def _rules(node: ast.expr) -> Iterator[str]:
    """The names that an argument may be: itself, or one for each kind of what is streamed."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        (end,) = (each.value for each in node.values if isinstance(each, ast.Constant))
        yield from (f"{kind}{end}" for kind in ("text", "reasoning", "call"))


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
