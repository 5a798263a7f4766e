"""What stands around every server of the tests: a stream that breaks a rule of AG-UI does not pass it."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from tests.agui.emitted import Emitted, Stream, Teed, checking

STARTED = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}
TEXT = [
    {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"},
    {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "hi"},
    {"type": "TEXT_MESSAGE_END", "messageId": "m"},
]


def frames(*events: dict[str, Any], end: str = "\n\n") -> bytes:
    return "".join(f"data: {json.dumps(event)}{end}" for event in events).encode()


BROKEN = {
    "terminal": frames(STARTED, *TEXT),
    "text-end": frames(STARTED, *TEXT[:2], FINISHED),
    "sse-lines": frames(STARTED, FINISHED, end="\r\n\r\n"),
    "no-null": frames({**STARTED, "parentRunId": None}, FINISHED),
    "json": b"data: {\n\n",
}


async def asked(given: bytes, path: str, verb: str = "POST") -> Emitted:
    """What is kept of an application that answers so."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": given[:20], "more_body": True})
        await send({"type": "http.response.body", "body": given[20:]})

    emitted = Emitted()
    transport = httpx2.ASGITransport(app=checking(app, emitted))
    async with httpx2.AsyncClient(transport=transport, base_url="http://runfold") as client:
        await client.request(verb, path)
    return emitted


@pytest.mark.parametrize("path", ["/agents/a", "/agents/a/connect", "/threads/t/runs"])
def test_each_stream_of_an_application_is_checked(path: str) -> None:
    asyncio.run(asked(frames(STARTED, *TEXT, FINISHED), path)).require_right()
    for rule, given in BROKEN.items():
        with pytest.raises(AssertionError, match=f": {rule}: "):
            asyncio.run(asked(given, path)).require_right()


def test_exports_are_checked_and_the_ledgers_own_events_are_not() -> None:
    with pytest.raises(AssertionError, match=": terminal: "):
        asyncio.run(asked(BROKEN["terminal"], "/runs/run_1/events?format=ag-ui", "GET")).require_right()
    assert not asyncio.run(asked(BROKEN["terminal"], "/runs/run_1/events", "GET")).streams


def test_a_clients_streams_are_checked_as_far_as_they_came() -> None:
    def came(given: bytes) -> Emitted:
        emitted = Emitted()
        answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=httpx2.ByteStream(given))
        with httpx2.Client(transport=Teed(emitted, httpx2.MockTransport(lambda _: answer)), base_url="http://runfold") as client:
            client.post("/agents/a", json={})
        return emitted

    came(frames(STARTED, FINISHED)).require_right()
    for rule, given in BROKEN.items():
        with pytest.raises(AssertionError, match=f": {rule}: "):
            came(given).require_right()


def test_a_stream_that_was_cut_off_needs_no_end_and_one_that_goes_on_is_of_the_one_before_it() -> None:
    emitted = Emitted()
    cut = Stream("/agents/a", given=bytearray(frames(STARTED) + b"id: 7\n" + frames(TEXT[0], TEXT[1])[:-9]))
    emitted.streams.append(cut)
    emitted.require_right()
    emitted.streams.append(Stream("/agents/a", "7", given=bytearray(frames(*TEXT[1:], FINISHED)), is_whole=True))
    emitted.require_right()
    emitted.streams[1].given[:] = frames(*TEXT[:1], FINISHED)
    with pytest.raises(AssertionError, match=": text-once: "):
        emitted.require_right()
    emitted.streams[1].after = "8"
    with pytest.raises(AssertionError, match="no stream of the same request"):
        emitted.require_right()
