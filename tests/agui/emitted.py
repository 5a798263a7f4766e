"""The streams of AG-UI that a server gave in a test, byte by byte: each must break no rule of the checker's.

`checking` stands around the application that `tests.serving` serves, so that none is left out, whoever reads it. Of a server
that is a process of its own, `Teed` stands in the client.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from runfold.http.scope import rest_of_body

ASGI = Callable[[Any, Any, Any], Awaitable[None]]
_RUN = re.compile(r"(/agents/[^/]+(/connect)?|/threads/[^/]+/runs)\Z")
_EXPORTED = re.compile(r"/runs/[^/]+/events\Z")


def is_of_agent(verb: str, path: str, query: str = "") -> bool:
    """Whether what is asked for may be answered with a stream of AG-UI's."""
    if verb == "POST":
        return _RUN.match(path) is not None
    return verb == "GET" and _EXPORTED.match(path) is not None and "format=ag-ui" in query


@dataclass
class Stream:
    """What was sent to one client."""

    path: str
    after: str | None = None
    """The id of the event that came last, where the client goes on after that."""
    asked: bytearray = field(default_factory=bytearray)
    given: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    """Whether the server ended it, and not the client or the end of one of them."""

    def up_to(self, id: str) -> bytes | None:
        """Return what came up to an event."""
        found = re.search(rb"^id: %b\n[^\n]*\n\n" % id.encode(), self.given, re.MULTILINE)
        return bytes(self.given[: found.end()]) if found else None


class Emitted:
    """The streams of one server."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []

    def require_right(self) -> None:
        """Fail where one broke a rule."""
        broken = [f"{each.path}: {found}" for each in self.streams if (found := self._broken_rule(each)) is not None]
        assert not broken, "\n".join(broken)

    def _broken_rule(self, stream: Stream) -> str | None:
        """Return the first rule that a stream breaks. One that was cut off is looked at as far as its frames are whole."""
        given = bytes(stream.given)
        whole = given if stream.is_whole else given[: given.rfind(b"\n\n") + 2]
        if stream.after is not None:
            whole = self._before(stream, stream.after) + whole
        return broken_rule(whole, is_whole=stream.is_whole) if whole or stream.is_whole else None

    def _before(self, stream: Stream, after: str) -> bytes:
        """Return what the client had before: of the same request, up to that event."""
        for other in self.streams:
            if other is not stream and (other.path, other.asked) == (stream.path, stream.asked):
                before = other.up_to(after)
                if before is not None:
                    return self._before(other, other.after) + before if other.after is not None else before
        raise AssertionError(f"{stream.path}: a client goes on after {after}, which no stream of the same request has as an id")


def broken_rule(given: bytes, *, is_whole: bool) -> str | None:
    """Return the first rule that the bytes of a stream break."""
    from runfold.agui.checker import Checker  # noqa: PLC0415  few tests have agents
    from runfold.agui.reading import events_in  # noqa: PLC0415
    from runfold.agui.rules import Broken  # noqa: PLC0415

    checker = Checker()
    try:
        for event in events_in([given.decode("utf-8")], is_stream=True):
            checker.take(event)
        if is_whole:
            checker.end()
    except Broken as broken:
        checker.break_off(broken)
    return None if checker.violation is None else f"{checker.violation}\n{given[-2000:]!r}"


def _after(path: str, last: str) -> str | None:
    """Return after which event a stream goes on: who connects is given all that there is."""
    return None if path.endswith("/connect") else last or None


def checking(app: ASGI, emitted: Emitted) -> ASGI:
    """Return an application whose streams of AG-UI are kept."""

    async def checked(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        query = scope.get("query_string", b"").decode()
        if scope["type"] != "http" or not is_of_agent(scope["method"], scope["path"], query):
            await app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        stream = Stream(scope["path"], _after(scope["path"], headers.get(b"last-event-id", b"").decode()))
        stream.asked.extend(rest_of_body(scope) or b"")

        async def received() -> Any:
            message = await receive()
            stream.asked.extend(message.get("body", b""))
            return message

        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                if dict(message["headers"]).get(b"content-type", b"").startswith(b"text/event-stream"):
                    emitted.streams.append(stream)
            else:
                stream.given.extend(message.get("body", b""))
                stream.is_whole = not message.get("more_body", False)
            await send(message)

        await app(scope, received, sent)

    return checked


class Teed(httpx2.BaseTransport):
    """A client's way to a server, where its streams of AG-UI are kept."""

    def __init__(self, emitted: Emitted, inner: httpx2.BaseTransport | None = None) -> None:
        self._emitted, self._inner = emitted, inner or httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self._inner.handle_request(request)
        is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        if is_stream and is_of_agent(request.method, request.url.path, request.url.query.decode()):
            after = _after(request.url.path, request.headers.get("last-event-id", ""))
            stream = Stream(request.url.path, after, bytearray(request.read()))
            self._emitted.streams.append(stream)
            response.stream = _Kept(response.stream, stream)  # type: ignore[arg-type]  # it came from a client that is not async
        return response

    def close(self) -> None:
        self._inner.close()


class _Kept(httpx2.SyncByteStream):
    """The bytes of a stream, kept as they pass."""

    def __init__(self, inner: httpx2.SyncByteStream, stream: Stream) -> None:
        self._inner, self._stream = inner, stream

    def __iter__(self) -> Iterator[bytes]:
        for part in self._inner:
            self._stream.given.extend(part)
            yield part
        self._stream.is_whole = True

    def close(self) -> None:
        self._inner.close()
