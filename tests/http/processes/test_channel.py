"""Messages between two processes: here both ends are on one event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from runfold.http.processes.channel import Channel, Message

SECONDS = 60.0


class End:
    """One end, and what came to it."""

    def __init__(self, end: socket.socket) -> None:
        self.came: asyncio.Queue[tuple[Message, socket.socket | None]] = asyncio.Queue()
        self.has_ended = asyncio.Event()
        self.channel = Channel(end, lambda *came: self.came.put_nowait(came), self.has_ended.set)

    async def next(self) -> tuple[Message, socket.socket | None]:
        return await asyncio.wait_for(self.came.get(), SECONDS)


@contextlib.asynccontextmanager
async def both() -> AsyncIterator[tuple[End, End]]:
    ends = [End(end) for end in socket.socketpair()]
    yield ends[0], ends[1]
    for end in ends:
        end.channel.close()


def test_messages_and_the_sockets_that_they_bring_come_in_order() -> None:
    async def go() -> None:
        async with both() as (one, other):
            pairs = [socket.socketpair() for _ in range(100)]
            for number, (sent, _) in enumerate(pairs):
                one.channel.send({"number": number})
                one.channel.send({"number": number, "with": True}, sent)
            for number, (sent, stays) in enumerate(pairs):
                assert await other.next() == ({"number": number}, None)
                message, brought = await other.next()
                assert (message["number"], sent.fileno()) == (number, -1)
                assert brought is not None
                with brought, stays:
                    brought.sendall(str(number).encode())
                    assert stays.recv(10) == str(number).encode()

    asyncio.run(go())


def test_who_asks_gets_the_answer_to_that_or_none_in_time_or_at_the_end() -> None:
    async def go() -> None:
        async with both() as (one, other):
            asking = [asyncio.create_task(one.channel.ask({"number": number}, SECONDS)) for number in range(3)]
            came = [(await other.next())[0] for _ in asking]
            for message in reversed(came):
                other.channel.answer(message, message["number"] * 10)
            assert [await each for each in asking] == [0, 10, 20]
            assert await one.channel.ask({"number": 3}, 0.0) is None
            other.channel.answer((await other.next())[0], "too late")
            last = asyncio.create_task(one.channel.ask({"number": 4}, SECONDS))
            await other.next()
            other.channel.close()
            assert await last is None
            await asyncio.wait_for(one.has_ended.wait(), SECONDS)

    asyncio.run(go())


def test_what_the_other_end_does_not_take_yet_is_kept_and_comes_whole() -> None:
    async def go() -> None:
        mine, its = socket.socketpair()
        one = End(mine)
        large: dict[str, Any] = {"text": "x" * 3_000_000}
        waiting, stays = socket.socketpair()
        one.channel.send(large)
        one.channel.send({"then": 1}, waiting)
        assert one.channel.is_full
        other = End(its)
        assert await other.next() == (large, None)
        message, brought = await other.next()
        assert message["then"] == 1
        assert not one.channel.is_full
        assert brought is not None
        for each in (brought, stays):
            each.close()
        one.channel.close()
        other.channel.close()

    asyncio.run(go())


def test_an_end_leaves_no_socket_open_that_was_on_its_way() -> None:
    async def go() -> None:
        before = len([*Path("/proc/self/fd").iterdir()])
        mine, its = socket.socketpair()
        one = End(mine)
        one.channel.send({"text": "x" * 3_000_000})
        waiting, stays = socket.socketpair()
        one.channel.send({"then": 1}, waiting)
        its.close()
        await asyncio.wait_for(one.has_ended.wait(), SECONDS)
        late, _stays = socket.socketpair()
        one.channel.send({"then": 2}, late)
        assert (waiting.fileno(), late.fileno()) == (-1, -1)
        stays.close()
        _stays.close()
        assert len([*Path("/proc/self/fd").iterdir()]) == before

    asyncio.run(go())
