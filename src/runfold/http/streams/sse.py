"""The bytes of an event stream (`text/event-stream`), as any EventSource reads them. Lines end with LF alone.

A stream begins with `retry:` (milliseconds until a client should connect again) and an `id:`. Then come, each with its
`data:` as one JSON object on one line:

- events of the ledger: `id:` is the cursor, `event:` the type, which always has a dot in it (with `named=false` there is no
  `event:`, and an EventSource hands all of them to `onmessage`); `data:` is the event as in the pages of `GET /events`, or with
  `format=cloudevents` a CloudEvent. A cursor is the position and its history, such as `1234@1f2e3d4c`.
- marks of the stream itself, whose names have no dot:
  `caught_up` {"position", "head"}: once, when all that was recorded before the request has been sent;
  `end` {"position", "reason"}: the stream is complete, do not connect again; or its key was revoked or has expired, and
  then problem details say so (`"status": 401`). Its `id:` is the cursor with `.end` behind it: a browser's EventSource, which
  connects again by itself, is answered 204 where there is nothing more, and that ends it;
  `bye` {"position", "reason"}: the server stops; connect again, and go on after the last id;
  `dropped` {"position", "reason"}: the client read too slowly; connect again, and go on after the last id;
  `problem`, problem details: the stream cannot go on, for the reason that it gives. `HistoryChanged` says that the ledger
  was put back to an older copy: `position` is the last one that is still as it was sent, `cursor` where to go on.
  In the stream of a run they also hold `run_status` and `stream_status`.
- heartbeats: a comment and an `id:` without data. A client moves its last id on and is told of nothing; so after a
  reconnect whatever did not pass the filter need not be looked at again. (A parser that hands such a block over gives an
  event with empty data: take its id, and pass over it.)

`Last-Event-ID` (or `?after=`) resumes strictly after a cursor, at any age: nothing is missed, nothing comes twice. Where the
ledger does not hold any more what a cursor has seen, the answer is 409 `HistoryChanged`.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from runfold.domain.recorded import Recorded
from runfold.errors import HistoryChanged, KeyRefused, LedgerError
from runfold.feed.event_json import cloudevent, event_json
from runfold.feed.frames import Form, Framing
from runfold.http.problems import disclosed
from runfold.store.cursor import END, cursor_of, name_of

MEDIA_TYPE = "text/event-stream"
RETRY_MS = 1000

_LINE_BREAKS = {"\u0085": b"\\u0085", "\u2028": b"\\u2028", "\u2029": b"\\u2029"}
"""What some clients split lines at, though the format does not. In JSON they only occur inside strings."""
_BREAKS = [(sign.encode(), escaped) for sign, escaped in _LINE_BREAKS.items()]


def framing(epoch: UUID, form: Form) -> Framing:
    """Return what writes events of a history of the ledger."""
    name = name_of(epoch).encode()

    def framed(recorded: Recorded) -> bytes:
        data = event_json(recorded) if form == "runfold" else cloudevent(recorded, epoch)
        if not data.isascii() and (b"\xe2" in data or b"\xc2" in data):  # what they begin with: a byte is found 50 times as fast
            for sign, escaped in _BREAKS:
                data = data.replace(sign, escaped)
        return b"id: %d@%b\nevent: %b\ndata: %b\n\n" % (recorded.position, name, recorded.type.encode(), data)

    return framed


def unnamed(framed: bytes) -> bytes:
    """Return the frame of an event without its name, as whoever listens to messages of any name wants it."""
    before, _, rest = framed.partition(b"\nevent: ")
    return before + rest[rest.index(b"\n") :]


def opening(position: int, epoch: UUID) -> bytes:
    """Return the beginning of a stream."""
    return b"retry: %d\nid: %b\n\n" % (RETRY_MS, cursor_of(position, epoch).encode())


def heartbeat(position: int, epoch: UUID) -> bytes:
    """The stream is alive, and everything up to a position was looked at."""
    return b": heartbeat\nid: %b\n\n" % cursor_of(position, epoch).encode()


def mark(name: str, position: int, epoch: UUID, facts: Mapping[str, Any]) -> bytes:
    """Something that the stream says of itself."""
    data = orjson.dumps({"position": position, **facts})
    place = cursor_of(position, epoch) + (END if name == "end" else "")
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (place.encode(), name.encode(), data)


def problem(error: LedgerError) -> dict[str, Any]:
    """Return an error as problem details."""
    error = disclosed(error)
    facts = {"type": f"urn:runfold:error:{type(error).__name__}", "status": error.http_status, "detail": str(error)}
    return {**facts, **error.facts} if isinstance(error, HistoryChanged) else facts


def ended_with_key(error: KeyRefused) -> dict[str, Any]:
    """Return the end of a stream whose key was revoked or has expired."""
    return {"reason": str(error), **problem(error)}
