"""Servers that answer whatever a test says, however it says it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def answering(*pieces: bytes, pause: float = 0.0) -> Iterator[str]:
    """Where each request is answered by some pieces, with a pause after each, and then hung up on."""
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            heard = b""
            while b"\r\n\r\n" not in heard:
                heard += connection.recv(65536)
            for piece in pieces:
                connection.sendall(piece)
                if pause and over.wait(pause):
                    return
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=[listening.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=[listening], daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)


def ok(body: bytes, media_type: str = "text/plain", status: str = "200 OK") -> bytes:
    """An answer of HTTP, whole."""
    return f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
