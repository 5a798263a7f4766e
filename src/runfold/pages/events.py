"""`/ui/events`: the log, event by event, the last first; narrowed as the feed is, by the same words."""

from collections.abc import Sequence
from typing import Any, NamedTuple, get_args, get_type_hints
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from runfold.api.words import EVENT_WORDS
from runfold.domain.catalogue import event_types
from runfold.domain.raw_event import RawEvent
from runfold.domain.recorded import Recorded
from runfold.errors import UsageError
from runfold.feed import event_pages
from runfold.feed.asked import Asked, EventFilter, until_head
from runfold.feed.event_pages import EventsPage
from runfold.pages.asking import Past, past
from runfold.pages.drawing import HEADERS, draw
from runfold.pages.filters import Control, Filter, Filters, Given, filled, is_plain
from runfold.pages.screen import Screen
from runfold.pages.typed import as_number
from runfold.pages.windows import size_of
from runfold.store.cursor import cursor_of
from runfold.terminal.events import in_a_few_words

BESIDE = ("at", "after", "up_to", "order", "limit", "go")
_OF_ONE = ("thread_id", "run_id")
_OF_WHERE = {"go", "from", "to", "recorded_from", "recorded_to", "after", "up_to", "order"}
"""What says where in the log the list begins and ends."""


class Line(NamedTuple):
    """An event in one line."""

    recorded: Recorded
    words: str


def lines_of(events: Sequence[Recorded]) -> list[Line]:
    """Return events, each with what it says in a few words; of what concerns keys nothing that is not known to be harmless."""
    return [Line(each, "" if isinstance(each.event, RawEvent) else in_a_few_words(each)) for each in events]


def event_filters(given: Given) -> Filters:
    """Return what the feed can be narrowed by, as an address fills it in. Raises UsageError."""
    fields = []
    for name, hint in get_type_hints(EventFilter, include_extras=True).items():
        word, (_, purpose) = EVENT_WORDS.get(name, name), get_args(hint)
        control: Control = "time" if name.startswith("recorded_") else "text"
        label = word.removesuffix("_id")
        fields.append(Filter(name, word, label, purpose, control, (), name not in _OF_ONE and control == "text", ()))
    return filled(fields, given, BESIDE)


async def _page(request: Request) -> Response:
    said = request.query_params
    asked = await past(request, "runs:read" if said.get("thread_id") or said.get("run_id") else "events:read")
    if (where := said.get("go", "").strip()) != "":
        return RedirectResponse(_address_of(where, said.multi_items()), 303, HEADERS)
    try:
        filters = event_filters(said.multi_items())
        if not is_plain(filters, said.multi_items()):
            return RedirectResponse(f"{request.url.path}?{filters.address()}", 303, HEADERS)
        found = await asked.ask(lambda: _found(asked, filters, dict(said)))
    except UsageError as error:
        kept = event_filters([pair for pair in said.multi_items() if pair[0] == "at"])
        return await draw(request, "events.html", status=400, filters=kept, fault=str(error), lines=None, types=_types())
    is_last = not asked.is_past and not {"after", "up_to", "order"} & said.keys()
    values: dict[str, Any] = {"lines": lines_of(found.events), "found": found, "live": _live(filters, found) if is_last else None}
    values |= _ways(filters, found)
    return await draw(request, "events.html", filters=filters, fault=None, types=_types(), **values)


def _found(asked: Past, filters: Filters, given: dict[str, str]) -> EventsPage:
    """Return the page that is asked for: the last events first, unless they are asked for from a place on."""
    up_to = asked.position if asked.is_past else None
    if (text := given.get("up_to")) is not None:
        wanted = _whole("up_to", text)
        up_to = wanted if up_to is None else min(up_to, wanted)
    order = given.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise UsageError(f"order is asc or desc, not {order[:60]!r}", name="order")
    about = Asked.of(given.get("after", 0), up_to, **filters.asked())
    wanted_events = until_head(asked.ledger.find(about))
    read = event_pages.read if order == "asc" else event_pages.read_back
    return read(asked.reading.reader.present.tolerant(), wanted_events, size_of(given))


def _ways(filters: Filters, found: EventsPage) -> dict[str, Any]:
    """Return the addresses of the windows beside this one; None where there is nothing."""
    beside = ("after", "up_to", "order")
    older = newer = None
    if found.is_backwards:
        older = found.next_up_to
        newer = found.position if found.position < found.wanted.head else None
    else:
        older = found.wanted.after or None
        newer = found.position if found.next_cursor else None
    return {
        "older": None if older is None else filters.address(without=beside, up_to=older),
        "newer": None if newer is None else filters.address(without=beside, after=newer, order="asc"),
        "newest": filters.address(without=beside),
        "oldest": filters.address(without=beside, order="asc"),
    }


def _live(filters: Filters, found: EventsPage) -> str:
    """Return where the browser is told of what is recorded after the page."""
    place = {"named": "false", "after": cursor_of(found.wanted.head, found.wanted.epoch)}
    one = {word: text for word, text in filters.pairs() if word in _OF_ONE}
    of = f"/runs/{one['run_id']}" if "run_id" in one else f"/threads/{one['thread_id']}" if one else ""
    rest = [(word, text) for word, text in filters.pairs() if not (of and word in _OF_ONE)]
    return f"/ui/live{of}/events?{urlencode([*place.items(), *rest])}"


def _address_of(where: str, said: Given) -> str:
    """Return where a position leads; a time leads to what was recorded from then on, of what the list is narrowed to."""
    if (position := as_number(where)).isdecimal() and position.isascii():
        at = urlencode([pair for pair in said if pair[0] == "at"])
        return f"/ui/events/{position}{'?' + at if at else ''}"
    kept = [(word, text) for word, text in said if word not in _OF_WHERE and text]
    return f"/ui/events?{urlencode([*kept, ('from', where), ('order', 'asc')])}"


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise UsageError(f"{name} takes a position such as 1234, not {text[:60]!r}", name=name)
    return int(text)


def _types() -> list[str]:
    """Return every type, and the beginnings of types."""
    known = sorted(event_types.all())
    return [*sorted({f"{name.partition('.')[0]}.*" for name in known}), *known]


SCREENS = (Screen("pages.events", "/ui/events", _page),)
