"""What no well-behaved client sends: bytes on a socket, as many as one likes and as slowly."""

import json
import socket
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """The first answer on a connection."""

    status: int
    headers: dict[str, str]
    problem: dict[str, Any]


def connect(address: str, seconds: float = 20) -> socket.socket:
    """A connection to a service."""
    where = urlsplit(address)
    assert where.hostname is not None
    assert where.port is not None
    return socket.create_connection((where.hostname, where.port), timeout=seconds)


def answer_of(connection: socket.socket) -> Answer | None:
    """The answer on a connection, read whole; None where it ends without one."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            more = connection.recv(65536)
        except ConnectionError:
            return None
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")) and (more := connection.recv(65536)):
        body += more
    return Answer(int(first.split()[1]), headers, json.loads(body) if body.startswith(b"{") else {})


def send_all(connection: socket.socket, pieces: Any) -> int:
    """Send pieces until there are no more or nobody takes them; how many bytes went out."""
    sent = 0
    try:
        for piece in pieces:
            connection.sendall(piece)
            sent += len(piece)
    except OSError:
        pass
    return sent


def is_closed(connection: socket.socket, seconds: float) -> bool:
    """Whether the other side ends a connection within some seconds."""
    until = time.monotonic() + seconds
    connection.settimeout(0.05)
    while time.monotonic() < until:
        try:
            if not connection.recv(65536):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False
