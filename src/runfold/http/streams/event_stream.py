"""An event stream as the answer to a request: it sends what its follower gives, as fast as the client takes it."""

import asyncio
import zlib
from collections.abc import Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runfold.access.key_watch import Ended
from runfold.access.limits import Limits
from runfold.feed.follower import Follower
from runfold.feed.shared import Feed
from runfold.http.connections import STOP_SECONDS
from runfold.http.scope import connection_of
from runfold.http.streams import sse

READ_ON_SECONDS = 10.0
"""A client that is dropped may read what waits for it for so long."""

Watching = Callable[[Ended], Callable[[], None]]
"""Tells when who began the stream may no longer see it, until what it returns is called."""


class EventStream(Response):
    """No more is read than the client takes, and little ahead. One that takes nothing for a while is dropped, and can resume."""

    media_type = sse.MEDIA_TYPE

    def __init__(
        self,
        feed: Feed,
        follower: Follower,
        watching: Watching,
        limits: Limits,
        headers: Mapping[str, str],
        *,
        is_zipped: bool = False,
    ) -> None:
        about = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept, Accept-Encoding", **headers}
        super().__init__(headers={**about, **({"Content-Encoding": "gzip"} if is_zipped else {})})
        del self.headers["content-length"]  # nobody knows it
        self._body = zipped() if is_zipped else _body
        self._feed, self._follower, self._watching, self._limits = feed, follower, watching, limits
        self._sent = follower.position, follower.epoch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the stream ends, the client hangs up, or it is dropped; who asks for the head is sent no more."""
        if scope["method"] == "HEAD":
            self._follower.close()
            await super().__call__(scope, receive, send)
            return
        if connection := connection_of(scope):
            connection.carries_stream = True
        leave = self._watching(self._follower.refuse)
        listening = asyncio.ensure_future(self._until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send(self._body(sse.opening(self._follower.position, self._follower.epoch)))
            await self._send_all(scope, send)
        finally:
            leave()
            listening.cancel()
            self._follower.close()

    async def _send_all(self, scope: Scope, send: Send) -> None:
        while not self._follower.is_over and not self._follower.is_gone:
            given = await self._follower.next()
            if given and not await self._is_taken(send, self._body(given, more=not self._follower.is_over)):
                await self._drop(scope, send)
                return
            self._sent = self._follower.position, self._follower.epoch
            self._feed.sent += self._follower.events
            await asyncio.sleep(0)  # others come in between, though a fast client never makes us wait

    async def _is_taken(self, send: Send, message: dict[str, object]) -> bool:
        """Whether what was sent before has left in time; what is sent now waits in the connection."""
        loop = asyncio.get_running_loop()
        seconds = STOP_SECONDS if self._feed.closed else self._limits.stuck_seconds
        try:
            async with asyncio.timeout(seconds) as patience:
                self._follower.hurry = lambda: patience.reschedule(loop.time() + (0 if self._follower.refused else STOP_SECONDS))
                await send(message)
        except TimeoutError:
            return False
        finally:
            self._follower.hurry = None
        return True

    async def _drop(self, scope: Scope, send: Send) -> None:
        """Say so, for when the client reads on, and free what was held for it."""
        refused = self._follower.refused
        self._feed.dropped += refused is None
        if (connection := connection_of(scope)) is None:
            return
        stuck = {"reason": f"nothing was read for {self._limits.stuck_seconds:g} s; connect again"}
        name, facts = ("dropped", stuck) if refused is None else ("end", sse.ended_with_key(refused))
        connection.let_pass()
        await send(self._body(sse.mark(name, *self._sent, facts), more=False))
        connection.hang_up(STOP_SECONDS if self._feed.closed or refused else READ_ON_SECONDS)

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._follower.gone()


def zipped() -> Callable[..., dict[str, object]]:
    """Return what makes messages of data with gzip: each can be read when it arrives. It takes 48 KiB."""
    compressing = zlib.compressobj(wbits=16 + 13, memLevel=5)

    def body(data: bytes, *, more: bool = True) -> dict[str, object]:
        return _body(compressing.compress(data) + compressing.flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH), more=more)

    return body


def _body(data: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}
