"""Conversations of AG-UI, made up, written as a client and a server leave them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Events = list[dict[str, Any]]

STARTED = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "outcome": {"type": "success"}}


def text(message_id: str, *deltas: str) -> Events:
    """A streamed message."""
    contents = [{"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": delta} for delta in deltas]
    start = {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"}
    return [start, *contents, {"type": "TEXT_MESSAGE_END", "messageId": message_id}]


def call(call_id: str, name: str, *deltas: str) -> Events:
    """A streamed tool call."""
    start = {"type": "TOOL_CALL_START", "toolCallId": call_id, "toolCallName": name, "parentMessageId": ""}
    contents = [{"type": "TOOL_CALL_ARGS", "toolCallId": call_id, "delta": delta} for delta in deltas]
    return [start, *contents, {"type": "TOOL_CALL_END", "toolCallId": call_id}]


def result(call_id: str, content: str) -> dict[str, Any]:
    """A tool's result."""
    return {"type": "TOOL_CALL_RESULT", "messageId": call_id, "toolCallId": call_id, "content": content}


def interrupted(interrupt_id: str, **more: Any) -> dict[str, Any]:
    """The end of a run that waits."""
    interrupt = {"id": interrupt_id, "reason": "input_required", "message": "Which name?", **more}
    return {**FINISHED, "outcome": {"type": "interrupt", "interrupts": [interrupt]}}


@dataclass
class Chat:
    """The files of one conversation."""

    folder: Path
    turns: int = 0

    def turn(self, events: Events | None, *messages: dict[str, Any], **request: Any) -> None:
        """Write the files of a turn: the request, with a byte order mark, and the events, unless there are none."""
        self.turns += 1
        name = self.folder / f"Chat__Turn_{self.turns:02}"
        sent = {"threadId": "t", "runId": f"r{self.turns}", "messages": list(messages), **request}
        Path(f"{name}.Request.json").write_text(json.dumps(sent), encoding="utf-8-sig")
        if events is not None:
            Path(f"{name}.Response.json").write_text(json.dumps(events), encoding="utf-8-sig")


def user(words: str) -> dict[str, Any]:
    return {"role": "user", "content": words}
