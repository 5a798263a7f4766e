"""Many clients of the service's event streams in one process, on bare sockets: each keeps every position it is given."""

import asyncio
import re
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ClassVar

from faults.clients import Work

SILENT_SECONDS = 10.0

_POSITION = struct.Struct("<q")
_EVENTS = re.compile(rb"^id: (\d+)@[0-9a-f]+\nevent: [a-z_]+\.", re.MULTILINE)
_IDS = re.compile(rb"^id: ((\d+)@[0-9a-f]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Subscribers(Work):
    """Their task. They end when all have been given everything up to the goal, once there is one."""

    port: int = 0
    number: int = 10
    first: int = 0
    after: int = 0
    paths: tuple[str, ...] = ()
    """Subscriber n asks for path n, and begins again after the last."""
    stays: int = 2000
    """About how many events until one hangs up and connects again."""

    until_goal: ClassVar[bool] = True

    def delivered(self, number: int) -> Path:
        """The file of positions of one of them."""
        return Path(self.folder) / f"{self.name}.{number}.positions"

    @property
    def connects(self) -> Path:
        """The file with the number of connections that they made."""
        return Path(self.folder) / f"{self.name}.connects"


class Subscriber:
    """One client, and what it was given."""

    def __init__(self, work: Subscribers, number: int) -> None:
        self.position = work.after
        self.cursor = str(work.after)
        self.connects = 0
        self._work = work
        self._path = work.paths[number % len(work.paths)]
        self._given: list[int] = []
        self._file = work.delivered(number)
        self._rng = Random(f"{work.seed}:{number}")

    async def follow(self) -> None:
        """Connect, read, hang up or lose the server, connect again, until the goal is reached."""
        while not self._is_done():
            with suppress(OSError, EOFError, TimeoutError, ValueError):
                await self._read(self._rng.randint(1, 2 * self._work.stays))
            await asyncio.sleep(self._rng.random() * 0.2)
        self._file.write_bytes(b"".join(map(_POSITION.pack, self._given)))

    def _is_done(self) -> bool:
        return self.position >= GOAL.get(self._work.folder, 2**62)

    async def _read(self, most: int) -> None:
        self.connects += 1
        reader, writer = await asyncio.open_connection("127.0.0.1", self._work.port)
        try:
            asked = (
                f"GET {self._path} HTTP/1.1\r\nHost: here\r\nAccept: text/event-stream\r\nLast-Event-ID: {self.cursor}\r\n\r\n"
            )
            writer.write(asked.encode())
            async for blocks in _blocks(reader):
                found = [int(position) for position in _EVENTS.findall(blocks)]
                self._given += found
                cursor, position = _IDS.findall(blocks)[-1]
                self.cursor, self.position = cursor.decode(), int(position)
                most -= len(found)
                if most < 0 or self._is_done():
                    return
        finally:
            writer.transport.abort()


async def _blocks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """What came, up to the last whole block. Raises OSError, EOFError where the server is gone."""
    async with asyncio.timeout(SILENT_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise ConnectionError(head.partition(b"\r\n")[0].decode())
    rest = b""
    while True:
        async with asyncio.timeout(SILENT_SECONDS):
            size = int(await reader.readuntil(b"\r\n"), 16)
            rest += (await reader.readexactly(size + 2))[:-2]
        whole, end, rest = rest.rpartition(b"\n\n")
        if end:
            yield whole + end
        if not size:
            return


GOAL: dict[str, int] = {}
"""Of a folder, once it is known."""


def subscribe(work: Subscribers) -> None:
    """The body of their process."""
    asyncio.run(_subscribe(work))


async def _subscribe(work: Subscribers) -> None:
    all_of_them = [Subscriber(work, number) for number in range(work.first, work.first + work.number)]
    looking = asyncio.ensure_future(_look_for_goal(work))
    await asyncio.gather(*(subscriber.follow() for subscriber in all_of_them))
    looking.cancel()
    work.connects.write_text(str(sum(subscriber.connects for subscriber in all_of_them)))


async def _look_for_goal(work: Subscribers) -> None:
    while not work.goal.exists():
        await asyncio.sleep(0.05)
    GOAL[work.folder] = int(work.goal.read_text())


def given(work: Subscribers, number: int) -> list[int] | None:
    """What one was given, in order; None where it did not come to the end, and so wrote nothing down."""
    path = work.delivered(number)
    return [position for (position,) in _POSITION.iter_unpack(path.read_bytes())] if path.exists() else None
