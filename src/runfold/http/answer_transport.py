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
        self._has_begun = False
        self._held: tuple[bytes, asyncio.Handle] | None = None
        """The head that waits, and what ends the waiting."""

    def write(self, data: bytes) -> None:
        if not self._has_begun:
            self._has_begun, self._held = True, (data, self._loop.call_soon(self._flush))
        elif self._held is None:
            self._to.write(data)
        else:
            self._flush(data)

    def close(self) -> None:
        self._flush()
        self._end_answer()

    def _flush(self, *more: bytes) -> None:
        held, self._held = self._held, None
        if held is not None:
            head, flushing = held
            flushing.cancel()
            self._to.writelines((head, *more))
