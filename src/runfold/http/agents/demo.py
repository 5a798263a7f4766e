"""An agent to try things with: it follows a script, needs no model and no network, and does the same each time.

Asked for a refund, it looks the order up, lets a sub-agent check the rules, and asks a person before it pays. Otherwise it says
what it can do.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ag_ui.core import RunAgentInput

Event = dict[str, Any]
PAUSE_SECONDS = 0.02
"""Between two words, so that a stream is seen to be one."""
_ORDER = re.compile(r"\d+")
_SCHEMA = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "reason": {"type": "string"},
        "editedArgs": {"type": "object", "properties": {"order": {"type": "string"}, "amount": {"type": "number"}}},
    },
    "required": ["approved"],
}


async def demo(asked: RunAgentInput) -> AsyncIterator[Event]:
    """Answer as the script says."""
    about: Event = {"threadId": asked.thread_id, "runId": asked.run_id}
    yield {"type": "RUN_STARTED", **about, "protocolVersion": "1.0"}
    if asked.resume:
        async for event in _resumed(asked):
            yield event
    else:
        text = _last_words(asked)
        if "refund" not in text.lower():
            async for event in _say(f"{asked.run_id}-answer", _INTRODUCTION):
                yield event
        else:
            order = found.group() if (found := _ORDER.search(text)) else "1042"
            async for event in _asked_for_refund(asked, order):
                yield event
            yield {"type": "RUN_FINISHED", **about, "outcome": {"type": "interrupt", "interrupts": [_question(asked, order)]}}
            return
    yield {"type": "RUN_FINISHED", **about, "outcome": {"type": "success"}, "usage": [_used(asked)]}


_INTRODUCTION = "I am a demo: I follow a script and use no model. Ask me for a refund of order 1042, and I will ask you first."


async def _asked_for_refund(asked: RunAgentInput, order: str) -> AsyncIterator[Event]:
    run_id = asked.run_id
    yield {"type": "REASONING_START", "messageId": f"{run_id}-thought"}
    yield {"type": "REASONING_MESSAGE_START", "messageId": f"{run_id}-thought", "role": "reasoning"}
    for word in _words("The customer wants money back. First the order, then the rules, then a person."):
        yield {"type": "REASONING_MESSAGE_CONTENT", "messageId": f"{run_id}-thought", "delta": word}
    yield {"type": "REASONING_MESSAGE_END", "messageId": f"{run_id}-thought"}
    yield {"type": "REASONING_END", "messageId": f"{run_id}-thought"}
    yield {"type": "STATE_SNAPSHOT", "snapshot": {"order": order, "status": "looking"}}
    async for event in _say(f"{run_id}-text", f"Let me look at order {order}."):
        yield event
    async for event in _call(f"{run_id}-look", "look_up_order", {"order": order}, f"{run_id}-text"):
        yield event
    found = json.dumps({"order": order, "amount": 40, "paid": True})
    yield _result(f"{run_id}-look", found)
    async for event in _sub_agent(f"{run_id}-rules", order):
        yield event
    yield {"type": "STATE_DELTA", "delta": [{"op": "replace", "path": "/status", "value": "asking"}]}
    async for event in _call(f"{run_id}-pay", "pay_refund", {"order": order, "amount": 40}, f"{run_id}-text"):
        yield event


async def _sub_agent(id: str, order: str) -> AsyncIterator[Event]:
    yield {"type": "SUBAGENT_STARTED", "subagentRunId": id, "name": "rules"}
    async for event in _say(f"{id}-text", f"Order {order} is younger than 30 days: a refund is allowed."):
        yield {**event, "subagentRunId": id}
    yield {"type": "SUBAGENT_FINISHED", "subagentRunId": id, "outcome": {"type": "success"}}


async def _resumed(asked: RunAgentInput) -> AsyncIterator[Event]:
    for answer in asked.resume or ():
        call_id = answer.interrupt_id.removesuffix("-ask")
        payload = answer.payload if isinstance(answer.payload, dict) else {}
        is_granted = answer.status == "resolved" and payload.get("approved") is True
        arguments = payload.get("editedArgs") or {"amount": 40}
        said = {"paid": arguments.get("amount", 40)} if is_granted else {"paid": 0, "reason": payload.get("reason") or "no"}
        yield _result(call_id, json.dumps(said))
        yield {"type": "STATE_DELTA", "delta": [{"op": "add", "path": "/status", "value": "paid" if is_granted else "refused"}]}
        words = f"Done: {said['paid']} is on its way." if is_granted else "Nothing was paid."
        async for event in _say(f"{asked.run_id}-{call_id}-answer", words):
            yield event


def _question(asked: RunAgentInput, order: str) -> Event:
    return {
        "id": f"{asked.run_id}-pay-ask",
        "reason": "tool_call",
        "toolCallId": f"{asked.run_id}-pay",
        "message": f"Pay 40 for order {order}?",
        "responseSchema": _SCHEMA,
    }


def _used(asked: RunAgentInput) -> Event:
    return {"provider": "runfold", "model": "script", "inputTokens": len(asked.messages), "outputTokens": 0}


def _last_words(asked: RunAgentInput) -> str:
    said = next((message.content for message in reversed(asked.messages) if message.role == "user"), "")
    return said if isinstance(said, str) else ""


async def _say(message_id: str, text: str) -> AsyncIterator[Event]:
    yield {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"}
    for word in _words(text):
        yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": word}
        await asyncio.sleep(PAUSE_SECONDS)
    yield {"type": "TEXT_MESSAGE_END", "messageId": message_id}


async def _call(call_id: str, name: str, arguments: Event, parent_id: str) -> AsyncIterator[Event]:
    yield {"type": "TOOL_CALL_START", "toolCallId": call_id, "toolCallName": name, "parentMessageId": parent_id}
    for word in _words(json.dumps(arguments)):
        yield {"type": "TOOL_CALL_ARGS", "toolCallId": call_id, "delta": word}
        await asyncio.sleep(PAUSE_SECONDS)
    yield {"type": "TOOL_CALL_END", "toolCallId": call_id}


def _result(call_id: str, content: str) -> Event:
    return {"type": "TOOL_CALL_RESULT", "messageId": f"{call_id}-result", "toolCallId": call_id, "content": content}


def _words(text: str) -> Iterator[str]:
    yield from (word for word in re.findall(r"\S+\s*", text))
