"""Who asks: every request is somebody's, of one tenant, and may do what its key's scopes say."""

from typing import Protocol

from fastapi import Request

from runfold.ledger.routes import Scope
from runfold.ledger.session import Caller


class Access(Protocol):
    """Knows who asks."""

    async def caller(self, request: Request, scope: Scope) -> Caller:
        """Whose request it is. Raises KeyRefused, ScopeMissing, TooManyRequests."""
