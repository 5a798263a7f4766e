"""GET /webhooks/{webhook_id}/secrets: what a receiver verifies signatures with. The rest of webhooks is in the API's table."""

import inspect

from pydantic import BaseModel, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from runfold.domain.security import Scope
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.handles.ledgers.webhook_secrets import WebhookSecret
from runfold.http.routing import Handler, NamedRoute, Operation, answer, route_of
from runfold.http.server_state import ServerState

_SCOPE: Scope = "webhooks:manage"


class WebhookSecrets(BaseModel):
    """The secrets in use, the present one first."""

    items: list[WebhookSecret]


LIST = Operation(
    "webhooks.list_secrets",
    "GET",
    "/webhooks/{webhook_id}/secrets",
    inspect.getdoc(TenantLedger.webhook_secrets) or "",
    WebhookSecrets,
    _SCOPE,
)
OPERATIONS = (LIST,)


def webhook_secret_routes(server: ServerState) -> list[NamedRoute]:
    """Return the route of the secrets of webhooks."""
    return [route_of(LIST, _listing(server))]


def _listing(server: ServerState) -> Handler:
    adapter = TypeAdapter(WebhookSecrets)

    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, _SCOPE)
        found = await server.pools.questions.run(ledger.webhook_secrets, request.path_params["webhook_id"])
        return answer(adapter, WebhookSecrets(items=found), {"Cache-Control": "no-store"})

    return handle
