"""GET /sealed and GET /sealed/checkpoint: how sealing the log stands, and the last signed checkpoint, for auditors."""

import inspect

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from runfold.access.accept import prefers
from runfold.domain.security import Scope
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.http.routing import Handler, NamedRoute, Operation, answer, route_of
from runfold.http.server_state import ServerState
from runfold.queries.sealed.log import CheckpointView, SealedLogView

_SCOPE: Scope = "audit:read"
_TEXT = "text/plain"
_FRESH = {"Cache-Control": "no-store", "Vary": "Accept"}
_AS_TEXT = "\n\nWith `Accept: text/plain` the answer is the signed note alone, byte for byte."

STATUS = Operation("sealed.get", "GET", "/sealed", inspect.getdoc(TenantLedger.sealed_log) or "", SealedLogView, _SCOPE)
CHECKPOINT = Operation(
    "checkpoint.get",
    "GET",
    "/sealed/checkpoint",
    (inspect.getdoc(TenantLedger.checkpoint) or "") + _AS_TEXT,
    CheckpointView,
    _SCOPE,
    media_types={_TEXT: {"type": "string"}},
)
OPERATIONS = (STATUS, CHECKPOINT)


def sealed_log_routes(server: ServerState) -> list[NamedRoute]:
    """Return the routes of the sealed log."""
    return [route_of(STATUS, _status(server)), route_of(CHECKPOINT, _checkpoint(server))]


def _status(server: ServerState) -> Handler:
    adapter = TypeAdapter(SealedLogView)

    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, _SCOPE)
        position, found = await server.pools.questions.run(lambda: (ledger.position(), ledger.sealed_log()))
        return answer(adapter, found, {"Cache-Control": "no-store", "Runfold-Position": str(position)})

    return handle


def _checkpoint(server: ServerState) -> Handler:
    adapter = TypeAdapter(CheckpointView)

    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, _SCOPE)
        position, found = await server.pools.questions.run(lambda: (ledger.position(), ledger.checkpoint()))
        headers = {**_FRESH, "Runfold-Position": str(position)}
        if prefers(request, _TEXT):
            return Response(found.checkpoint, 200, headers, _TEXT)
        return answer(adapter, found, headers)

    return handle
