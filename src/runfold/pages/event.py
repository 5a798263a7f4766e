"""`/ui/events/{position}`: one event whole, what stands beside it in its stream and its thread, and how to ask for it."""

from typing import Any, NamedTuple
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from runfold.domain.raw_event import RawEvent
from runfold.domain.recorded import Recorded
from runfold.errors import UsageError
from runfold.feed.event_json import event_json
from runfold.pages.asking import Past, past
from runfold.pages.drawing import draw
from runfold.pages.events import Line, lines_of
from runfold.pages.refusals import Way, refused
from runfold.pages.screen import Screen
from runfold.store.cursor import MOST_POSITION, cursor_of

MOST_CHARACTERS = 20_000
"""Of an event's JSON on the page, unless all of it is asked for."""


class Neighbours(NamedTuple):
    """The events before and after, in the stream, in the thread and in the ledger; None where there is none."""

    before_in_stream: Line | None
    after_in_stream: Line | None
    before_in_thread: Line | None
    after_in_thread: Line | None
    before: int | None
    after: int | None


class _NotHere(Exception):
    """Nothing of this tenant is at a position."""


async def _page(request: Request) -> Response:
    asked = await past(request)
    text = request.path_params["position"]
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= MOST_POSITION):
        raise UsageError(f"a position is a whole number such as 1234, not {text[:60]!r}")
    position = int(text)
    try:
        values = await asked.ask(lambda: _found(asked, position))
    except _NotHere:
        return await _nothing(request, asked, position)
    whole = request.query_params.get("all") == "1"
    return await draw(request, "event.html", most=None if whole else MOST_CHARACTERS, **values)


async def _nothing(request: Request, asked: Past, position: int) -> Response:
    head = asked.position
    if position > asked.head.position:
        detail = f"position {position:,} is beyond the ledger, which ends at {asked.head.position:,}"
    elif position > head:
        detail = f"position {position:,} is after the moment that is asked for, position {head:,}"
    else:
        detail = f"there is no event that you may see at position {position:,}"
    ways = [Way(f"/ui/events/{head}", f"The last event, {head:,}")] if head else []
    return await refused(request, 404, "No such event", detail, [*ways, Way("/ui/events", "All events")])


def _found(asked: Past, position: int) -> dict[str, Any]:
    if not 0 < position <= asked.position:
        raise _NotHere
    events = asked.ledger.events(after=position - 1, up_to=position, limit=1)
    if not events:
        raise _NotHere
    (recorded,) = events
    if not recorded.thread_id.startswith("thread_"):
        asked.ledger.caller.require("events:read")
    recorded.facts_beside()  # what nobody can read is named, and not drawn
    text = orjson.dumps(orjson.loads(event_json(recorded)), option=orjson.OPT_INDENT_2).decode()
    return {
        "line": lines_of([recorded])[0],
        "each": recorded,
        "is_raw": isinstance(recorded.event, RawEvent),
        "text": text,
        "characters": len(text),
        "neighbours": _neighbours(asked, recorded),
        "cursor": cursor_of(position, asked.head.epoch),
        "context": recorded.context.facts(),
        "cause": _cause(asked, recorded),
    }


def _neighbours(asked: Past, recorded: Recorded) -> Neighbours:
    reader, at = asked.reading.reader.present.tolerant(), recorded.position
    stream = reader.stream(
        recorded.stream, after_version=recorded.version - 2, up_to_version=recorded.version + 1, up_to=asked.position
    )
    by_version = {each.version: each for each in stream}
    before = after = None
    if recorded.thread_id.startswith("thread_"):
        before = asked.ledger.events(thread_id=recorded.thread_id, up_to=at - 1, order="desc", limit=1)
        after = asked.ledger.events(thread_id=recorded.thread_id, after=at, up_to=asked.position, limit=1)
    return Neighbours(
        _line(by_version.get(recorded.version - 1)),
        _line(by_version.get(recorded.version + 1)),
        _line(before[0] if before else None),
        _line(after[0] if after else None),
        *_of_ledger(asked, at),
    )


def _of_ledger(asked: Past, at: int) -> tuple[int | None, int | None]:
    """Return the positions of the events before and after that who asks may see, as far as one look each finds them."""
    if not asked.ledger.caller.may("events:read"):
        return None, None
    before = asked.ledger.events(up_to=at - 1, order="desc", limit=1) if at > 1 else []
    after = asked.ledger.events(after=at, up_to=asked.position, limit=1) if at < asked.position else []
    return (before[0].position if before else None), (after[0].position if after else None)


def _line(recorded: Recorded | None) -> Line | None:
    return None if recorded is None else lines_of([recorded])[0]


def _cause(asked: Past, recorded: Recorded) -> int | None:
    """Return the position of the event that caused it, where its cause is an event of this ledger that was there."""
    try:
        wanted = UUID(recorded.metadata.causation_id or "").bytes
    except ValueError:
        return None
    found = asked.reading.reader.by_event_ids([wanted])
    return found[0].position if found and found[0].position <= asked.position else None


SCREENS = (Screen("pages.event", "/ui/events/{position}", _page),)
