"""A reader of event streams on a bare socket: it sees every byte, and can stop reading."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

MARKS = frozenset({"caught_up", "end", "bye", "dropped", "problem"})


@dataclass
class Block:
    """What stands between two empty lines."""

    event: str = ""
    id: int | None = None
    """The position of the cursor."""
    cursor: str = ""
    data: Any = None
    comment: str = ""
    retry: int | None = None


@dataclass
class Stream:
    """One open stream. `raw` is all that came."""

    socket: socket.socket
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""
    last_id: int = 0
    last_cursor: str = ""
    _raw: Any = None
    _blocks: Iterator[Block] | None = None

    @classmethod
    def open(cls, address: str, path: str, *, receive_bytes: int | None = None, **headers: str) -> Self:
        """Ask, and read the head of the answer."""
        where = urlsplit(address)
        connection = socket.socket()
        if receive_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(60)
        connection.connect((where.hostname, where.port))
        said = {"Host": "test", "Accept": "text/event-stream", **{k.replace("_", "-"): v for k, v in headers.items()}}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items()), "", ""]
        connection.sendall("\r\n".join(lines).encode())
        stream = cls(connection, _raw=connection.makefile("rb"))
        stream.status = int(stream._raw.readline().split()[1])
        while line := stream._raw.readline().strip():
            name, _, value = line.decode().partition(":")
            stream.headers[name.strip().lower()] = value.strip()
        return stream

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._raw.readline() or b"0", 16):
            yield self._raw.read(size)
            self._raw.readline()

    def body(self) -> Any:
        """The JSON of an answer that is no stream."""
        return json.loads(self._raw.read(int(self.headers["content-length"])))

    def blocks(self) -> Iterator[Block]:
        """Each block as it comes, until the stream ends; asked for again, those after the last one taken."""
        self._blocks = self._blocks or self._read_blocks()
        return self._blocks

    def _read_blocks(self) -> Iterator[Block]:
        rest = b""
        for chunk in self._chunks():
            self.raw += chunk
            rest += chunk
            while b"\n\n" in rest:
                raw, _, rest = rest.partition(b"\n\n")
                block = _block(raw.decode())
                if block.id is not None:
                    self.last_id, self.last_cursor = block.id, block.cursor
                yield block
        assert rest == b"", "a stream ends with a whole block"

    def until(self, wanted: Callable[[Block], bool]) -> list[Block]:
        """The blocks up to one, that one included."""
        found: list[Block] = []
        for block in self.blocks():
            found.append(block)
            if wanted(block):
                return found
        raise AssertionError(f"the stream ended before: {found[-3:]}")

    def until_named(self, name: str) -> list[Block]:
        """The blocks up to the next one of an event's name."""
        return self.until(lambda block: block.event == name)

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self._raw.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _block(text: str) -> Block:
    block = Block()
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                block.comment = value
            case "event":
                block.event = value
            case "id":
                block.cursor, block.id = value, int(value.partition("@")[0])
            case "retry":
                block.retry = int(value)
            case "data":
                assert block.data is None, "data is one line"
                block.data = json.loads(value)
    return block


def positions(blocks: list[Block]) -> list[int]:
    """Of the ledger's events among them."""
    return [block.data["position"] for block in blocks if block.event and block.event not in MARKS]


def names(blocks: list[Block]) -> list[str]:
    """Of all that have one."""
    return [block.event for block in blocks if block.event]
