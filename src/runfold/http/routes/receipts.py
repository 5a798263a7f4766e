"""Receipts over HTTP: a command answers with salts and digests where it is asked to, and POST /receipts/verify verifies them."""

import inspect
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from runfold.commands.submitted import Receipt
from runfold.domain.security import Scope
from runfold.errors import InvalidEvent, UsageError
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.http import bodies
from runfold.http.bodies import Body
from runfold.http.routing import Handler, NamedRoute, Operation, answer, route_of
from runfold.http.scope import header
from runfold.http.server_state import ServerState
from runfold.proofs.receipt import ToldEvent, as_json
from runfold.queries.sealed.told_events import ReceiptVerification

HEADER = "Runfold-Receipt"
WORDS = "`full`: the answer has the salt and the digests of each event that was recorded, to be kept, and verified later."
_FULL = "full"
_SCOPE: Scope = "events:read"


class KeptReceipt(Body):
    """A receipt as it was answered. Only `events` and `v` are looked at."""

    v: int
    events: list[ToldEvent]
    id: str | None = None
    ids: list[str] | None = None
    stream: str | None = None
    version: int | None = None
    position: int | None = None
    recorded_at: str | None = None
    appended: int | None = None

    def told(self) -> dict[str, Any]:
        """Return what it tells of the events."""
        return {"v": self.v, "events": [asdict(each) for each in self.events]}


VERIFY = Operation(
    "receipts.verify",
    "POST",
    "/receipts/verify",
    inspect.getdoc(TenantLedger.verify_receipt) or "",
    ReceiptVerification,
    _SCOPE,
    body=KeptReceipt,
)
OPERATIONS = (VERIFY,)


def receipt_routes(server: ServerState) -> list[NamedRoute]:
    """Return the route that verifies receipts."""
    return [route_of(VERIFY, _verifying(server))]


async def told(server: ServerState, request: Request, receipt: Receipt | None) -> dict[str, Any]:
    """Return what an answer has more where a whole receipt is asked for. Raises InvalidEvent for another word than that."""
    if (asked := header(request, HEADER)) is None:
        return {}
    require_known(asked)
    if receipt is None or receipt.told_by is None:
        return as_json(())
    return as_json(await server.pools.questions.run(lambda: receipt.told))


def require_known(asked: str | None) -> None:
    """Raise InvalidEvent for what the header cannot be. Asked before anything is recorded."""
    if asked not in {None, _FULL}:
        raise InvalidEvent(HEADER, f"is {str(asked)[:40]!r}; send {_FULL}, or leave it out")


def _verifying(server: ServerState) -> Handler:
    adapter = TypeAdapter(ReceiptVerification)

    async def handle(request: Request) -> Response:
        ledger = await server.ledger_for(request, _SCOPE)
        async with server.body(request, ledger.caller) as raw:
            said = await server.parsed(request, raw, lambda request, raw: bodies.parsed(request, raw, KeptReceipt))
            position, found = await server.pools.questions.run(lambda: (ledger.position(), _verify(ledger, said)))
        return answer(adapter, found, {"Cache-Control": "no-store", "Runfold-Position": str(position)})

    return handle


def _verify(ledger: TenantLedger, said: KeptReceipt) -> ReceiptVerification:
    try:
        return ledger.verify_receipt(said.told())
    except UsageError as error:
        raise InvalidEvent("body", str(error)) from None
