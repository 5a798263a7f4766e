"""Conversations of AG-UI, made up: streams of events, and a client that keeps the messages that they give it."""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Event = dict[str, Any]
Message = dict[str, Any]


def started(run_id: str = "r1", thread_id: str = "t", **more: Any) -> Event:
    """A run's first event."""
    return {"type": "RUN_STARTED", "threadId": thread_id, "runId": run_id, **more}


def finished(run_id: str = "r1", thread_id: str = "t", **more: Any) -> Event:
    """A run's last event."""
    return {"type": "RUN_FINISHED", "threadId": thread_id, "runId": run_id, **more}


def said(message_id: str, *deltas: str, stem: str = "TEXT_MESSAGE", role: str = "assistant") -> list[Event]:
    """A streamed message."""
    contents = [{"type": f"{stem}_CONTENT", "messageId": message_id, "delta": delta} for delta in deltas]
    start = {"type": f"{stem}_START", "messageId": message_id, "role": role}
    return [start, *contents, {"type": f"{stem}_END", "messageId": message_id}]


def called(call_id: str, name: str = "look", arguments: str = "{}", **more: Any) -> list[Event]:
    """A streamed tool call."""
    return [
        {"type": "TOOL_CALL_START", "toolCallId": call_id, "toolCallName": name, **more},
        {"type": "TOOL_CALL_ARGS", "toolCallId": call_id, "delta": arguments},
        {"type": "TOOL_CALL_END", "toolCallId": call_id},
    ]


def answered(call_id: str, content: str, message_id: str = "") -> Event:
    """A tool's result."""
    return {"type": "TOOL_CALL_RESULT", "messageId": message_id or f"res-{call_id}", "toolCallId": call_id, "content": content}


def user(words: str, message_id: str = "") -> Message:
    """What a person says."""
    return {"role": "user", "content": words, **({"id": message_id} if message_id else {})}


def requested(run_id: str = "r1", *messages: Message, thread_id: str = "t", **more: Any) -> dict[str, Any]:
    """What a client sends."""
    return {"threadId": thread_id, "runId": run_id, "messages": list(messages), **more}


def write(path: Path, content: Any) -> Path:
    """A file of JSON, in a folder that need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@dataclass
class Client:
    """Keeps messages as AG-UI's own client does: what comes under an id that is there goes to it."""

    messages: list[Message] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Take in one event that is no chunk."""
        stem, _, phase = event["type"].rpartition("_")
        if stem in {"TEXT_MESSAGE", "REASONING_MESSAGE"}:
            role = "reasoning" if stem.startswith("REASONING") else event.get("role", "assistant")
            self._message(event["messageId"], role)["content"] += event.get("delta", "")
        elif event["type"] == "TOOL_CALL_RESULT":
            self.messages.append(
                {"id": event["messageId"], "role": "tool", "toolCallId": event["toolCallId"], "content": event["content"]}
            )
        elif stem == "TOOL_CALL":
            self._call(event, phase)

    def _message(self, message_id: str, role: str) -> Message:
        for message in self.messages:
            if message["id"] == message_id and message["role"] == role:
                return message
        self.messages.append({"id": message_id, "role": role, "content": ""})
        return self.messages[-1]

    def _call(self, event: Event, phase: str) -> None:
        call_id = event["toolCallId"]
        if phase == "START":
            message = self._message(event.get("parentMessageId") or call_id, "assistant")
            function = {"name": event["toolCallName"], "arguments": ""}
            message.setdefault("toolCalls", []).append({"id": call_id, "function": function})
        elif phase == "ARGS":
            calls = [call for message in self.messages for call in message.get("toolCalls", ()) if call["id"] == call_id]
            calls[-1]["function"]["arguments"] += event["delta"]


class Agent:
    """Makes up the events of runs: texts under new or known ids, chunks, reasoning, calls, state and steps."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self.count = 0
        self.client = Client()
        self.calls = 0

    def run(self, run_id: str) -> list[Event]:
        """Make up one run."""
        events = [started(run_id)]
        ids = list[str]()
        for _ in range(self.random.randint(1, 6)):
            events += self.random.choice([self._text, self._text, self._reasoning, self._call, self._state, self._step])(ids)
        events.append(finished(run_id, usage=[{"inputTokens": 1, "outputTokens": 2, "reasoningTokens": 3}]))
        return events

    def _new(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def _words(self) -> list[str]:
        return [self.random.choice(["yes", "no", " ", "ok", ""]) for _ in range(self.random.randint(1, 3))]

    def _told(self, events: list[Event]) -> list[Event]:
        for event in events:
            self.client.take(event)
        return events

    def _text(self, ids: list[str]) -> list[Event]:
        message_id = self.random.choice(ids) if ids and self.random.random() < 0.4 else self._new("m")
        ids.append(message_id)
        return self._chunked(self._told(said(message_id, *self._words())), "TEXT_MESSAGE")

    def _reasoning(self, _: list[str]) -> list[Event]:
        return self._chunked(self._told(said(self._new("t"), *self._words(), stem="REASONING_MESSAGE")), "REASONING_MESSAGE")

    def _chunked(self, events: list[Event], stem: str) -> list[Event]:
        if self.random.random() < 0.5:
            return events
        first, *more = (event for event in events if event["type"].endswith("_CONTENT"))
        chunks = [{**event, "type": f"{stem}_CHUNK"} for event in (first, *more)]
        for chunk in chunks[1:]:
            if self.random.random() < 0.7:
                del chunk["messageId"]
        return [*chunks, {"type": "RAW", "event": {}}]

    def _call(self, ids: list[str]) -> list[Event]:
        self.calls += 1
        call_id = f"Bash:{self.calls % 3}" if self.random.random() < 0.3 else self._new("c")
        parent = {"parentMessageId": self.random.choice(ids)} if ids and self.random.random() < 0.5 else {}
        return self._told([*called(call_id, "Bash", '{"a":1}', **parent), answered(call_id, "ok", self._new("res"))])

    def _state(self, _: list[str]) -> list[Event]:
        value = self.random.randint(0, 1)
        if self.random.random() < 0.5:
            return [{"type": "STATE_SNAPSHOT", "snapshot": {"n": value}}]
        return [{"type": "STATE_DELTA", "delta": [{"op": "add", "path": "/n", "value": value}]}]

    def _step(self, _: list[str]) -> list[Event]:
        name = self._new("step")
        return [{"type": "STEP_STARTED", "stepName": name}, {"type": "STEP_FINISHED", "stepName": name}]
