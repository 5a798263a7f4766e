"""Events over HTTP in the order of the ledger: as a page or, with `Accept: text/event-stream`, as a stream.

`GET /events` takes a key with `events:read`; of one thread or one run, `runs:read` is enough. What a stream looks like is
written in `runfold.http.streams.sse`.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, WithJsonSchema
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import Response

from runfold.access.accept import prefers, weights
from runfold.api.route import Field, Scope
from runfold.api.words import EVENT_WORDS
from runfold.errors import UnknownEventType, UsageError
from runfold.feed import event_pages
from runfold.feed.asked import Asked, until_head
from runfold.feed.event_json import CLOUDEVENTS, cloudevent
from runfold.feed.event_pages import EventsPage
from runfold.feed.follower import Follower
from runfold.feed.frames import Form
from runfold.feed.shared import Feed
from runfold.feed.wanted import Wanted
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.http.routing import Handler, NamedRoute, Operation, asked, model_of, route_of, worded
from runfold.http.server_state import ServerState
from runfold.http.streams import sse
from runfold.http.streams.event_stream import EventStream
from runfold.queries.lists.paging import DEFAULT_LIMIT, MOST, Direction
from runfold.queries.lists.where import number
from runfold.store.cursor import END, Cursor, Place
from runfold.store.reading.reader import LATEST, Head

_Position = Annotated[int, WithJsonSchema({"type": "integer", "minimum": 0})]
_After = Annotated[str, WithJsonSchema({"type": "string", "examples": ["1234", "1234@1f2e3d4c", "2026-01-31T09:30:00Z", "now"]})]
_ASKED = {
    "after": Field(_After | None, None),
    "up_to": Field(_Position | None, None),
    "limit": Field(int | None, None),
    "type": Field(list[str] | None, None, "Only this type, such as tool.called, the beginning of types, or approval.*."),
    "agent_id": Field(list[str] | None, None),
    "goal_id": Field(list[str] | None, None),
    "user_id": Field(list[str] | None, None),
    "actor": Field(list[str] | None, None),
    "from": Field(str | None, None, "Only events recorded then or later. A day counts from its beginning."),
    "to": Field(str | None, None, "Only events recorded then or earlier. A day is included."),
    "at": Field(str | None, None, "As of this position, or this time of the store."),
    "order": Field(Direction, "asc", "Which way round a page is: with desc the last events come, the last first."),
    "follow": Field(bool, True),
    "until_run_ends": Field(bool, True),
    "named": Field(bool, True),
}
_FORMER = EVENT_WORDS
"""Names in Python, which are taken too: `types` was the word before."""
_NAMES = {word: name for name, word in EVENT_WORDS.items()}
"""Parameters that have other names in Python, which has a `from` of its own."""
_CLOUDEVENTS = "With `cloudevents` each event of a page or a stream is a CloudEvent 1.0."
_FORMAT = Field(Form, "runfold", _CLOUDEVENTS)
_AG_UI = "With `ag-ui` all of the run as AG-UI's events, as a page or a stream that ends; only `at` goes with it."
_FORMAT_OF_RUN = Field(Literal["runfold", "cloudevents", "ag-ui"], "runfold", f"{_CLOUDEVENTS} {_AG_UI}")
_OF_ALL = {"thread_id": Field(str | None, None), "run_id": Field(str | None, None)}
_MEDIA_TYPES: Mapping[str, Mapping[str, Any]] = {
    sse.MEDIA_TYPE: {"type": "string"},
    CLOUDEVENTS: {"type": "array", "items": {"type": "object"}},
}
_HEADERS = {"Last-Event-ID": "For a stream: resume after this cursor, whatever `after` says."}
_WORDS = """

