"""Connections that carry event streams, and how they end: when a client reads too slowly, and when the server stops.

Serve with both, or a stop waits until each client hangs up:

    config = uvicorn.Config(app, http=Connection)
    StreamingServer(config, app.state.feed).run()
"""

import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runfold.http.feed import Feed

EXTENSION = "runfold.connection"
STOP_SECONDS = 0.5


class Connection(HttpToolsProtocol):
    """An HTTP connection that can be told to end though the client reads nothing."""

    carries_stream = False

    def on_message_begin(self) -> None:
        """A request begins; what answers it finds the connection in its scope."""
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"connection": self}}

    def on_headers_complete(self) -> None:
        """The request is known; its body, as far as it has come, is found in the scope, too."""
        super().on_headers_complete()
        self.scope["extensions"][EXTENSION]["request"] = self.cycle

    def let_pass(self) -> None:
        """Take what is sent next, however much waits already."""
        self.flow.resume_writing()

    def hang_up(self, seconds: float) -> None:
        """Close it when the client has read what waits, and after some seconds though it has not."""
        self.transport.close()
        self.loop.call_later(seconds, self.transport.abort)

    def shutdown(self) -> None:
        """The server stops. A client that reads nothing does not hold it up."""
        super().shutdown()
        if self.carries_stream:
            self.loop.call_later(STOP_SECONDS, self.transport.abort)


class StreamingServer(uvicorn.Server):
    """A server that tells its event streams to end before it waits for its answers to be finished."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self._feed = feed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: streams say goodbye first."""
        self._feed.close()
        await super().shutdown(sockets)


def connection_of(scope: Any) -> Connection | None:
    """The connection of a request; None on another server."""
    found = _known(scope).get("connection")
    return found if isinstance(found, Connection) else None


def rest_of_body(scope: Any) -> bytes | None:
    """What has come of a request's body and nobody has read, if that is all the rest; None where it was cut off."""
    found = _known(scope).get("request")
    return None if found is None or found.more_body else bytes(found.body)


def _known(scope: Any) -> dict[str, Any]:
    known: dict[str, Any] = (scope.get("extensions") or {}).get(EXTENSION, {})
    return known
