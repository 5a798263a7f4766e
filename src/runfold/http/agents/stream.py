"""What a client of an agent is sent: AG-UI's events of a run as they are recorded, until the run is over for AG-UI."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runfold.access.key_watch import Ended
from runfold.access.limits import Limits
from runfold.agui.run_events import RunEvents
from runfold.agui.wire import WireEvent, frame
from runfold.errors import KeyRefused, LedgerError
from runfold.http.agents.following import MOST_BYTES, ThreadEvents
from runfold.http.agents.paging import fits
from runfold.http.connections import STOP_SECONDS
from runfold.http.scope import connection_of

MEDIA_TYPE = "text/event-stream"
ALIVE = b": alive\n\n"


class AgentStream(Response):
    """Sends what is recorded, no faster than the client takes it. That the client hangs up concerns nobody but the client."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        events: ThreadEvents,
        shown: RunEvents,
        first: list[WireEvent],
        limits: Limits,
        watching: Callable[[Ended], Callable[[], None]],
        look_after: Callable[[], Awaitable[None]],
        seconds: float,
    ) -> None:
        """`first` is what is known already; `look_after` sees to it, every so many seconds, that somebody works on the run."""
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"})
        del self.headers["content-length"]  # nobody knows it
        self._events, self._shown, self._first = events, shown, first
        self._limits, self._watching, self._look_after, self._seconds = limits, watching, look_after, seconds
        self._refused: KeyRefused | None = None
        self._is_gone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the run is over, the client hangs up or takes nothing, or its key is good no more."""
        if connection := connection_of(scope):
            connection.carries_stream = True
        leave = self._watching(self._refuse)
        listening = asyncio.ensure_future(self._until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send_all(send)
        except TimeoutError:
            if connection is not None:
                connection.let_pass()
                connection.hang_up(STOP_SECONDS)
        finally:
            leave()
            listening.cancel()
            self._events.leave()

    async def _send_all(self, send: Send) -> None:
        first, self._first = self._first, []
        await self._send(send, first)
        del first  # which may be a long conversation
        loop = asyncio.get_running_loop()
        looked = alive = loop.time()
        while not self._is_gone and not self._shown.has_ended:
            last = self._last_words()
            if last is None:
                try:
                    made = await self._next()
                except LedgerError as error:
                    last = _error("ledger_unavailable", f"{error}; connect again")
            if last is not None:
                await self._send(send, [last])
                break
            if made:
                alive = loop.time()
                await self._send(send, made)
            elif loop.time() - alive >= self._limits.heartbeat_seconds:
                alive = loop.time()
                await self._take(send, ALIVE)
            if loop.time() - looked >= self._seconds:
                looked = loop.time()
                await self._look_after()
        if not self._is_gone:
            await self._take(send, b"", more=False)

    async def _next(self) -> list[WireEvent]:
        """Return what there is to tell, waiting a while for it. Raises LedgerError."""
        made: list[WireEvent] = []
        for recorded in await self._events.next(min(self._seconds, self._limits.heartbeat_seconds)):
            made += self._shown.take(recorded)
            if self._shown.has_ended:
                return made
        return made + (self._shown.settle() if self._events.is_caught_up else [])

    def _last_words(self) -> WireEvent | None:
        """Return why the stream ends before the run does, if it must."""
        if self._refused is not None:
            return _error("key_ended", f"{self._refused}; the run goes on")
        return _error("server_stopped", "the server stops; connect again") if self._events.is_stopped else None

    async def _send(self, send: Send, events: list[WireEvent]) -> None:
        """Send events. The last of all that there is for now has the position as its id: from there a stream can go on."""
        sent = [event for event in events if event["type"] != "MESSAGES_SNAPSHOT" or fits(event)]
        position = str(self._events.position) if self._events.is_caught_up else None
        frames, size = list[bytes](), 0
        for left, event in zip(range(len(sent) - 1, -1, -1), sent, strict=True):
            frames.append(frame(event, None if left else position))
            size += len(frames[-1])
            if not left or size >= MOST_BYTES:
                await self._take(send, b"".join(frames))
                frames, size = [], 0

    async def _take(self, send: Send, body: bytes, *, more: bool = True) -> None:
        """Send. Raises TimeoutError where the client takes nothing."""
        async with asyncio.timeout(self._limits.stuck_seconds):
            await send({"type": "http.response.body", "body": body, "more_body": more})

    def _refuse(self, error: KeyRefused) -> None:
        self._refused = error
        self._events.wake()

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        self._events.wake()


def _error(code: str, message: str) -> WireEvent:
    return {"type": "RUN_ERROR", "message": message, "code": code}
