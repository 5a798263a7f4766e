"""Agents that do as the client says, so that a test decides what happens and when."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from ag_ui.core import RunAgentInput

Event = dict[str, Any]


async def scripted(asked: RunAgentInput) -> AsyncIterator[Event]:
    """Yield the events in `forwardedProps.script`. A step with `gate` waits until that file is there, one with `raise` fails."""
    about = {"threadId": asked.thread_id, "runId": asked.run_id}
    for step in (asked.forwarded_props or {}).get("script") or _greeting(asked):
        if not isinstance(step, dict):
            yield step
        elif "gate" in step:
            while not Path(step["gate"]).exists():
                await asyncio.sleep(0.01)
        elif "raise" in step:
            raise RuntimeError(step["raise"])
        elif step.get("type") in {"RUN_STARTED", "RUN_FINISHED"}:
            yield {**about, **step}
        else:
            yield step


def _greeting(asked: RunAgentInput) -> list[Event]:
    """What is said where there is no script: how many messages the agent was given."""
    said = f"{len(asked.messages)} messages: {' '.join(message.id for message in asked.messages)}"
    message_id = f"{asked.run_id}-said"
    return [
        {"type": "RUN_STARTED"},
        {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": said},
        {"type": "TEXT_MESSAGE_END", "messageId": message_id},
        {"type": "RUN_FINISHED"},
    ]


async def replayed(asked: RunAgentInput) -> AsyncIterator[Event]:
    """Yield the events of the file in `forwardedProps.replay`, under the ids of this run."""
    about = {"threadId": asked.thread_id, "runId": asked.run_id}
    path = Path(asked.forwarded_props["replay"])
    for event in json.loads(gzip.decompress(path.read_bytes()).decode("utf-8-sig")):
        yield {**event, **about} if event["type"] in {"RUN_STARTED", "RUN_FINISHED"} else event
