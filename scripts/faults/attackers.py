"""The attackers: each a process, until a time. They want answers as little as a flood does."""

import contextlib
import itertools
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

MIB = 2**20
SILENT, UNFINISHED, QUESTIONS = 400, 40, 60
CHUNK = b"a" * 65536


class Target(NamedTuple):
    """A server, a key, and how many clients a process of them holds."""

    address: str
    key: str
    clients_each: int

    def connect(self, seconds: float = 10) -> socket.socket:
        """A connection."""
        where = urlsplit(self.address)
        assert where.hostname is not None
        return socket.create_connection((where.hostname, where.port or 80), timeout=seconds)


Attack = Callable[[Target, str, float], None]


def _send(target: Target, pieces: Iterable[bytes], *, answered: bool = True) -> None:
    with contextlib.suppress(OSError), target.connect() as connection:
        for piece in pieces:
            connection.sendall(piece)
        while answered and connection.recv(65536):
            pass


def _put(target: Target, body: bytes) -> None:
    head = f"PUT /runs/run_bad/state HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {target.key}\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    _send(target, [head.encode(), body])


def hard_bodies(target: Target, seed: str, until: float) -> None:
    """Bodies that are hard to check, from a key that is good."""
    rng = random.Random(seed)
    keys = ",".join(f'"k{number}":1' for number in range(35_000))
    bodies = [
        f'{{"state":{{{keys},"k34999":2}}}}'.encode(),
        b'{"state":' + b"[" * 400_000 + b"}",
        b'{"state":[' + b"{}," * (4 * MIB) + b"{}]}",
        b'{"state":[' + b"1," * (100_000) + b'"\\ud800"]}',
        b'{"' + b"k" * (8 * MIB) + b'":[' + b"1," * 100_000 + b"1]}",
        b'{"state":"' + b"x" * (15 * MIB) + b'"}',
        json.dumps({f"zzz{number}": 1 for number in range(100_000)}).encode(),
    ]
    while time.time() < until:
        _put(target, rng.choice(bodies))
        time.sleep(0.05)


def large_heads(target: Target, seed: str, until: float) -> None:  # noqa: ARG001  all attacks are called alike
    """190 MB of headers, on one connection after the other."""
    while time.time() < until:
        _send(target, [b"GET /runs HTTP/1.1\r\nHost: x\r\n", *itertools.repeat(b"x-a: " + CHUNK, 3000)])
        _send(target, [b"GET /runs HTTP/1.1\r\nHost: x\r\nx-a: ", *itertools.repeat(CHUNK, 3000)])
        time.sleep(0.05)


def long_urls(target: Target, seed: str, until: float) -> None:  # noqa: ARG001  all attacks are called alike
    """URLs of 25 MB."""
    while time.time() < until:
        _send(target, [b"GET /runs?a=", *itertools.repeat(CHUNK, 400), b" HTTP/1.1\r\nHost: x\r\n\r\n"])
        time.sleep(0.05)


def silent_connections(target: Target, seed: str, until: float) -> None:
    """Connections that say nothing, or half a head: more than the server may have open files."""
    rng = random.Random(seed)
    kept: list[socket.socket] = []
    while time.time() < until:
        with contextlib.suppress(OSError):
            connection = target.connect()
            if rng.random() < 0.3:
                connection.sendall(b"GET / HTTP/1.1\r\nHost:")
            kept.append(connection)
        if len(kept) > SILENT:
            kept.pop(0).close()
        time.sleep(0.005)


def unfinished_bodies(target: Target, seed: str, until: float) -> None:
    """Bodies of 16 MB that do not come to an end: of nobody, and of a key that is good."""
    rng = random.Random(seed)
    kept: list[socket.socket] = []
    while time.time() < until:
        key = target.key if rng.random() < 0.5 else "rf_nobody"
        head = f"PUT /runs/run_bad/state HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {16 * MIB}\r\n\r\n"
        with contextlib.suppress(OSError):
            connection = target.connect(1)
            kept.append(connection)
            connection.sendall(head.encode())
            for _ in range(rng.choice([1, 10, 200])):
                connection.sendall(CHUNK)
        if len(kept) > UNFINISHED:
            kept.pop(0).close()
        time.sleep(0.05)


def waiting(target: Target, seed: str, until: float) -> None:  # noqa: ARG001  all attacks are called alike
    """Questions that wait for what nobody folds."""

    def ask() -> None:
        while time.time() < until:
            head = f"GET /runs?min_position=1&wait_seconds=30 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {target.key}\r\n"
            with contextlib.suppress(OSError), target.connect(60) as connection:
                connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
                while connection.recv(65536):
                    pass
            time.sleep(0.1)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(QUESTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


ATTACKS: tuple[Attack, ...] = (hard_bodies, large_heads, long_urls, silent_connections, unfinished_bodies)
"""Those of input; `waiting` comes beside them."""
