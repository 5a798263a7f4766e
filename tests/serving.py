"""A real server on a real socket."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette

from runfold.api.route import Scope
from runfold.commands.caller import Caller
from runfold.domain.recorded import Recorded
from runfold.domain.values import Actor
from runfold.http.clients import Asked
from runfold.http.connections import Connection
from runfold.http.server import StreamingServer
from tests.agui.emitted import Emitted, checking


class Anybody:
    """Lets everybody in: as human:ada of the tenant default, or as the headers X-Actor and X-Tenant say."""

    async def caller(self, asking: Asked, scope: Scope) -> Caller:
        actor = Actor.parse(asking.headers.get("x-actor", "human:ada"))
        return Caller(asking.headers.get("x-tenant", "default"), actor)

    async def close(self) -> None:
        """Nothing is left to be done."""


class _Checked:
    """An application, and its state, which connections ask for."""

    def __init__(self, app: Starlette, emitted: Emitted) -> None:
        self.state = app.state
        self._app = checking(app, emitted)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


@contextlib.contextmanager
def serving(app: Starlette, port: int = 0, rest_seconds: float = 5) -> Iterator[str]:
    """The application on a free port of this machine, or on one that was free, in a thread of its own; its address.

    A connection without a request is closed after `rest_seconds`. What it sends to AG-UI's clients is checked, all of it, and
    what breaks a rule of AG-UI fails the test at the end.
    """
    listening = socket.socket()
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the loop of asyncio answers 40 ms late
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    emitted = Emitted()
    config = uvicorn.Config(
        _Checked(app, emitted),
        http=Connection,
        log_level="warning",
        lifespan="on",
        proxy_headers=False,
        timeout_keep_alive=rest_seconds,  # type: ignore[arg-type]  # it is given to call_later, which takes parts of a second
    )
    server = StreamingServer(config, app.state.feed)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    while not server.started and thread.is_alive():
        threading.Event().wait(0.005)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()
    emitted.require_right()


def without_salt(events: Iterable[Recorded]) -> list[Recorded]:
    """Events as they come over HTTP, which does not send their salt."""
    return [each._replace(salt=None) for each in events]
