"""Streams of AG-UI, made up for the checker: what is right, and for each rule one that breaks it."""

from typing import Any

Event = dict[str, Any]


def ev(type: str, **fields: Any) -> Event:
    """An event."""
    return {"type": type, **fields}


def started(run_id: str = "r1", thread_id: str = "t1", **more: Any) -> Event:
    return ev("RUN_STARTED", threadId=thread_id, runId=run_id, **more)


def finished(run_id: str = "r1", thread_id: str = "t1", **more: Any) -> Event:
    return ev("RUN_FINISHED", threadId=thread_id, runId=run_id, **more)


def text(phase: str, message_id: str = "m1", **more: Any) -> Event:
    return ev(f"TEXT_MESSAGE_{phase}", messageId=message_id, **more)


def call(phase: str, call_id: str = "c1", **more: Any) -> Event:
    return ev(f"TOOL_CALL_{phase}", toolCallId=call_id, **more)


def thought(phase: str, message_id: str = "h1", **more: Any) -> Event:
    return ev(f"REASONING_{phase}", messageId=message_id, **more)


def sub(phase: str, name: str = "s1", **more: Any) -> Event:
    return ev(f"SUBAGENT_{phase}", subagentRunId=name, **more)


def given(*messages: Event, **more: Any) -> Event:
    """What the client sent."""
    return {"threadId": "t1", "runId": "r1", "messages": list(messages), **more}


ERROR = ev("RUN_ERROR", message="no")
SNAPSHOT = ev("STATE_SNAPSHOT", snapshot={"a": [1]})
ACTIVITY = ev("ACTIVITY_SNAPSHOT", messageId="a1", activityType="PLAN", content={"steps": []})
STEP = ev("STEP_STARTED", stepName="plan")
ASKING = {"type": "interrupt", "interrupts": [{"id": "i1", "reason": "confirmation"}]}


def asking(*interrupts: Event) -> Event:
    return finished(outcome={"type": "interrupt", "interrupts": list(interrupts)})


def patch(*operations: Event) -> Event:
    return ev("STATE_DELTA", delta=list(operations))


RIGHT: dict[str, list[Event]] = {
    "nothing said": [started(), finished()],
    "all that can be streamed": [
        started(protocolVersion="1.0", parentRunId="r0", input=given({"id": "u1", "role": "user", "content": "hi"})),
        STEP,
        thought("START"),
        thought("MESSAGE_START", role="reasoning"),
        thought("MESSAGE_CONTENT", delta=""),
        thought("MESSAGE_END"),
        thought("END"),
        text("START", role="assistant"),
        text("START", "m2", role="user"),
        text("CONTENT", delta="a"),
        text("CONTENT", "m2", delta="b"),
        text("END", "m2"),
        text("END"),
        call("START", toolCallName="look", parentMessageId="m1"),
        call("ARGS", delta="{}"),
        call("END"),
        call("RESULT", messageId="x1", content="found"),
        SNAPSHOT,
        patch({"op": "add", "path": "/a/-", "value": 2}),
        ACTIVITY,
        ev("ACTIVITY_DELTA", messageId="a1", activityType="PLAN", patch=[{"op": "add", "path": "/steps/0", "value": "x"}]),
        ev("RAW", event=None),
        ev("CUSTOM", name="x", value=None),
        ev("REASONING_ENCRYPTED_VALUE", subtype="message", entityId="m1", encryptedValue="…"),
        ev("STEP_FINISHED", stepName="plan"),
        finished(outcome={"type": "success"}, usage=[{"inputTokens": 3}], result=None),
    ],
    "chunks": [
        started(),
        text("CHUNK", delta="a"),
        ev("TEXT_MESSAGE_CHUNK", delta="b"),
        call("CHUNK", toolCallName="look", delta="{"),
        ev("TOOL_CALL_CHUNK", delta="}"),
        call("RESULT", messageId="x1", content=[{"type": "text", "text": "y"}]),
        ev("REASONING_MESSAGE_CHUNK", messageId="h1", delta="hm"),
        finished(),
    ],
    "sub-agents": [
        started(),
        {**sub("STARTED"), "name": "looker"},
        {**sub("STARTED", "s2"), "name": "finder", "parentSubagentRunId": "s1"},
        text("START", subagentRunId="s2"),
        text("CONTENT", delta="a"),
        text("END", subagentRunId="s2"),
        ev("STEP_STARTED", stepName="plan", subagentRunId="s1"),
        STEP,
        ev("STEP_FINISHED", stepName="plan"),
        ev("STEP_FINISHED", stepName="plan", subagentRunId="s1"),
        sub("FINISHED", "s2", outcome={"type": "suspended", "interruptIds": ["i1"]}),
        sub("ERROR", message="no"),
        finished(outcome=ASKING),
        started("r2", input=given(resume=[{"interruptId": "i1", "status": "cancelled"}])),
        call("RESULT", "old", messageId="x1", content="…"),
        finished("r2", outcome={"type": "cancelled"}),
    ],
    "an error may leave things open, and may come late": [started(), text("START"), ERROR, started("r2"), finished("r2"), ERROR],
    "a type that is not known passes": [started(), ev("SOMETHING_NEW", x=None), finished()],
    "an error before the start": [ERROR],
}

