"""What the pages need of the server that mounts them."""

from typing import Protocol, cast

from starlette.requests import Request

from runfold.access.limits import Pools
from runfold.commands.caller import Caller
from runfold.domain.security import Scope
from runfold.errors import LedgerError
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.ledger import Ledger
from runfold.projector.past.preparing import Preparer


class Server(Protocol):
    """The ledger, for whoever asks."""

    ledger: Ledger
    pools: Pools
    preparer: Preparer | None

    async def caller(self, request: Request, scope: Scope) -> Caller:
        """Return who asks. Raises AccessDenied."""

    async def ledger_for(self, request: Request, scope: Scope) -> TenantLedger:
        """Return the ledger as who asks sees it. Raises AccessDenied."""

    async def form(self, request: Request) -> bytes:
        """Return the body of a form, which is small. Raises TooLarge, TooSlow, TooBusy."""

    def disclosed(self, error: LedgerError) -> LedgerError:
        """Return an error as it may be told to whoever asks."""

    async def caller_of_key(self, request: Request, text: str) -> Caller:
        """Return whose key a text is. Raises KeyRefused, TooManyRequests."""

    def host_fault(self, request: Request) -> str | None:
        """Return why the host that is asked for is none of this server's; None where it is."""


def server_of(request: Request) -> Server:
    """Return the server that a request came to."""
    return cast("Server", request.app.state.server)
