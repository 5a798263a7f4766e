"""Pages of events: read from the log in short queries, and written in our own words or as CloudEvents."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.datastructures import URL
from starlette.responses import Response

from runfold.domain.event import Recorded
from runfold.feed.event_json import CLOUDEVENTS, cloudevent, event_json
from runfold.feed.wanted import Wanted
from runfold.store.cursor import cursor_of, name_of
from runfold.store.filter import PAGE_BYTES
from runfold.store.reader import Reader

PAGE_SECONDS = 1.0


@dataclass(frozen=True)
class EventsPage:
    """Some events, and where the next page begins, if there is one."""

    wanted: Wanted
    events: list[Recorded]
    position: int
    """Up to here the log was searched."""
    next_cursor: str | None
    next_up_to: int | None
    is_backwards: bool = False
    """Whether the last events come first."""

    def json(self) -> bytes:
        """Return the page in our own words."""
        wanted = self.wanted
        body: dict[str, Any] = {
            "items": [orjson.Fragment(event_json(recorded)) for recorded in self.events],
            "next_cursor": self.next_cursor,
            "next_up_to": self.next_up_to,
            "position": self.position,
            "head": wanted.head,
            "epoch": name_of(wanted.epoch),
        }
        if wanted.run is not None:
            is_end = self.position >= wanted.head
            is_done = wanted.run.has_ended and (is_end or self.is_backwards)
            body |= {**wanted.run.facts(), "up_to_date": is_end, "is_done": is_done}
        return orjson.dumps(body)


def read(reader: Reader, wanted: Wanted, limit: int) -> EventsPage:
    """Read the first events after a place: in short queries, for a second at most."""
    goal, within = _goal(wanted), wanted.shown_within
    found: list[Recorded] = []
    position, size, began = wanted.after, 0, time.monotonic()
    while position < goal and len(found) < limit and size < PAGE_BYTES and time.monotonic() - began < PAGE_SECONDS:
        more = reader.stretch(within, after=position, up_to=goal, limit=limit - len(found))
        found, position, size = found + more.events, more.position, size + more.size
    return EventsPage(wanted, found, position, cursor_of(position, wanted.epoch) if position < goal else None, None)


def read_back(reader: Reader, wanted: Wanted, limit: int) -> EventsPage:
    """Read the last events, the last first: for a second at most."""
    goal = _goal(wanted)
    found: list[Recorded] = []
    end, size, began = goal, 0, time.monotonic()
    while end > wanted.after and len(found) < limit and size < PAGE_BYTES and time.monotonic() - began < PAGE_SECONDS:
        more = reader.stretch_back(wanted.shown_within, after=wanted.after, up_to=end, limit=limit - len(found))
        found, end, size = found + more.events, more.position, size + more.size
    return EventsPage(wanted, found, goal, None, end if end > wanted.after else None, is_backwards=True)


def cloudevents(url: URL, page: EventsPage, headers: Mapping[str, str]) -> Response:
    """Return the page as a batch of CloudEvents; the array has no room for where the next page is, so a header says it."""
    following = {"after": page.next_cursor, "up_to": page.next_up_to}
    asked = {name: value for name, value in following.items() if value is not None}
    link = {"Link": f'<{url.include_query_params(**asked)}>; rel="next"'} if asked else {}
    body = b"[%b]" % b",".join(cloudevent(recorded, page.wanted.epoch) for recorded in page.events)
    return Response(body, 200, {**headers, **link}, CLOUDEVENTS)


def _goal(wanted: Wanted) -> int:
    return wanted.head if wanted.goal is None else wanted.goal
