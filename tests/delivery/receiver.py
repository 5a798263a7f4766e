"""Receivers of webhooks: plain servers that keep what they are sent, and answer as a test says."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

OK = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


def status(code: int, *headers: str, body: str = "") -> bytes:
    """Return an answer with a status."""
    lines = [f"HTTP/1.1 {code} Said", f"Content-Length: {len(body.encode())}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: str


Answering = Callable[[Request, socket.socket], bytes]
"""Returns what to answer; or writes to the connection by itself, and returns nothing."""


@dataclass
class Receiver:
    """Listens on a free port of this machine."""

    answer: Answering = lambda request, connection: OK
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        """Return its address."""
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def serve(self, listening: socket.socket) -> None:
        """Take one connection after the other, each in a thread of its own, until the socket is closed."""
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._take, args=(connection,), daemon=True).start()

    def _take(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(connection.close)
            connection.settimeout(30)
            if self.tls is not None:
                connection = stack.enter_context(self.tls.wrap_socket(connection, server_side=True))
            request = _read(connection)
            if request is None:
                return
            self.requests.append(request)
            connection.sendall(self.answer(request, connection))


def _read(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    return Request(first.split()[1], headers, body.decode())


@contextlib.contextmanager
def receiving(answer: Answering = lambda request, connection: OK, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        receiver = Receiver(answer, tls, port=listening.getsockname()[1])
        thread = threading.Thread(target=receiver.serve, args=(listening,), daemon=True)
        thread.start()
        yield receiver
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)