WRONG: list[tuple[str, int, list[Any]]] = [
    ("object", 1, [started(), [1]]),
    ("type", 0, [{"threadId": "t1"}]),
    ("type", 1, [started(), ev("text_message_start", messageId="m1")]),
    ("type", 1, [started(), ev("TextMessageStart", messageId="m1")]),
    ("no-null", 0, [started(parentRunId=None)]),
    ("no-null", 0, [started(input=given({"id": "u", "role": "user", "content": "x", "name": None}))]),
    (
        "no-null",
        1,
        [started(), finished(outcome={"type": "interrupt", "interrupts": [{"id": "i", "reason": "x", "message": None}]})],
    ),
    ("fields", 1, [started(), text("CONTENT", delta=None) | {"messageId": 5}]),
    ("fields", 1, [started(), ev("TEXT_MESSAGE_START")]),
    ("fields", 0, [started(timestamp="now")]),
    ("fields", 1, [started(), text("START", role="tool")]),
    ("fields", 1, [started(), patch({"op": "ad", "path": "/a"})]),
    ("fields", 1, [started(), finished(outcome={"type": "interrupt", "interrupts": []})]),
    ("outcome", 1, [started(), finished(outcome={"type": "denied"})]),
    ("outcome", 2, [started(), {**sub("STARTED"), "name": "x"}, sub("FINISHED", outcome={"type": "cancelled"})]),
    ("first-event", 0, [text("START")]),
    ("one-run-at-a-time", 1, [started(), started("r2")]),
    ("after-the-end", 2, [started(), finished(), text("START")]),
    ("after-the-end", 2, [started(), finished(), finished()]),
    ("after-the-end", 3, [started(), finished(), ERROR, ERROR]),
    ("same-run", 1, [started(), finished("r2")]),
    ("same-thread", 1, [started(), finished("r1", "t2")]),
    ("same-thread", 2, [started(), finished(), started("r2", "t2")]),
    ("terminal", 1, [started()]),
    ("terminal", 0, []),
    ("text-start", 1, [started(), text("CONTENT", delta="a")]),
    ("text-start", 1, [started(), text("END")]),
    ("text-once", 2, [started(), text("START"), text("START")]),
    ("text-end", 2, [started(), text("START"), finished()]),
    ("reasoning-start", 1, [started(), thought("MESSAGE_CONTENT", delta="a")]),
    ("reasoning-once", 2, [started(), *[thought("MESSAGE_START", role="reasoning")] * 2]),
    ("reasoning-end", 2, [started(), thought("MESSAGE_START", role="reasoning"), finished()]),
    ("span-start", 1, [started(), thought("END")]),
    ("span-once", 2, [started(), thought("START"), thought("START")]),
    ("span-end", 2, [started(), thought("START"), finished()]),
    ("call-start", 1, [started(), call("ARGS", delta="{}")]),
    ("call-start", 3, [started(), call("START", toolCallName="x"), call("END"), call("END")]),
    ("call-once", 2, [started(), *[call("START", toolCallName="x")] * 2]),
    ("call-end", 2, [started(), call("START", toolCallName="x"), finished()]),
    ("result-after-call", 2, [started(), call("START", toolCallName="x"), call("RESULT", messageId="x", content="")]),
    ("result-of-call", 1, [started(input=given()), call("RESULT", messageId="x", content="")]),
    ("chunk-start", 1, [started(), ev("TEXT_MESSAGE_CHUNK", delta="a")]),
    ("chunk-start", 1, [started(), call("CHUNK", delta="{}")]),
    ("chunk-start", 3, [started(), text("CHUNK", delta="a"), SNAPSHOT, ev("TEXT_MESSAGE_CHUNK", delta="b")]),
    ("step-once", 2, [started(), STEP, STEP]),
    ("step-start", 1, [started(), ev("STEP_FINISHED", stepName="plan")]),
    (
        "step-start",
        3,
        [started(), {**sub("STARTED"), "name": "x"}, STEP, ev("STEP_FINISHED", stepName="plan", subagentRunId="s1")],
    ),
    ("step-end", 2, [started(), STEP, finished()]),
    ("subagent-once", 2, [started(), *[{**sub("STARTED"), "name": "x"}] * 2]),
    ("subagent-once", 3, [started(), {**sub("STARTED"), "name": "x"}, sub("FINISHED"), {**sub("STARTED"), "name": "x"}]),
    ("subagent-start", 1, [started(), sub("ERROR", message="no")]),
    ("subagent-parent", 1, [started(), {**sub("STARTED"), "name": "x", "parentSubagentRunId": "s9"}]),
    ("subagent-end", 2, [started(), {**sub("STARTED"), "name": "x"}, finished()]),
    ("known-owner", 1, [started(), text("START", subagentRunId="s1")]),
    (
        "same-owner",
        3,
        [started(), {**sub("STARTED"), "name": "x"}, text("START"), text("CONTENT", delta="a", subagentRunId="s1")],
    ),
    (
        "same-owner",
        4,
        [
            started(),
            {**sub("STARTED"), "name": "x"},
            text("START"),
            text("END"),
            call("START", toolCallName="x", parentMessageId="m1", subagentRunId="s1"),
        ],
    ),
    ("state-patch", 2, [started(), SNAPSHOT, patch({"op": "remove", "path": "/b"})]),
    ("state-patch", 1, [started(input=given(state={})), patch({"op": "replace", "path": "/b", "value": 1})]),
    ("activity-known", 1, [started(), ev("ACTIVITY_DELTA", messageId="a1", activityType="PLAN", patch=[])]),
    ("activity-type", 2, [started(), ACTIVITY, ev("ACTIVITY_DELTA", messageId="a1", activityType="MAP", patch=[])]),
    (
        "activity-patch",
        2,
        [
            started(),
            ACTIVITY,
            ev("ACTIVITY_DELTA", messageId="a1", activityType="PLAN", patch=[{"op": "remove", "path": "/x"}]),
        ],
    ),
    ("message-ids", 1, [started(), ev("MESSAGES_SNAPSHOT", messages=[{"id": "u", "role": "user", "content": "x"}] * 2)]),
    ("interrupt-ids", 1, [started(), asking(*[{"id": "i1", "reason": "confirmation"}] * 2)]),
    ("interrupt-call", 1, [started(), asking({"id": "i1", "reason": "tool_call"})]),
    ("interrupt-schema", 1, [started(), asking({"id": "i1", "reason": "input_required"})]),
    ("interrupt-expiry", 1, [started(), asking({"id": "i1", "reason": "confirmation", "expiresAt": "tomorrow"})]),
    (
        "resume-all",
        2,
        [
            started(),
            finished(outcome=ASKING),
            started("r2", input=given(resume=[{"interruptId": "i2", "status": "resolved"}])),
        ],
    ),
]
