"""Messages between two processes: JSON, one a line, open sockets that go with some, and answers to those that ask.

They come in the order in which they were sent. No end ever waits for the other: what that does not take yet is kept.
"""

import asyncio
import itertools
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import orjson

PIECE_BYTES, MOST_SOCKETS = 64 * 1024, 64
"""How much is taken at once."""
_FLAGS = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_ASKS, _ANSWERS, _BRINGS = "asks", "answers", "brings"

Message = Mapping[str, Any]
Take = Callable[[Message, socket.socket | None], None]


class Channel:
    """One end. To be made and used on an event loop."""

    def __init__(self, end: socket.socket, take: Take, ended: Callable[[], None]) -> None:
        """`take` gets each message and the socket that it brings; `ended` is called once when the other end is gone."""
        end.setblocking(False)
        self._end, self._take, self._ended = end, take, ended
        self._rest = b""
        self._sockets: deque[int] = deque()
        self._unsent: deque[tuple[bytes, socket.socket | None]] = deque()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(end, self._read)

    @property
    def is_full(self) -> bool:
        """Return whether the other end takes nothing just now."""
        return bool(self._unsent)

    def send(self, message: Message, brings: socket.socket | None = None) -> None:
        """Send a message, and a socket with it, which is closed here."""
        if self._end.fileno() < 0:
            if brings is not None:
                brings.close()
            return
        self._unsent.append((orjson.dumps({**message, _BRINGS: True} if brings else message) + b"\n", brings))
        if len(self._unsent) == 1:
            self._write()

    async def ask(self, message: Message, seconds: float) -> Any:
        """Return the answer to a message; None where none comes in time."""
        number = next(self._numbers)
        answer = self._asked[number] = self._loop.create_future()
        self.send({**message, _ASKS: number})
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            return None
        finally:
            self._asked.pop(number, None)

    def answer(self, message: Message, value: Any) -> None:
        """Answer a message that asked for it."""
        self.send({_ANSWERS: message[_ASKS], "value": value})

    def close(self) -> None:
        """End it: whoever waits for an answer gets none, and what was not sent is not."""
        if self._end.fileno() < 0:
            return
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()
        for number in self._sockets:
            socket.close(number)
        for _, brings in self._unsent:
            if brings is not None:
                brings.close()
        self._unsent.clear()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_result(None)

    def _write(self) -> None:
        while self._unsent:
            line, brings = self._unsent[0]
            try:
                sent = self._end.send(line) if brings is None else socket.send_fds(self._end, [line], [brings.fileno()])
            except BlockingIOError:
                self._loop.add_writer(self._end, self._write)
                return
            except OSError:
                return  # the other end is gone, which reading tells
            if brings is not None:
                brings.close()
            if sent < len(line):
                self._unsent[0] = line[sent:], None
            else:
                self._unsent.popleft()
        self._loop.remove_writer(self._end)

    def _read(self) -> None:
        try:
            data, sockets, _, _ = socket.recv_fds(self._end, PIECE_BYTES, MOST_SOCKETS, _FLAGS)
        except BlockingIOError:
            return
        except OSError:
            data, sockets = b"", []
        self._sockets.extend(sockets)
        if not data:
            self.close()
            self._ended()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._came(orjson.loads(line))

    def _came(self, message: Message) -> None:
        if _ANSWERS not in message:
            brought = socket.socket(fileno=self._sockets.popleft()) if _BRINGS in message else None
            self._take(message, brought)
        elif (answer := self._asked.get(message[_ANSWERS])) is not None and not answer.done():
            answer.set_result(message["value"])