A page holds at most `limit` events (1 to 1000, 100 by default) after the place `after` (a cursor, a position, a time of the
ledger's clock, or `now`) and up to the position `up_to`. `type` may be the beginning of types or a pattern (`approval.*`); it,
`agent_id`, `goal_id`, `user_id` and `actor` may be repeated. A page may hold fewer events than `limit`, or none, though there are
more: continue after `next_cursor` until it is null. With `order=desc` a page holds the last events, the last first, and the next
page is the one up to `next_up_to`, until that is null.

With `format=cloudevents`, or `Accept: application/cloudevents-batch+json`, a page is an array of CloudEvents 1.0, and where the
next page is stands in the header `Link` (`rel="next"`), until there is none.

With `Accept: text/event-stream` the answer is a stream that goes on as events are recorded; with `follow=false` it ends at the
position where the ledger ended, and of one run with the run, unless `until_run_ends=false`. `id:` is the cursor, `event:` the
type (with `named=false` there is none, and an EventSource hands everything to `onmessage`), `data:` the event as in a page, or
with `format=cloudevents` a CloudEvent 1.0, whose `cursor` is the `id:`. `Last-Event-ID` resumes a stream at any later time.
Events without a dot in their name are the stream's own: `caught_up`, `end` (do not reconnect), `bye`, `dropped` and `problem`. A
client that connects again after `end`, with its id, is answered 204 where there is nothing more, which ends an EventSource. A
heartbeat is a comment and an `id:`. With `Accept-Encoding: gzip` it is compressed.

A cursor such as `1234@1f2e3d4c` is a position and the history that it belongs to; a bare position is taken as one of the present
history, unchecked. If the ledger was restored from a backup, a cursor is valid up to the position where the histories part.
Beyond it the answer is 409 `HistoryChanged`: drop what was derived from events after its `position`, and continue after its
`cursor`.
"""


class EventView(BaseModel):
    """An event, and its place in the ledger."""

    position: int
    stream: str
    version: int
    type: str
    event_id: str
    tenant_id: str
    thread_id: str
    recorded_at: str
    schema_version: int
    """The version of the shape that is stored."""
    data_version: int
    """The version of the shape that `data` has, as `/schemas/TYPE` lists them: today's, unless it is raw."""
    context: dict[str, str]
    """What the event belongs to: its run, the run's parent, agent, user, goal …"""
    metadata: dict[str, Any]
    """Who recorded it, the time by their own clock, and what caused it."""
    data: dict[str, Any]
    """What happened. `schemas/events/` lists the fields of each type."""
    raw: bool = False
    """Whether only a newer Runfold knows the event: its data is as it is stored."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class EventPage(BaseModel):
    """A page of events, in order."""

    items: list[EventView]
    next_cursor: str | None
    """The `after` of the next page; null at the end of the ledger, and where the last events come first."""
    next_up_to: int | None
    """Where the last events come first: the `up_to` of the next page; null where there is none before this one."""
    position: int
    """The position up to which the ledger was searched: follow after it, and nothing is missed."""
    head: int
    """The last position in the ledger."""
    epoch: str
    """The history that these positions belong to, as in a cursor: `position@epoch`."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class RunEventPage(EventPage):
    """A page of a run's events, its approvals' included."""

    run_status: str
    stream_status: str
    """`pending`, `running` (a waiting run's too), `success`, `failed` or `cancelled`."""
    up_to_date: bool
    """Whether this page reached the end of the ledger."""
    is_done: bool
    """Whether the run has ended and this page reached its last event."""


def _operation(name: str, path: str, scope: Scope, summary: str, query: type[BaseModel], answer: type[EventPage]) -> Operation:
    return Operation(name, "GET", path, summary + _WORDS, answer, scope, query=query, headers=_HEADERS, media_types=_MEDIA_TYPES)


_ALL_QUERY = model_of("events.query", {**_ASKED, **_OF_ALL, "format": _FORMAT})
_ONE_QUERY = model_of("events.of_one.query", {**_ASKED, "format": _FORMAT})
_RUN_QUERY = model_of("events.of_run.query", {**_ASKED, "format": _FORMAT_OF_RUN})
LIST = _operation("events.list", "/events", "events:read", "Every event, in the order of the ledger.", _ALL_QUERY, EventPage)
LIST_OF_THREAD = _operation(
    "events.list_of_thread", "/threads/{thread_id}/events", "runs:read", "A thread's events.", _ONE_QUERY, EventPage
)
LIST_OF_RUN = _operation(
    "events.list_of_run",
    "/runs/{run_id}/events",
    "runs:read",
    "A run's events, its approvals among them.",
    _RUN_QUERY,
    RunEventPage,
)
OPERATIONS = (LIST, LIST_OF_THREAD, LIST_OF_RUN)


def event_routes(server: ServerState, feed: Feed) -> list[NamedRoute]:
    """Return the routes of events."""
    return [
        route_of(LIST, _handler(server, feed, _ALL_QUERY, "events:read")),
        route_of(LIST_OF_THREAD, _handler(server, feed, _ONE_QUERY, "runs:read")),
        route_of(LIST_OF_RUN, _handler(server, feed, _RUN_QUERY, "runs:read")),
    ]


def _handler(server: ServerState, feed: Feed, query: type[BaseModel], scope: Scope) -> Handler:
    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, scope)
        said = {
            _NAMES.get(name, name): value for name, value in asked(request, query, _FORMER).model_dump(exclude_none=True).items()
        }
        is_stream = prefers(request, sse.MEDIA_TYPE)
        form = said.pop("format", "runfold")
        if form == "ag-ui":
            given = {name: value for name, value in said.items() if value != _ASKED[_FORMER.get(name, name)].default}
            return await server.pools.questions.run(_as_ag_ui, ledger, request.path_params["run_id"], given, is_stream)
        is_backwards = said.pop("order", "asc") == "desc"
        if is_stream:
            if "limit" in said or is_backwards:
                fact = "limit applies" if "limit" in said else "order=desc applies"
                raise UsageError(f"{fact} to pages; a stream ends at up_to, or at the head with follow=false")
            said["after"] = _resumed(request, said.get("after", "0"))
        limit = said.get("limit", DEFAULT_LIMIT)
        try:
            wanted = await server.pools.questions.run(_wanted, ledger, said, dict(request.path_params), form, is_stream=is_stream)
        except UsageError as error:
            raise worded(error, EVENT_WORDS) from None
        headers = {"Runfold-Position": str(wanted.head)}
        if not is_stream:
            read = event_pages.read_back if is_backwards else event_pages.read
            found = await server.pools.questions.run(read, ledger.now.reader.tolerant(), wanted, limit)
            if form == "cloudevents" or prefers(request, CLOUDEVENTS):
                return await server.pools.questions.run(_cloudevents, request.url, found, headers)
            return Response(await server.pools.questions.run(found.json), 200, headers, "application/json")
        if _is_told_of_end(request) and await server.pools.questions.run(_has_no_more, ledger, wanted):
            return Response(status_code=204, headers=headers)
        follower = Follower(feed, ledger.now.reader.tolerant().unlocked(), wanted, server.limits.heartbeat_seconds)
        feed.join(follower, ledger.tail, Head(wanted.head, None, wanted.epoch))
        watching = partial(server.watch, ledger.caller)
        return EventStream(feed, follower, watching, server.limits, headers, is_zipped=_takes_gzip(request))

    return handle


