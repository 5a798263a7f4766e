"""Moments over HTTP: read models of the whole ledger as of a position, prepared for questions with `at`."""

import asyncio
from functools import partial
from typing import Annotated, Any, cast

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from runfold.access.accept import prefers
from runfold.errors import LedgerUnavailable, MomentNotFound
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.http import bodies
from runfold.http.bodies import Body
from runfold.http.listing import Listed, rows_of
from runfold.http.routing import Handler, NamedRoute, Operation, answer, asked, route_of
from runfold.http.server_state import ServerState
from runfold.http.streams import sse
from runfold.http.streams.progress import LOOK_SECONDS, OVER, Report, progress
from runfold.queries.lists.paging import DEFAULT_LIMIT, cursor_of, invalid_cursor, read_cursor_parts
from runfold.queries.lists.paging import limit as page_limit
from runfold.queries.moments import MomentView

_OVER = frozenset({"ready", "failed"})
_adapter = TypeAdapter(MomentView)


class MomentAsked(Body):
    """The moment to prepare."""

    as_of: str | None = None
    """A position, or a time such as `2026-01-31T09:30:00Z` by the store's clock; without it, the present."""
    expires_in: str | None = None
    """How long it is kept after its last use: `90s`, `15m`, `1h`, `7d`; an hour without it, 7 days at most."""


class MomentsQuery(BaseModel):
    """Which page of the moments."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    limit: Annotated[int, page_limit(DEFAULT_LIMIT)] | None = None
    cursor: str | None = None


class MomentDropped(BaseModel):
    """The moment that was dropped for this tenant."""

    id: str
    dropped: bool = True


LIST = Operation(
    "moments.list",
    "GET",
    "/moments",
    "The moments of this tenant, by position.",
    Listed[MomentView],
    "runs:read",
    query=MomentsQuery,
)
PREPARE = Operation(
    "moments.prepare",
    "POST",
    "/moments",
    "Prepare the whole ledger as of a moment, for questions with `at`.\n\nAnswers at once; GET /moments/{moment_id} shows the"
    " progress. With `Accept: text/event-stream` the progress is streamed until the moment is ready. Asking for the same moment"
    " again returns the same one, and renews it. It is dropped when it has not been used for `expires_in`. The number of moments"
    " of a tenant is limited (429).",
    MomentView,
    "moments:create",
    status=202,
    body=MomentAsked,
)
GET = Operation(
    "moments.get",
    "GET",
    "/moments/{moment_id}",
    "The status of a moment.\n\nWith `Accept: text/event-stream` its progress is streamed until it is ready.",
    MomentView,
    "runs:read",
)
DROP = Operation(
    "moments.drop",
    "DELETE",
    "/moments/{moment_id}",
    "Drop a moment that is no longer needed.",
    MomentDropped,
    "moments:create",
)
OPERATIONS = (LIST, PREPARE, GET, DROP)


def moment_routes(server: ServerState) -> list[NamedRoute]:
    """Return the routes of moments."""
    return [
        route_of(LIST, _listing(server)),
        route_of(PREPARE, _asking(server)),
        route_of(GET, _telling(server)),
        route_of(DROP, _dropping(server)),
    ]


def _listing(server: ServerState) -> Handler:
    adapter = TypeAdapter(Listed[MomentView])

    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, "runs:read")
        query = cast("MomentsQuery", asked(request, MomentsQuery))
        after = None if query.cursor is None else _read_cursor(query.cursor)
        most = rows_of(query.limit)
        moments = server.ledger.moments_of(ledger.caller.tenant_id)
        position, found = await server.pools.questions.run(lambda: (ledger.position(), moments.all()))
        return answer(adapter, _page(found, after, most), {"Runfold-Position": str(position)})

    return handle


def _page(moments: list[MomentView], after: tuple[int, str] | None, most: int) -> Listed[MomentView]:
    """Return the moments that come after one. Between two pages some may be dropped, and others asked for."""
    left = [moment for moment in moments if after is None or (moment.position, moment.id) > after]
    shown = left[:most]
    following = cursor_of([LIST.name, shown[-1].position, shown[-1].id]) if len(left) > most else None
    return Listed(items=shown, next_cursor=following)


def _read_cursor(cursor: str) -> tuple[int, str]:
    """Return the position and the id of the last moment of a page. Raises UsageError."""
    match read_cursor_parts(cursor):
        case [LIST.name, int() as position, str() as id]:
            return position, id
    raise invalid_cursor(cursor)


def _asking(server: ServerState) -> Handler:
    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, "moments:create")
        async with server.body(request, ledger.caller) as raw:
            said = bodies.parsed(request, raw, MomentAsked)
        view = await server.pools.questions.run(_ask, server, ledger, said)
        if server.preparer is not None:
            server.preparer.wake()
        return _answer(request, server, ledger, view, 202)

    return handle


def _ask(server: ServerState, ledger: TenantLedger, said: MomentAsked) -> MomentView:
    position = ledger.position() if said.as_of is None else ledger.at(said.as_of).up_to
    moments = server.ledger.moments_of(ledger.caller.tenant_id)
    return moments.one(moments.ask(position, str(ledger.caller.actor), said.expires_in))


def _telling(server: ServerState) -> Handler:
    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, "runs:read")
        view = await server.pools.questions.run(_one, server, ledger, request.path_params["moment_id"])
        if request.headers.get("last-event-id") == OVER and view.state in _OVER:
            return Response(status_code=204)
        return _answer(request, server, ledger, view, 200)

    return handle


def _one(server: ServerState, ledger: TenantLedger, moment_id: str) -> MomentView:
    return server.ledger.moments_of(ledger.caller.tenant_id).one(moment_id)


def _answer(request: Request, server: ServerState, ledger: TenantLedger, view: MomentView, status: int) -> Response:
    if prefers(request, sse.MEDIA_TYPE):
        frames = progress(partial(_look, server, ledger, view.id), partial(server.watch, ledger.caller))
        return StreamingResponse(frames, status, media_type=sse.MEDIA_TYPE)
    headers = {"Location": f"/moments/{view.id}"} if status == 202 else {}
    return answer(_adapter, view, {**headers, "Runfold-Position": str(view.position)}, status)


async def _look(server: ServerState, ledger: TenantLedger, moment_id: str) -> Report:
    """Return the progress of a moment, waiting while the database is unavailable."""
    while True:
        try:
            view = await server.pools.questions.run(_one, server, ledger, moment_id)
        except MomentNotFound:
            return Report(orjson.dumps({"id": moment_id, "state": "dropped"}), is_over=True)
        except LedgerUnavailable:
            await asyncio.sleep(LOOK_SECONDS)
            continue
        return Report(_adapter.dump_json(view), view.state in _OVER)


def _dropping(server: ServerState) -> Handler:
    adapter: TypeAdapter[Any] = TypeAdapter(MomentDropped)

    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, "moments:create")
        moment_id = request.path_params["moment_id"]
        moments = server.ledger.moments_of(ledger.caller.tenant_id)
        await server.pools.questions.run(moments.drop, moment_id)
        return answer(adapter, MomentDropped(id=moment_id), {})

    return handle
