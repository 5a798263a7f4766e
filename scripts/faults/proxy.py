"""Stands between clients and the server, and loses what it chooses: the reply to a commit, half of it, or the request.

Clients reach it by a UNIX socket in a folder of its own; the server it reaches as libpq would. It reads no protocol: an
append is known by its text, which goes over the line once for each connection. It speaks no TLS.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ClassVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from faults.clients import Work
from faults.stage import Skipped

_APPEND = b"runfold.append_events("


@dataclass(frozen=True)
class Losing(Work):
    """The proxy's task: about one append in `one_in` is hit."""

    host: str = ""
    port: int = 5432
    one_in: int = 40

    until_goal: ClassVar[bool] = True

    @property
    def socket_folder(self) -> Path:
        """Where clients connect."""
        return Path(self.folder) / "p"

    @property
    def losses(self) -> Path:
        """A line for each loss: reply, half or request."""
        return Path(self.folder) / "losses"


def address_of(url: str) -> tuple[str, int]:
    """Host (or socket folder) and port that a URL leads to. Raises Skipped where the server insists on TLS."""
    with psycopg.connect(url) as connection:
        if connection.pgconn.ssl_in_use:
            raise Skipped("the connection is encrypted, and the proxy that loses replies speaks no TLS")
        return connection.info.host, connection.info.port


def url_through(url: str, work: Losing) -> str:
    """The same database, through the proxy."""
    told = {key: value for key, value in conninfo_to_dict(url).items() if key not in {"host", "hostaddr", "port"}}
    return make_conninfo("", **told, host=str(work.socket_folder), port=5432)


def lose(work: Losing) -> None:
    """The body of the proxy's process."""
    asyncio.run(_serve(work))


async def _serve(work: Losing) -> None:
    relay = _Relay(work)
    work.socket_folder.mkdir(exist_ok=True)
    server = await asyncio.start_unix_server(relay.connected, str(work.socket_folder / ".s.PGSQL.5432"))
    async with server:
        while not work.goal.exists():
            await asyncio.sleep(0.05)
        os._exit(0)  # with connections open, as proxies end


class _Relay:
    def __init__(self, work: Losing) -> None:
        self._work, self._rng = work, Random(work.seed)

    async def connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if self._work.host.startswith("/"):
            path = f"{self._work.host}/.s.PGSQL.{self._work.port}"
            server, to_server = await asyncio.open_unix_connection(path)
        else:
            server, to_server = await asyncio.open_connection(self._work.host, self._work.port)
        appends = asyncio.Event()
        ways = [
            asyncio.create_task(self._requests(client, to_server, appends)),
            asyncio.create_task(self._replies(server, to_client, appends)),
        ]
        with contextlib.suppress(ConnectionError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for writer in (to_client, to_server):
            writer.transport.abort()
        await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter, appends: asyncio.Event) -> None:
        while data := await client.read(65536):
            if _APPEND in data:
                appends.set()
            elif appends.is_set() and self._hit(3):
                return self._note("request")
            to_server.write(data)
            await to_server.drain()
        return None

    async def _replies(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter, appends: asyncio.Event) -> None:
        while data := await server.read(65536):
            if appends.is_set() and self._hit(1):
                if self._rng.random() < 0.3:
                    to_client.write(data[: len(data) // 2])
                    await to_client.drain()
                    return self._note("half")
                return self._note("reply")
            to_client.write(data)
            await to_client.drain()
        return None

    def _hit(self, rarer: int) -> bool:
        return self._rng.random() < 1 / (self._work.one_in * rarer)

    def _note(self, what: str) -> None:
        with self._work.losses.open("a") as file:
            file.write(f"{what}\n")
