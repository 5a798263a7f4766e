"""A client of agents that says what it was sent, and nothing of its own."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2

Event = dict[str, Any]


def asked(run_id: str, *messages: dict[str, Any], thread_id: str = "t1", **more: Any) -> Event:
    """What a client sends."""
    return {"threadId": thread_id, "runId": run_id, "messages": list(messages), "tools": [], "context": [], "state": {}, **more}


def user(id: str, text: str) -> dict[str, Any]:
    return {"id": id, "role": "user", "content": text}


def stream(client: httpx2.Client, path: str, body: Event) -> Iterator[Event]:
    """The events as they come."""
    with client.stream("POST", path, json=body, headers={"accept": "text/event-stream"}, timeout=60) as response:
        assert response.status_code == 200, response.read()
        for line in response.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line[6:])


def run(client: httpx2.Client, path: str, body: Event) -> list[Event]:
    """All of them."""
    return list(stream(client, path, body))


def kinds(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]
