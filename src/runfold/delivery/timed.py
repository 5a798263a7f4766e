"""Connections that end with the time for the whole of a request, however slowly its answer trickles in."""

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore2

_PIECE = 16 * 1024


class Deadline:
    """When the time for a request is over."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def left(self, timeout: float | None) -> float:
        """Return the seconds that are left of the whole time. Raises httpcore2.ReadTimeout where none are."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the time is over")
        return left if timeout is None else min(left, timeout)


class Timed(httpcore2.NetworkStream):
    """A connection whose every wait ends with the time for the whole."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for begin in range(0, len(buffer), _PIECE):  # whoever takes it slowly is not waited for piece after piece
            self._stream.write(buffer[begin : begin + _PIECE], self._deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return Timed(self._stream.start_tls(ssl_context, server_hostname, self._deadline.left(timeout)), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class TimedConnections(httpcore2.NetworkBackend):
    """Connects wherever it is asked to, within the time."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline, self._sockets = deadline, httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect, and let every wait end with the time."""
        left = self._deadline.left(timeout)
        return Timed(self._sockets.connect_tcp(host, port, left, local_address, socket_options), self._deadline)
