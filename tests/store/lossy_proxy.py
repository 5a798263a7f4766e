"""A proxy in front of PostgreSQL's socket that loses what it is told to lose."""

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

Loss = Literal["reply", "request"]


class LossyProxy:
    """Listens on a socket of its own. `url` goes through it; `lose` breaks the next append's connection."""

    def __init__(self, url: str) -> None:
        server = conninfo_to_dict(url)
        self._target = f"{server['host']}/.s.PGSQL.{server['port']}"
        self._folder = tempfile.TemporaryDirectory(prefix="runfold-proxy-")
        self.url = make_conninfo(url, host=self._folder.name)
        self.lost = 0
        self._loss: Loss | None = None
        self._ends: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(Path(self._folder.name) / f".s.PGSQL.{server['port']}"))
        self._listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self, what: Loss) -> None:
        """Lose the next append's reply, after the server has committed; or its request, before the server sees it."""
        self._loss = what

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for end in [self._listener, *self._ends]:
            _close(end)
        self._folder.cleanup()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._ends += [client, server]
                dropping = threading.Event()
                threading.Thread(target=self._forth, args=(client, server, dropping), daemon=True).start()
                threading.Thread(target=self._back, args=(server, client, dropping), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket, dropping: threading.Event) -> None:
        """Client to server. A connection that ever named the append function is one that appends."""
        appends = False
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                appends = appends or b"runfold.append" in data
                if appends and self._loss:
                    loss, self._loss = self._loss, None
                    self.lost += 1
                    if loss == "request":
                        break
                    dropping.set()
                server.sendall(data)
        if not dropping.is_set():
            _close(client)
            _close(server)

    def _back(self, server: socket.socket, client: socket.socket, dropping: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if dropping.is_set():  # the server answers after its commit, so what it says is stored
                    break
                client.sendall(data)
        _close(client)
        _close(server)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextlib.contextmanager
def on_tcp(url: str) -> Iterator[int]:
    """Make a server's socket reachable over TCP on loopback, and yield the port."""
    server = conninfo_to_dict(url)
    listener = socket.create_server(("127.0.0.1", 0))
    ends = [listener]

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                target = socket.socket(socket.AF_UNIX)
                target.connect(f"{server['host']}/.s.PGSQL.{server['port']}")
                ends.extend([client, target])
                for pair in ((client, target), (target, client)):
                    threading.Thread(target=_copy, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        for end in ends:
            _close(end)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