def _cloudevents(url: URL, page: EventsPage, headers: Mapping[str, str]) -> Response:
    """Return the page as a batch of CloudEvents; the array has no room for where the next page is, so a header says it."""
    places = {"after": page.next_cursor, "up_to": page.next_up_to}
    asked = {name: value for name, value in places.items() if value is not None}
    following = url.include_query_params(**asked).replace(scheme="", netloc="")  # by its path, as all addresses that are told
    link = {"Link": f'<{following}>; rel="next"'} if asked else {}
    body = b"[%b]" % b",".join(cloudevent(recorded, page.wanted.epoch) for recorded in page.events)
    return Response(body, 200, {**headers, **link}, CLOUDEVENTS)


def _as_ag_ui(ledger: TenantLedger, run_id: str, said: dict[str, Any], is_stream: bool) -> Response:
    moment = said.pop("at", None)
    if said:
        given = sorted(EVENT_WORDS.get(name, name) for name in said)
        raise UsageError(f"format=ag-ui is all of the run; leave out {', '.join(given)}")
    found = ledger.run(run_id).ag_ui(moment)
    if not is_stream:
        return Response(orjson.dumps(found), 200, media_type="application/json")
    from runfold.agui.wire import frame  # noqa: PLC0415  an extra, which is there where a run was told so

    return Response(b"".join(map(frame, found)), 200, media_type=sse.MEDIA_TYPE)


def _takes_gzip(request: Request) -> bool:
    """Return whether gzip is named among what the client decodes."""
    given = weights(request, "accept-encoding")
    return max(given.get("gzip", 0.0), given.get("x-gzip", 0.0)) > 0


def _is_told_of_end(request: Request) -> bool:
    return request.headers.get("last-event-id", "").strip().endswith(END)


def _has_no_more(ledger: TenantLedger, wanted: Wanted) -> bool:
    """Return whether a stream that has ended would end again at once, as far as one look shows."""
    if wanted.goal is None or wanted.goal <= wanted.after:
        return wanted.goal is not None
    more = ledger.now.reader.tolerant().stretch(wanted.shown_within, after=wanted.after, up_to=wanted.goal, limit=1)
    return more.position == wanted.goal and not more.events


def _resumed(request: Request, after: str) -> Place:
    """Return the cursor after which a stream resumes. Raises UsageError for an invalid one."""
    last = request.headers.get("last-event-id", "").strip()
    if not last:
        return after
    try:
        return Cursor.parse(last)
    except UsageError:
        fact = f"Last-Event-ID {last[:40]!r} is not a position or a cursor"
        raise UsageError(f"{fact}; send the id that came last, or none to begin") from None


def _wanted(ledger: TenantLedger, said: dict[str, Any], ids: dict[str, str], form: Form, *, is_stream: bool) -> Wanted:
    """Return which events are asked for. Raises UsageError, HistoryChanged, ThreadNotFound, RunNotFound."""
    number("limit", said.pop("limit", DEFAULT_LIMIT), 1, MOST)
    follow, until_run_ends, is_named = said.pop("follow", True), said.pop("until_run_ends", True), said.pop("named", True)
    if (moment := said.pop("at", None)) is not None:
        said["up_to"] = min(said.get("up_to", LATEST), ledger.at(moment).up_to)
    watches = until_run_ends and "run_id" in (said | ids) if is_stream else "run_id" in ids
    found = ledger.find(Asked.of(**(said | ids)), until_run_ends=watches)
    if found.run is not None and not found.run.has_ended:
        with contextlib.suppress(UnknownEventType):  # how a run stands is not guessed from what only a newer Runfold knows
            found = replace(found, run=replace(found.run, status=ledger.now.at(found.head).run(found.run.run_id).status))
    found = replace(found, is_named=is_named, form=form)
    return found if is_stream and follow else until_head(found)
