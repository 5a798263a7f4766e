"""API keys over HTTP: creating and revoking them takes the scope `admin`, listing them `audit:read`."""

import inspect
from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from runfold.domain.security import Scope
from runfold.handles.ledgers.keys import KeyView
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.http import bodies
from runfold.http.bodies import Body
from runfold.http.listing import Listed, page, read_cursor
from runfold.http.routes import receipts
from runfold.http.routes.commands import HEADERS, envelope, reply
from runfold.http.routing import Handler, NamedRoute, Operation, Reply, answer, asked, route_of
from runfold.http.server_state import ServerState
from runfold.queries.lists.paging import DEFAULT_LIMIT
from runfold.queries.lists.paging import limit as page_limit

ONLY_ONCE = (
    "an earlier request created this key and received its text, which is not kept; if lost, revoke the key and make another"
)


class KeyAsked(Body):
    """The key to create."""

    owner: str
    """Who acts where the key is used, as `kind:id`, such as `human:ada` or `agent:support`."""
    scopes: list[Scope]
    """What the key may do; `admin` includes all scopes."""
    label: str
    """A name for lists, such as `Ada's laptop`."""
    expires_in: str | None = None
    """`90s`, `15m`, `1h` or `7d`; without it, the key is valid until it is revoked."""
    key_id: str | None = None
    """An id of your own choice, `key_…`; without it, one is generated."""


class KeyRevocation(Body):
    """Why the key is revoked."""

    reason: str | None = None


class KeysQuery(BaseModel):
    """Which page of the keys."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    limit: Annotated[int, page_limit(DEFAULT_LIMIT)] | None = None
    cursor: str | None = None


class NewKeyReply(Reply):
    """The key that was created."""

    key: str | None
    """What its owner sends as `Authorization: Bearer KEY`. It is shown once; null if an earlier request created the key."""
    note: str | None = None
    """Why `key` is null."""


LIST = Operation(
    "keys.list",
    "GET",
    "/keys",
    inspect.getdoc(TenantLedger.keys) or "",
    Listed[KeyView],
    "audit:read",
    query=KeysQuery,
)
CREATE = Operation(
    "keys.create",
    "POST",
    "/keys",
    inspect.getdoc(TenantLedger.create_key) or "",
    NewKeyReply,
    "admin",
    status=201,
    body=KeyAsked,
    headers=HEADERS,
)
REVOKE = Operation(
    "keys.revoke",
    "DELETE",
    "/keys/{key_id}",
    inspect.getdoc(TenantLedger.revoke_key) or "",
    Reply,
    "admin",
    body=KeyRevocation,
    headers=HEADERS,
)
OPERATIONS = (LIST, CREATE, REVOKE)


def key_routes(server: ServerState) -> list[NamedRoute]:
    """Return the routes of keys."""
    return [
        route_of(LIST, _listing(server)),
        route_of(CREATE, _creating(server)),
        route_of(REVOKE, _revoking(server)),
    ]


def _listing(server: ServerState) -> Handler:
    adapter = TypeAdapter(Listed[KeyView])

    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, "audit:read")
        query = cast("KeysQuery", asked(request, KeysQuery))
        _, had = (0, 0) if query.cursor is None else read_cursor(query.cursor, LIST.name)
        position, keys = await server.pools.questions.run(lambda: (ledger.position(), ledger.keys()))
        return answer(adapter, page(keys, position, had, query.limit, LIST.name), {"Runfold-Position": str(position)})

    return handle


def _creating(server: ServerState) -> Handler:
    async def handle(request: Request) -> Response:
        async with server.commanding(request, "admin") as (ledger, raw):
            said = await server.parsed(request, raw, lambda request, raw: bodies.said(bodies.parsed(request, raw, KeyAsked)))
            made = await server.pools.commands.run(lambda: ledger.create_key(**said, **envelope(request, said)))
            more = await receipts.told(server, request, made.receipt)
        secret = {"key": made.text} if made.text is not None else {"key": None, "note": ONLY_ONCE}
        response = reply(made.id, made.receipt, 201, {**secret, **more})
        response.headers["Cache-Control"] = "no-store"
        return response

    return handle


def _revoking(server: ServerState) -> Handler:
    async def handle(request: Request) -> Response:
        async with server.commanding(request, "admin") as (ledger, raw):
            said = await server.parsed(request, raw, lambda request, raw: bodies.said(bodies.parsed(request, raw, KeyRevocation)))
            key_id = request.path_params["key_id"]
            receipt = await server.pools.commands.run(lambda: ledger.revoke_key(key_id, **said, **envelope(request, said)))
            more = await receipts.told(server, request, receipt)
        return reply(key_id, receipt, 200, more)

    return handle
