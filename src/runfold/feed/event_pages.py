"""Pages of events, read from the log in short queries, and as JSON."""

import time
from dataclasses import dataclass
from typing import Any

import orjson

from runfold.domain.recorded import Recorded
from runfold.feed.event_json import event_json
from runfold.feed.wanted import Wanted
from runfold.store.cursor import cursor_of, name_of
from runfold.store.reading.filter import PAGE_BYTES
from runfold.store.reading.reader import Reader

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


def _goal(wanted: Wanted) -> int:
    return wanted.head if wanted.goal is None else wanted.goal
