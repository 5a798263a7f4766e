"""Long histories, for clients that take at most 10 MiB in one event: several runs are told, each of which adds its messages."""

from collections.abc import Iterator
from typing import Any

import orjson

from runfold.agui.wire import WireEvent

MOST_BYTES = 8 * 1024 * 1024
"""Of one event; the client counts characters, and some to spare."""


def fits(event: WireEvent) -> bool:
    """Return whether a client takes an event. One that does not is of messages that it has already."""
    return len(orjson.dumps(event)) <= MOST_BYTES


def paged(events: list[WireEvent]) -> list[WireEvent]:
    """Return what puts a client where a run is, with its messages in several pieces where they are too much for one."""
    started = events[0] if events else None
    large = next((event for event in events if event["type"] == "MESSAGES_SNAPSHOT" and not fits(event)), None)
    if started is None or large is None:
        return events
    first, *more = _pieces(large["messages"])
    ended = {"type": "RUN_FINISHED", "threadId": started["threadId"], "runId": started["runId"], "outcome": {"type": "success"}}
    begun = {name: value for name, value in started.items() if name != "input"}
    found = [begun, {**large, "messages": first}]
    asked = {"threadId": started["threadId"], "runId": started["runId"], "messages": []}
    for piece in more:
        found += [ended, {**begun, "input": {**asked, "messages": piece}}]
    return found + [event for event in events[1:] if event is not large]


def _pieces(messages: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    piece: list[dict[str, Any]] = []
    size = 0
    for message in messages:
        length = len(orjson.dumps(message))
        if piece and size + length > MOST_BYTES // 2:
            yield piece
            piece, size = [], 0
        piece.append(message)
        size += length
    yield piece
