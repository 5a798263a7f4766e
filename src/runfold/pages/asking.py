"""What a screen asks: the ledger as of the moment in its address, for who is signed in.

These are the questions that HTTP and the command line ask, through the same SDK: no SQL, no rule and no second filter here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from starlette.requests import Request

from runfold.domain.security import Scope
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.pages.server import server_of
from runfold.pages.typed import as_moment
from runfold.queries.page import Standing
from runfold.queries.reading import Reading
from runfold.store.reading.reader import Head

T = TypeVar("T")
_PAST, _LEDGER = "runfold.past", "runfold.ledger"


@dataclass
class Past:
    """The ledger as of a moment, as who is signed in sees it."""

    request: Request
    ledger: TenantLedger
    reading: Reading
    """Every question, as of the moment."""
    at: str | None
    """The moment as the address has it; None for the present."""
    head: Head
    """The last position when it was asked, and its time."""
    position: int
    """The position that the answer is as of."""
    moment: datetime | None
    """The store's time of that position; None before the first event."""
    pinned: dict[str, str] = field(default_factory=dict)
    """What a link to this moment says beside the position, for all that the page shows to be in it."""
    standing: Standing | None = None
    """How far the read models were that answered; what of them is behind is said on top of the page."""

    @property
    def is_past(self) -> bool:
        """Whether another moment than the present is asked about."""
        return self.at is not None

    async def ask(self, question: Callable[[], T]) -> T:
        """Ask the ledger something, in a thread: it waits for the database. Raises LedgerError."""
        return await server_of(self.request).pools.questions.run(question)


async def past(request: Request, scope: Scope = "runs:read") -> Past:
    """Return the ledger as of `?at=`, a position or a time. Raises AccessDenied, and UsageError for what is no moment of it."""
    ledger = request.scope[_LEDGER] = await server_of(request).ledger_for(request, scope)
    at = request.query_params.get("at") or None
    found = await server_of(request).pools.questions.run(_found, request, ledger, at)
    request.scope[_PAST] = found
    return found


def past_of(request: Request) -> Past | None:
    """Return what was asked for this request, for the frame around the answer."""
    found: Past | None = request.scope.get(_PAST)
    return found


def ledger_of(request: Request) -> TenantLedger | None:
    """Return the ledger of who is signed in, once it is known, also where the moment is none."""
    found: TenantLedger | None = request.scope.get(_LEDGER)
    return found


def _found(request: Request, ledger: TenantLedger, at: str | None) -> Past:
    head = ledger.head()
    if at is None:
        return Past(request, ledger, ledger.now, None, head, head.position, head.recorded_at)
    reading = ledger.at(as_moment(at))
    position = reading.up_to
    moment = reading.reader.recorded_at(position) if position else None
    return Past(request, ledger, reading, at, head, position, moment)
