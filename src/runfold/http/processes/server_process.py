"""A process that answers requests, as the process knows it that started it."""

import asyncio
import contextlib
import os
import socket
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from runfold.child import run_module
from runfold.http.processes.channel import Channel, Message

MODULE = "runfold.http.processes.serving"
ANSWER_SECONDS = 1.0
"""How long another process is waited for that is asked something."""
_EXIT_SECONDS = 10.0


class Given(NamedTuple):
    """What each process is told at its start."""

    processes: int
    shared: int
    """The file of what they share of limits."""
    projections: Sequence[str]
    agents: Sequence[str]
    """As `runfold serve --agent` was given them."""
    environment: Mapping[str, str]


class ServerProcess:
    """One of several processes of a server, one after the other under the same number."""

    def __init__(
        self, number: int, given: Given, others: Callable[[int], Awaitable[Mapping[int, Any]]], changed: Callable[[], None]
    ) -> None:
        """`others` asks the other processes for their metrics; `changed` is called when it begins to serve, and ceases."""
        self.number = number
        self.is_serving = False
        self.addresses: dict[int, str] = {}
        """The address of each connection that it has, by the number of the connection."""
        self._given, self._others, self._changed = given, others, changed
        self.handed = 0
        """Connections that it was ever handed."""
        self._of_address: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._process: subprocess.Popen[str] | None = None
        self._channel: Channel | None = None

    @property
    def pid(self) -> int | None:
        """Return the id of the process."""
        return None if self._process is None else self._process.pid

    @property
    def can_take(self) -> bool:
        """Return whether it serves, and takes what it is sent."""
        return self.is_serving and self._channel is not None and not self._channel.is_full

    def count(self, address: str | None) -> int:
        """Return how many connections of an address it has, or of all."""
        return len(self.addresses) if address is None else self._of_address[address]

    async def run(self) -> int:
        """Start it, and return its exit code once it has ended. Whatever it had then is gone.

        Raises OSError where the system has no room for a process now.
        """
        ended = asyncio.Event()
        process = self._start(ended)
        await ended.wait()
        self.is_serving = False
        self.addresses.clear()
        self._of_address.clear()
        self._changed()
        return await asyncio.to_thread(_exit_code, process)

    def _start(self, ended: asyncio.Event) -> "subprocess.Popen[str]":
        given = self._given
        with contextlib.ExitStack() as closing:
            ours, its = map(closing.enter_context, socket.socketpair())
            descriptors = its.fileno(), given.shared
            process = self._process = run_module(
                MODULE,
                {**os.environ, **given.environment},
                pass_fds=descriptors,
                start_new_session=True,  # Ctrl-C in a terminal is for who started it, which then lets it end
            )
            closing.pop_all()
        self._channel = Channel(ours, self._take, ended.set)
        own = {"projections": list(given.projections), "agents": list(given.agents)}
        told = {"number": self.number, "processes": given.processes, **own}
        assert process.stdin is not None  # noqa: S101
        with its, contextlib.suppress(BrokenPipeError), process.stdin as stdin:  # it died at once, which its channel says
            stdin.write(orjson.dumps({**told, "channel": descriptors[0], "shared": descriptors[1]}).decode())
        return process

    def hand(self, connection: socket.socket, address: str, *, is_admitted: bool) -> None:
        """Hand a connection on, to be served or, where there is no room for it, to be told so."""
        self.handed += 1
        number = self.handed
        if is_admitted:
            self.addresses[number] = address
            self._of_address[address] += 1
        assert self._channel is not None  # noqa: S101
        self._channel.send({"do": "serve", "number": number, "is_admitted": is_admitted}, connection)

    async def first_rests(self, address: str | None) -> tuple[bool, float] | None:
        """Return how long its first connection rests that can go, of an address or of any, as `Connections` says it."""
        found = await self._ask({"do": "first_rests", "address": address})
        return None if found is None else (found[0], found[1])

    async def make_room(self, address: str | None) -> bool:
        """Have it end a connection without a request, of an address or of any; whether it had one."""
        ended = await self._ask({"do": "make_room", "address": address})
        if ended is not None:
            self._lost(ended)
        return ended is not None

    async def metrics(self) -> str | None:
        """Return what it counts, as Prometheus reads it; None where it does not answer in time."""
        text: str | None = await self._ask({"do": "metrics"})
        return text

    def ask_to_end(self) -> None:
        """Let it answer what it was asked, and end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    async def _ask(self, message: Message) -> Any:
        return None if self._channel is None or not self.is_serving else await self._channel.ask(message, ANSWER_SECONDS)

    def _take(self, message: Message, _: socket.socket | None) -> None:
        match message["do"]:
            case "serving":
                self.is_serving = True
                self._changed()
            case "lost":
                self._lost(message["number"])
            case "metrics":
                task = asyncio.ensure_future(self._tell_of_others(message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _tell_of_others(self, message: Message) -> None:
        found = await self._others(self.number)
        if self._channel is not None:
            self._channel.answer(message, {str(number): text for number, text in found.items()})

    def _lost(self, number: int) -> None:
        address = self.addresses.pop(number, None)
        if address is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]


def _exit_code(process: "subprocess.Popen[str]") -> int:
    try:
        return process.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:  # it has let go of us, and does not end
        process.kill()
        return process.wait()
