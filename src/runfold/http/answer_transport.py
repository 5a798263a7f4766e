"""What an answer writes to: the transport of its connection, with fewer and fuller packets."""

import asyncio
from collections.abc import Callable


class AnswerTransport:
    """The transport as an answer uses it. How the connection ends after the answer, the connection itself decides.

    The head of an answer waits for what is written in the same turn of the event loop, and goes in one packet with it.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, end_answer: Callable[[], None]) -> None:
        self._to, self._loop, self._end_answer = transport, loop, end_answer
        self.is_closing = transport.is_closing
        self._head: bytes | None = None
        self._soon: asyncio.Handle | None = None
        self._has_begun = False

    def write(self, data: bytes) -> None:
        if self._head is not None:
            self._to.writelines((self._taken(), data))
        elif self._has_begun:
            self._to.write(data)
        else:
            self._has_begun, self._head = True, data
            self._soon = self._loop.call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._end_answer()

    def _flush(self) -> None:
        if self._head is not None:
            self._to.write(self._taken())

    def _taken(self) -> bytes:
        head, soon = self._head, self._soon
        assert head is not None  # noqa: S101
        assert soon is not None  # noqa: S101
        soon.cancel()
        self._head = self._soon = None
        return head
