"""Progress as a stream: how far something is, whenever that has changed, until it is over or the key of who watches ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import orjson

from runfold.errors import KeyRefused
from runfold.http.streams.event_stream import Watching
from runfold.http.streams.sse import ended_with_key

LOOK_SECONDS = 0.5
OVER = ".end"
"""The id of the end: a client that connects again with it, as a browser's EventSource does, is answered 204, and stays away."""
_END = b"id: .end\nevent: end\ndata: %b\n\n"


class Report(NamedTuple):
    """How something stands, as JSON, and whether that is the last word."""

    said: bytes
    is_over: bool


Look = Callable[[], Awaitable[Report]]


async def progress(look: Look, watching: Watching) -> AsyncIterator[bytes]:
    """Frames `progress`, and at last `end`."""
    ended: asyncio.Future[KeyRefused] = asyncio.get_running_loop().create_future()
    leave = watching(ended.set_result)
    try:
        async for part in _parts(look, ended):
            yield part
    finally:
        leave()


async def _parts(look: Look, ended: "asyncio.Future[KeyRefused]") -> AsyncIterator[bytes]:
    last = b""
    while True:
        if ended.done():
            yield _END % orjson.dumps(ended_with_key(ended.result()))
            return
        said, is_over = await look()
        if said != last or is_over:
            yield (_END if is_over else b"event: progress\ndata: %b\n\n") % said
            last = said
        if is_over:
            return
        await asyncio.wait([ended], timeout=LOOK_SECONDS)
