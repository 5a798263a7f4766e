"""What stands between a client and its server, and loses what it is told to lose."""

import contextlib
import re
import socket
import threading
from collections import deque
from types import TracebackType
from typing import Self

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def answer(status: str, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    """An answer that the server never gave."""
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


ALIVE = answer("200 OK", b'{"status":"alive","version":"0.1.0","api":"1"}')
"""What a server answers when it is asked who it is."""


class Proxy:
    """Listens at `url`, and passes everything on to `target`, a server's URL; None: there is no server just now."""

    def __init__(self, target: str | None) -> None:
        self.target = target
        self.answers: deque[bytes] = deque()
        """What the next requests are answered with, instead of by the server."""
        self.losing = 0
        """How many of the next replies are lost, after the server gave them."""
        self.requests: list[bytes] = []
        self._ends: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all connections."""
        for end in list(self._ends):
            _close(end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _close(self._listener)
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._ends.add(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server: socket.socket | None = None
        lost = threading.Event()
        with contextlib.suppress(OSError):
            while request := _request(client):
                self.requests.append(request)
                target = self.target  # before the answers: who sets an answer, and then a target, has the answer given first
                if self.answers:
                    client.sendall(self.answers.popleft())
                    break
                if server is None:
                    if target is None:
                        break
                    host, port = target.removeprefix("http://").split(":")
                    server = socket.create_connection((host, int(port)))
                    self._ends.add(server)
                    threading.Thread(target=self._back, args=(server, client, lost), daemon=True).start()
                if self.losing:
                    self.losing -= 1
                    lost.set()
                server.sendall(request)
        if server is None or not lost.is_set():
            _close(client)

    def _back(self, server: socket.socket, client: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if lost.is_set():  # the server answers after it has recorded
                    break
                client.sendall(data)
        _close(client)
        _close(server)


def _request(client: socket.socket) -> bytes:
    """The next request, whole; nothing where the client has hung up."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := client.recv(65536)):
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    while length and len(body) < int(length[1]):
        if not (more := client.recv(65536)):
            return b""
        body += more
    return head + b"\r\n\r\n" + body


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
