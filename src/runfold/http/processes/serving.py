"""A process of a server that answers what it is handed. It is started by that server, which tells it the rest on its input.

It ends when it is told to, and when the server is gone.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from prometheus_client import generate_latest
from starlette.applications import Starlette

from runfold import logs
from runfold.access.admission import Connections
from runfold.access.keys import Keys
from runfold.access.limits import Limits
from runfold.access.shared_limits import SharedLimits
from runfold.errors import LedgerError
from runfold.http.agents.agent import named_agents
from runfold.http.app import create_app
from runfold.http.connections import Connection
from runfold.http.processes.channel import Channel, Message
from runfold.http.processes.server_process import ANSWER_SECONDS
from runfold.http.server import LedgerServer, configured, prepare_process
from runfold.ledger import Ledger
from runfold.projections.registry import chosen
from runfold.settings import Settings

_log = structlog.get_logger("runfold.http")


class Handed:
    """The connections that this process is handed, and what it tells of itself and hears of the others."""

    def __init__(self, end: socket.socket, number: int, processes: int) -> None:
        self.number, self.processes = number, processes
        self._end = end
        self._channel: Channel | None = None
        self._came: asyncio.Queue[tuple[Message, socket.socket | None]] = asyncio.Queue()
        self._taking: asyncio.Task[None] | None = None

    def serve(self, app: Starlette) -> None:
        """Answer until told to end."""
        self._app = app
        self._connections: Connections = app.state.connections
        self._server = LedgerServer(configured(app), app, None, self._begin)
        self._server.run([])

    async def metrics(self) -> Mapping[int, str | None]:
        """Return what the other processes count, by their numbers; None for one that does not answer."""
        found = None if self._channel is None else await self._channel.ask({"do": "metrics"}, 2 * ANSWER_SECONDS)
        others = (number for number in range(self.processes) if number != self.number)
        return {number: (found or {}).get(str(number)) for number in others}

    def _begin(self) -> None:
        self._channel = Channel(self._end, lambda *came: self._came.put_nowait(came), self._end_too)
        self._taking = asyncio.create_task(self._take_all(self._channel))
        self._channel.send({"do": "serving"})

    def _end_too(self) -> None:
        self._server.should_exit = True

    async def _take_all(self, channel: Channel) -> None:
        """Do what it is told, one after the other: room is made among all that was handed over before."""
        while True:
            message, brought = await self._came.get()
            match message["do"]:
                case "serve" if brought is not None:
                    await self._serve_one(channel, message, brought)
                case "make_room":
                    found = self._connections.end_first(message["address"])
                    channel.answer(message, found.number if isinstance(found, Connection) else None)
                case "first_rests":
                    channel.answer(message, self._connections.first_rests(message["address"]))
                case "metrics":
                    channel.answer(message, generate_latest(self._app.state.metrics.registry).decode())

    async def _serve_one(self, channel: Channel, message: Message, brought: socket.socket) -> None:
        number: int = message["number"]

        def lost() -> None:
            channel.send({"do": "lost", "number": number})

        def connection() -> Connection:
            made = Connection(self._server.config, self._server.server_state, self._server.lifespan.state)
            made.number, made.when_lost, made.is_admitted = number, lost, message["is_admitted"]
            return made

        brought.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(connection, brought)
        except OSError:  # the client has gone
            brought.close()
            lost()


def main() -> None:
    """Serve what is handed over."""
    told: dict[str, Any] = orjson.loads(sys.stdin.read())
    settings = Settings()
    logs.configure(settings.log_level)
    structlog.contextvars.bind_contextvars(process=told["number"] + 1)
    own = chosen(told["projections"]) if told["projections"] else {}
    shared = SharedLimits(told["shared"], told["number"], told["processes"])
    handed = Handed(socket.socket(fileno=told["channel"]), told["number"], told["processes"])
    try:
        with contextlib.closing(Ledger.open(settings=settings)) as ledger:
            app = create_app(
                ledger,
                Keys(ledger, bucket=shared.bucket),
                Limits.of(settings),
                projections=own.values(),
                agents=named_agents(told["agents"]),
                tally=shared.tally(),
                beside=handed,
            )
            prepare_process()
            handed.serve(app)
    except LedgerError as error:
        _log.error("a server process cannot serve", error=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
