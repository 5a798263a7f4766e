"""What agents and their clients may take of a server: so many runs at once, and so much time to read what there is."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from ag_ui.core import RunAgentInput
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runfold import Ledger
from runfold.access.limits import Limits, Pools
from runfold.feed.shared import Feed
from runfold.http.agents import following
from runfold.http.agents.paging import MOST_BYTES
from runfold.http.app import create_app
from runfold.http.streams import sse
from tests.http.agents.conftest import AGENTS
from tests.http.agents.talking import Event, asked, kinds, run, user
from tests.serving import Anybody, serving
from tests.waiting import until

START, END = {"type": "RUN_STARTED"}, {"type": "RUN_FINISHED"}
STREAM = {"accept": "text/event-stream"}


def held(number: int, gate: Path) -> Event:
    script: list[Any] = [START, {"gate": str(gate)}, END]
    return asked(f"r{number}", user(f"u{number}", "go"), thread_id=f"t{number}", forwardedProps={"script": script})


@pytest.mark.row("RV-71")
def test_no_more_runs_are_at_work_at_once_than_the_limit_and_the_next_begins_once_there_is_room(
    ledger: Ledger, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    app = create_app(ledger, Anybody(), Limits(agent_runs=3, heartbeat_seconds=0.1), agents=AGENTS)

    def ask(number: int) -> int:
        with httpx2.stream("POST", f"{address}/agents/scripted", json=held(number, gate), headers=STREAM, timeout=60) as answer:
            if answer.status_code != 200:
                told = json.loads(answer.read())
                assert (told["type"], int(answer.headers["retry-after"])) == ("urn:runfold:error:TooBusy", 1)
            return answer.status_code

    with serving(app) as address:
        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(ask, range(8))) == [200] * 3 + [503] * 5
        begun = ledger.events(types=["run.created"])
        assert len(begun) == 3, "what there is no room for is not recorded"
        before = ledger.position()
        assert (ask(9), ledger.position()) == (503, before)
        for each in begun:
            number = int(each.event.metadata["ag_ui"]["runId"][1:])  # type: ignore[attr-defined]  # it is of a run
            assert ask(number) == 200, "who joins needs no room"
        gate.touch()
        until(lambda: ask(9) == 200)


async def loud(asked: RunAgentInput) -> AsyncIterator[Event]:
    """Says more than lies between a server and a client that reads nothing."""
    about = {"threadId": asked.thread_id, "runId": asked.run_id}
    yield {**START, **about}
    for number in range(12):
        yield {"type": "TEXT_MESSAGE_START", "messageId": f"m{number}", "role": "assistant"}
        yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": f"m{number}", "delta": "x" * 1_000_000}
        yield {"type": "TEXT_MESSAGE_END", "messageId": f"m{number}"}
    yield {**END, **about}


@pytest.mark.row("RV-72")
def test_a_client_that_takes_nothing_is_dropped_and_its_run_goes_on(ledger: Ledger) -> None:
    asking = asked("r1", user("u1", "go"))
    body = json.dumps(asking).encode()
    app = create_app(ledger, Anybody(), Limits(stuck_seconds=0.5), agents={"loud": loud})
    with serving(app) as address, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60)
        client.connect(("127.0.0.1", urlsplit(address).port))
        heads = ("POST /agents/loud HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", "Accept: text/event-stream")
        client.sendall("\r\n".join([*heads, "", ""]).encode() + body)
        until(lambda: ledger.events(types=["run.completed"]))
        until(lambda: not len(app.state.connections), otherwise=lambda: "the client is still connected")
        given = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(1 << 20):
                given += piece
        assert b"RUN_FINISHED" not in given
        with httpx2.Client(base_url=address, timeout=60) as other:
            assert run(other, "/agents/loud", asking)[-1]["type"] == "RUN_FINISHED"


@pytest.mark.row("RV-72")
def test_a_client_that_reads_slowly_has_a_mebibyte_on_its_way_and_the_rest_waits_in_the_log(ledger: Ledger) -> None:
    """Wherever the events come from: the log, what the process keeps of its newest, and what is known at the beginning."""
    asking, sizes = asked("r1", user("u1", "go")), list[int]()
    app = create_app(ledger, Anybody(), agents={"loud": loud})
    app.add_middleware(_Measured, sizes=sizes)
    with serving(app) as address, httpx2.Client(base_url=address, timeout=60) as client:
        assert run(client, "/agents/loud", asking)[-1]["type"] == "RUN_FINISHED"
        newest = max(sizes)
        assert run(client, "/agents/loud", asking)[-1]["type"] == "RUN_FINISHED", "and joined, with all of it as messages"
    assert 1_000_000 < newest < following.MOST_BYTES + 1_100_000, "a mebibyte, and the event with which it is that"
    assert max(sizes) < MOST_BYTES + following.MOST_BYTES, "one frame, which no client takes larger"
    thread = ledger.events(types=["run.created"])[0].thread_id

    async def given(is_kept: bool) -> list[list[int]]:
        feed, reader = Feed(sse), ledger.now.reader.tolerant()
        events, pieces = following.ThreadEvents(feed, Pools(), reader, thread, 0), list[list[int]]()
        head = ledger.head()
        events.join(ledger.tail, head._replace(position=0) if is_kept else head)
        try:
            while events.position < head.position:
                if feed.position < head.position:
                    await events.next(1)
                else:
                    pieces.append([each.payload_bytes for each in await events.next(1)])
        finally:
            events.leave()
        return pieces

    for pieces in (asyncio.run(given(is_kept=False)), asyncio.run(given(is_kept=True))):
        assert sum(map(len, pieces)) > 24
        assert all(sum(piece[:-1]) < following.MOST_BYTES for piece in pieces), pieces


class _Measured:
    """Notes the size of every piece of an answer."""

    def __init__(self, app: ASGIApp, sizes: list[int]) -> None:
        self._app, self._sizes = app, sizes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            self._sizes.append(len(message.get("body", b"")))
            await send(message)

        await self._app(scope, receive, sent)


def test_questions_of_one_moment_are_asked_together_wherever_a_page_of_events_ends(
    agents: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupts = [{"id": name, "reason": "confirmation", "message": name} for name in ("a", "b", "c")]
    script = [START, {**END, "outcome": {"type": "interrupt", "interrupts": interrupts}}]
    for size in (1, 2, 3):
        monkeypatch.setattr(following, "MOST_EVENTS", size)
        events = run(agents, "/agents/scripted", asked("r1", thread_id=f"t{size}", forwardedProps={"script": script}))
        assert kinds(events).count("RUN_FINISHED") == kinds(events).count("RUN_STARTED") == 1
        assert len(events[-1]["outcome"]["interrupts"]) == 3
