"""Appending in an event loop, between what else the loop does.

Async callers decide in their loop. Were another thread to send what they decide, the two would wait for the interpreter
several times a batch, which takes longer than the sending. So the loop sends, takes the answers and goes on with its callers.
It never waits: where that is to be done, or where others hold the loop up, the appender's thread takes over.
"""

import asyncio
import select
import socket
import threading
import weakref
from contextvars import Context
from os import dup
from typing import Protocol

import psycopg

from runfold.store.appending.appends import Append
from runfold.store.appending.command_queue import CommandQueue
from runfold.store.appending.exchange import Exchange

_WORTH_SENDING_AT_ONCE = 8  # commands; fewer wait for what the loop decides in the same round
_NO_CONTEXT = Context()


class Source(Protocol):
    """Where batches come from, and who answers them."""

    @property
    def queue(self) -> CommandQueue:
        """Return the commands that wait."""

    @property
    def is_wanted(self) -> bool:
        """Return whether somebody waits until all is answered."""

    def is_worth_sending(self, exchange: Exchange) -> bool:
        """Return whether another batch is to be sent now."""

    def finish(self, batch: list[Append]) -> None:
        """Answer the commands of a batch."""

    def release(self) -> None:
        """Go on without the sender, which has nothing on its way."""

    def rescue(self) -> None:
        """Have the thread take over what the sender has on its way."""


class LoopSender:
    """Sends what is queued, and stays for what comes next until somebody takes over. `hands` is held by whoever is at it."""

    def __init__(self, source: Source, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self.exchange = exchange
        self.hands = threading.Lock()
        self.is_over = False
        """Whether it is done, or another's work now."""
        self.is_taken_over = False
        self.steps = 0
        """Grows with each step: so one sees whether the loop gets to it."""
        self.is_unfit = False
        """Whether the loop cannot listen to a connection."""
        self.loop = loop
        self._source = source
        self._is_awaited = False
        self._socket: socket.socket | None = None
        self._thread = 0

    @property
    def is_here(self) -> bool:
        """Return whether this thread is the loop's."""
        return self._thread == threading.get_ident()

    @property
    def is_idle(self) -> bool:
        """Return whether it has begun, and has nothing on its way."""
        return self._thread != 0 and not self.exchange.sent

    def is_late(self) -> bool:
        """Return whether the loop is not at what there is to do, or there is nothing."""
        if not self.hands.acquire(blocking=False):
            return False
        try:
            if self.is_over or not self.exchange.sent:
                return True
            reading = select.poll()
            reading.register(self.exchange.call.socket, select.POLLIN)
            return bool(reading.poll(0))
        except psycopg.Error:
            return True
        finally:
            self.hands.release()

    def begin(self) -> bool:
        """Listen for answers; called in the loop. False where that is not possible."""
        self._thread = threading.get_ident()
        try:
            # A number of our own: another file may get the connection's before a loop that was held up has let go of it.
            self._socket = socket.socket(fileno=dup(self.exchange.call.socket))
            weakref.finalize(self, self._socket.close)  # a loop may end before it lets go
            self.loop.add_reader(self._socket.fileno(), self._hear)
        except psycopg.Error:
            self.exchange.is_lost = True
        except (NotImplementedError, OSError):
            self.is_unfit = True
            if self._socket is not None:
                self._socket.close()
                self._socket = None
        return self._socket is not None

    def wake(self) -> None:
        """See to what is queued: soon, or at once where that is worth it. Raises RuntimeError where the loop was closed."""
        queued = len(self._source.queue)
        is_enough = queued >= _WORTH_SENDING_AT_ONCE and queued >= self.exchange.enough
        if is_enough and self.is_here and self._source.is_worth_sending(self.exchange):
            self._step()
        elif not self._is_awaited:
            self._look_soon()

    def let_go(self) -> None:
        """Listen no more, once it is over; called by any thread."""
        try:
            if self.is_here:
                self._deaf()
            else:
                self.loop.call_soon_threadsafe(self._deaf, context=_NO_CONTEXT)
        except RuntimeError:  # the loop was closed, and listens to nothing
            if self._socket is not None:
                self._socket.close()

    def _look_soon(self) -> None:
        if not self._is_awaited:
            self._is_awaited = True
            call_soon = self.loop.call_soon if self.is_here else self.loop.call_soon_threadsafe
            call_soon(self._look, context=_NO_CONTEXT)

    def _look(self) -> None:
        self._is_awaited = False
        with self.hands:
            if self._socket is None and not self.is_over and not self.begin():
                self._give_up()
        self._step()

    def _hear(self) -> None:
        self._step(hears=True)

    def _step(self, *, hears: bool = False) -> None:
        if not self.hands.acquire(blocking=False):
            self._look_soon()  # the thread looks at it, or takes it over
            return
        try:
            if not self.is_over:
                self.steps += 1
                self._go_on(hears=hears)
        except psycopg.Error:
            self._give_up(is_lost=True)
        except BaseException as error:
            self._give_up(is_lost=True)
            if not isinstance(error, Exception):
                raise
        finally:
            self.hands.release()

    def _go_on(self, *, hears: bool) -> None:
        exchange, source = self.exchange, self._source
        if hears:
            exchange.call.take_in()
        while exchange.sent and exchange.call.is_answered:
            batch = exchange.receive()
            if batch is None:
                return self._give_up()
            try:
                if not exchange.sent:
                    self._send()  # first: the server has nothing to do
            finally:
                source.finish(batch)
        self._send()
        if self.is_idle:
            if source.is_wanted:
                self.is_over = True
                self._deaf()
                source.release()
        elif not exchange.call.flush():
            self._give_up()  # there is something to wait for
        return None

    def _send(self) -> None:
        while self._source.is_worth_sending(self.exchange):
            if (void := self.exchange.send(self._source.queue.take)) is not None:
                self._source.finish(void)

    def _give_up(self, *, is_lost: bool = False) -> None:
        self.is_over = True
        self.exchange.is_lost |= is_lost
        self._deaf()
        self._source.rescue()

    def _deaf(self) -> None:
        if self._socket is not None:
            self.loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
