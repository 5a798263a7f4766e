"""Connections: what a client may send before it is authenticated, how many there may be, and how they end.

They rely on the insides of uvicorn: tests/http/test_uvicorn.py names each, and pyproject.toml holds uvicorn where they are.

uvicorn's parser (httptools) accepts heads of any size, and any number of connections for any time; the limits are here. An idle
connection is closed to make room for a new one, the longest idle first.
"""

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

import httptools
import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runfold.access.admission import Connections
from runfold.access.limits import Limits
from runfold.http.answer_transport import AnswerTransport
from runfold.http.problems import raw_problem

EXTENSION = "runfold.connection"
STOP_SECONDS = 0.5
PIECE_BYTES = 16 * 1024
"""The size of the pieces in which data is parsed."""
LINGER_SECONDS, LINGER_BYTES, LINGER_PAUSE = 10.0, 128 * 1024 * 1024, 0.005
"""A refused client that still sends is read for so long and so many bytes, and discarded: else it would not read the answer."""

_FRAMING = {b"content-length", b"transfer-encoding"}
Refusal = tuple[int, str, str]
"""The status, name and detail of a problem."""

_log = structlog.get_logger("runfold.http")


class Connection(HttpToolsProtocol):
    """An HTTP connection within limits, which can be closed even if the client reads nothing."""

    carries_stream = False
    is_admitted = True
    """False where who handed it on had no room for it, which it is to tell the client."""
    when_lost: Callable[[], None] | None = None
    """Called when it has ended."""
    number: int | None = None
    """Under which number another process handed it on."""

    def __init__(self, config: uvicorn.Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        state = getattr(config.app, "state", None)
        known = getattr(state, "connections", None)
        self._others: Connections = Connections(Limits()) if known is None else known
        self.limits = self._others.limits
        self.address = ""
        self._in_head, self._head_bytes = True, 0
        self._raw_bytes = self._body_bytes = 0
        self._head_of_body, self._is_known = b"", False
        self._is_whole = False
        """Whether a request has ended in the piece that is parsed."""
        self._lingered: int | None = None
        self._is_over = False
        """Whether what came is no request, so that nothing more is read behind those that are being answered."""
        self._fault: Refusal | None = None
        self._rests_since: float | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    # What comes in

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit or refuse the connection, and start the timer of its head."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._head_timer = self.loop.call_later(self.limits.head_seconds, self._head_is_late)
        if not self.is_admitted or not self._others.admit(self):
            self.refuse(503, "TooManyConnections", "the server has as many connections as it takes; connect again in a second")

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the registry, and cancel the timers."""
        self._others.leave(self)
        for timer in (self._head_timer, self._rest_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        if self.when_lost is not None:
            self.when_lost()

    def data_received(self, data: bytes) -> None:
        """Parse data piece by piece, so that a head that is too large is noticed early."""
        if self._is_over:
            return
        for start in range(0, len(data), PIECE_BYTES):
            if self._lingered is not None:
                self._throw_away(len(data) - start)
                return
            if self._is_over or self.transport.is_closing():
                return
            self._take(data[start : start + PIECE_BYTES])

    def _take(self, piece: bytes) -> None:
        was_in_head, self._is_whole, self._rests_since = self._in_head, False, None
        self._parse(piece)
        if was_in_head and self._in_head and not self._is_whole:
            self._head_bytes += len(piece)
        elif not was_in_head:
            self._raw_bytes += len(piece)
        self._require_bounded()
        if self._in_head and self._head_timer is None and not self.is_answering:  # as never where a request comes in one piece
            self._head_timer = self.loop.call_later(self.limits.head_seconds, self._head_is_late)

    def _parse(self, piece: bytes) -> None:
        while piece:
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as asked:
                piece = piece[asked.args[0] :]
                self._go_on()
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
                return
            else:
                return

    def _go_on(self) -> None:
        """Go on in HTTP/1.1 behind a head that asks for another protocol, of which there is none here.

        The parser takes what follows for that protocol, the body too: another one is told how the body begins.
        """
        head, self._head_of_body = self._head_of_body, b""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        if head:
            self._is_known = True
            self.parser.feed_data(head)
            self._is_known = False

    def _require_bounded(self) -> None:
        if self._lingered is not None:
            return
        if self._head_bytes > self.limits.head_bytes:
            self.refuse(*self._head_too_large)
        elif self._raw_bytes > self.limits.head_bytes + 16 * self._body_bytes:
            self.refuse(400, "BodyMalformed", "the body is little but the framing of its chunks; send larger chunks")

    @property
    def _head_too_large(self) -> Refusal:
        most = f"{self.limits.head_bytes:,} bytes or {self.limits.headers} headers"
        return 431, "HeadTooLarge", f"the head of the request is more than {most}; send less"

    def on_message_begin(self) -> None:
        """Begin a request, and put the connection into its scope."""
        if self._is_known:
            return
        self._head_bytes = self._raw_bytes = self._body_bytes = 0
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"connection": self}}

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL. Raises ValueError for one that is too long, which stops the parser."""
        if self._is_known:
            return
        super().on_url(url)
        if len(self.url) > (most := self.limits.url_bytes):
            self._fault = 414, "UrlTooLong", f"the URL is longer than the {most:,} bytes that are taken; shorten it"
            raise ValueError(self._fault)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or a trailer. Raises ValueError for too many, which stops the parser."""
        if self._is_known:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        if len(self.headers) > self.limits.headers:
            self._fault = self._head_too_large
            raise ValueError(self._fault)

    def on_headers_complete(self) -> None:
        """Start to answer the request; its cycle is in the scope, too, for the body that has arrived.

        Raises ValueError, which stops the parser, where it names two hosts, or none in HTTP/1.1: RFC 9112 (3.2) has both refused,
        for who passes it on may have looked at another one.
        """
        if self._is_known:
            return
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts > 1:
            self._fault = 400, "HostNamedTwice", "the request has more than one Host header; send one"
            raise ValueError(self._fault)
        if not hosts and self.parser.get_http_version() == "1.1":
            self._fault = 400, "HostNotNamed", "the request has no Host header, which HTTP/1.1 asks for; send one"
            raise ValueError(self._fault)
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self._others.is_busy(self)
        super().on_headers_complete()
        self.cycle.transport = AnswerTransport(self.transport, self.loop, self.end_answer)  # type: ignore[assignment]  # what a cycle does with its transport
        self.scope["extensions"][EXTENSION]["request"] = weakref.ref(self.cycle)
        if self.parser.should_upgrade() and (framing := [header for header in self.headers if header[0] in _FRAMING]):
            end = () if self.parser.should_keep_alive() else ((b"connection", b"close"),)
            lines = [b"%b: %b\r\n" % header for header in (*framing, *end)]
            self._head_of_body = b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(lines)

    def on_body(self, body: bytes) -> None:
        """Count the bytes of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the head of the next request."""
        if self._head_of_body:  # it is not: the body is still to be parsed
            return
        super().on_message_complete()
        self._in_head, self._head_bytes, self._is_whole = True, 0, True

    def on_response_complete(self) -> None:
        """Count the answer, and begin with the next request that waits, or let the connection rest."""
        self.server_state.total_requests += 1
        if self._lingered is not None or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._others.is_idle(self)
        self._rests_since = self.loop.time()
        if self._rest_timer is None:  # one timer for many requests: to set one for each takes longer than to look at the time
            self._rest_timer = self.loop.call_later(self.timeout_keep_alive, self._close_if_rested)

    def _close_if_rested(self) -> None:
        self._rest_timer = None
        if self._rests_since is None:
            return
        left = self._rests_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._rest_timer = self.loop.call_later(left, self._close_if_rested)
        else:
            self.transport.close()

    @property
    def is_answering(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.is_answering or self._lingered is not None:
            return
        if self._head_bytes:
            seconds = f"{self.limits.head_seconds:g}"
            self.refuse(408, "HeadTooSlow", f"the head of the request took longer than {seconds} s; send it at once")
        else:
            self.transport.abort()

    # How it ends

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not read, or stopped at."""
        self.refuse(*self._fault) if self._fault else self.refuse(
            400, "RequestMalformed", f"{msg.rstrip('.').lower()}: what came is not HTTP/1.1; send a well-formed request"
        )

    def refuse(self, status: int, name: str, detail: str) -> None:
        """Answer with a problem, and close the connection."""
        _log.debug("request refused", status=status, error=name, client=self.address)
        self._others.refused[name] += 1
        if self.is_answering and not self._lets_go():
            self._close_when_answered()
            return
        self.transport.write(raw_problem(status, name, detail))
        self._linger()

    def _close_when_answered(self) -> None:
        """Close after the answers to the requests before it, which may have been done. An event stream ends at once."""
        self._is_over, self.cycle.keep_alive = True, False
        if self.carries_stream:
            self.transport.close()

    def _lets_go(self) -> bool:
        """Let go of a request whose body breaks off here, as if its client had hung up; False where an answer is on its way."""
        if self.cycle.response_started or self.pipeline or not self.cycle.more_body:
            return False
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        return True

    def end_answer(self) -> None:
        """Close after the last answer. What the client still sends is read for a while, or it would not read the answer."""
        if self.cycle is None or not self.cycle.more_body or self.transport.is_closing():
            self.transport.close()
        else:
            self._linger()

    def evict(self) -> None:
        """Close at once, to make room for another connection."""
        self.transport.abort()

    def _linger(self) -> None:
        if self._lingered is not None or self.transport.is_closing():
            return
        self._lingered = 0
        self._others.is_idle(self, silent=True)
        self._rests_since = None
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    def _throw_away(self, size: int) -> None:
        self._lingered = (self._lingered or 0) + size
        if self._lingered > LINGER_BYTES:
            self.transport.abort()
        else:  # at leisure: reading what nobody needs is not to keep others waiting
            self.flow.pause_reading()
            self.loop.call_later(LINGER_PAUSE, self._linger_on)

    def _linger_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def let_pass(self) -> None:
        """Let the next bytes be written, however many are waiting already."""
        self.flow.resume_writing()

    def hang_up(self, seconds: float) -> None:
        """Close when the client has read what is waiting, and after some seconds even if it has not."""
        self.transport.close()
        self.loop.call_later(seconds, self.transport.abort)

    def pause_writing(self) -> None:
        """Give a client that reads too slowly some time. Event streams do that themselves."""
        super().pause_writing()
        if not self.carries_stream and self._write_timer is None:
            self._write_timer = self.loop.call_later(self.limits.stuck_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the timer of a slow client."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def shutdown(self) -> None:
        """Close for a shutdown, which no client that reads nothing delays."""
        super().shutdown()
        if self.carries_stream:
            self.loop.call_later(STOP_SECONDS, self.transport.abort)
