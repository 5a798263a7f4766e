"""A NATS server with JetStream, ours to kill."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import nats
from nats.aio.client import Client
from nats.js.errors import NotFoundError


def program() -> str | None:
    """Where nats-server is, if it is installed (Debian: apt-get install nats-server)."""
    return shutil.which("nats-server", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


class Kept(NamedTuple):
    """A message of a stream."""

    id: str
    subject: str
    headers: dict[str, str]
    body: bytes


class NatsServer:
    """Started, killed and started again on the same port, with what it keeps in a folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        found = program()
        assert found is not None, "nats-server is not installed"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"nats://127.0.0.1:{self.port}"
        self._log = folder / "nats.log"
        where = ["--jetstream", "--store_dir", str(folder / "jetstream"), "--addr", "127.0.0.1", "--port", str(self.port)]
        self._command = [found, *where, *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until somebody can connect."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise AssertionError(self._log.read_text()[-2000:]) from None
                time.sleep(0.01)
            else:
                return

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def count(self, stream: str, **login: str) -> int:
        """Return how many messages a stream has; 0 where there is none, or nobody to ask."""
        try:
            return asyncio.run(self._count(stream, login))
        except (OSError, TimeoutError, nats.errors.Error):
            return 0

    def messages(self, stream: str, **login: str) -> list[Kept]:
        """Return all messages of a stream, as they stand there."""
        return asyncio.run(self._messages(stream, login))

    async def _connected(self, login: dict[str, str]) -> Client:
        async def said_elsewhere(_: Exception) -> None:
            return

        return await nats.connect(
            self.url, allow_reconnect=False, max_reconnect_attempts=1, reconnect_time_wait=0, error_cb=said_elsewhere, **login
        )

    async def _count(self, stream: str, login: dict[str, str]) -> int:
        async with asyncio.timeout(5), await self._connected(login) as client:
            try:
                return int((await client.jetstream(timeout=2).stream_info(stream)).state.messages)
            except NotFoundError:
                return 0

    async def _messages(self, stream: str, login: dict[str, str]) -> list[Kept]:
        async with await self._connected(login) as client:
            context = client.jetstream()
            left = (await context.stream_info(stream)).state.messages
            reading = await context.subscribe("", stream=stream, ordered_consumer=True) if left else None
            found = list[Kept]()
            while reading is not None and len(found) < left:
                message = await reading.next_msg(timeout=30)
                headers = dict(message.headers or {})
                found.append(Kept(headers.get("Nats-Msg-Id", ""), message.subject, headers, message.data))
            return found
